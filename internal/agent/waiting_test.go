package agent

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
)

// TestWaiting holds that what an agent waits for is in its log, once for as long as it lasts.
func TestWaiting(t *testing.T) {
	logs := &syncBuffer{}
	w := &Waiting{Log: slog.New(slog.NewTextHandler(logs, nil))}
	tiers, pods := store.Finding{Message: "tiers cannot be read"}, store.Finding{Message: "pods cannot be read"}
	w.Set([]store.Finding{tiers})
	w.Set([]store.Finding{tiers, pods})
	if n := strings.Count(logs.String(), "tiers cannot be read"); n != 1 {
		t.Errorf("said %d times:\n%s", n, logs)
	}
	if !strings.Contains(logs.String(), "pods cannot be read") || len(w.texts()) != 2 {
		t.Errorf("waits for %q, and said\n%s", w.texts(), logs)
	}
	w.Set(nil)
	w.Set([]store.Finding{tiers})
	if n := strings.Count(logs.String(), "tiers cannot be read"); n != 2 {
		t.Errorf("said %d times though it came back:\n%s", n, logs)
	}
	(&Waiting{}).Set([]store.Finding{tiers}) // nobody to tell
}
