package nodereport

import (
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/api/v1alpha1"
)

func TestInterval(t *testing.T) {
	for nodes, least := range map[int]time.Duration{0: time.Second, 50: time.Second, 1000: 20 * time.Second, 5000: 100 * time.Second} {
		for range 100 {
			if d := interval(nodes); d < least || d > least*3/2 {
				t.Errorf("%d nodes: %v", nodes, d)
			}
		}
	}
	long := strings.Repeat("ä", 3000)
	if got := clip(long, v1alpha1.MaxMessage); len(got) > v1alpha1.MaxMessage || !strings.HasSuffix(got, "ä ...") {
		t.Errorf("%d bytes, %q", len(got), got[len(got)-10:])
	}
}
