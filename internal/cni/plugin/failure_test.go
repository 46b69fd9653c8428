package plugin_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// failure returns code, message and details of the error that the plugin has printed.
func failure(t *testing.T, out string) string {
	t.Helper()
	var e struct {
		Code         int
		Msg, Details string
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return fmt.Sprintf("%d %s | %s", e.Code, e.Msg, e.Details)
}
