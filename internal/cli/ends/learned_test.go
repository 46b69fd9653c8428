package ends

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLearnedFlag: what an agent has learned is read from a file and from an agent, and
// what can be no name or address is left out.
func TestLearnedFlag(t *testing.T) {
	const learned = `{"known": [
		{"name": "A.example", "addresses": [{"address": "192.0.2.1"}, {"address": "::ffff:192.0.2.2", "refused": "node"}, {"address": ""}]},
		{"name": "*.example", "addresses": [{"address": "192.0.2.3"}]}, {"name": "", "addresses": [{"address": "192.0.2.4"}]}],
		"aliases": [{"asked": "www.example", "alias": "cdn.example"}, {"asked": "*.x", "alias": "y"}, {"asked": "x", "alias": "a..b"}], "newer": 1}`
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/dns" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, learned)
	}))
	defer agent.Close()
	file := filepath.Join(t.TempDir(), "learned.json")
	if err := os.WriteFile(file, []byte(learned), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, "agent:" + strings.TrimPrefix(agent.URL, "http://")} {
		f := LearnedFlag{from}
		l, err := f.Read()
		if err != nil {
			t.Errorf("%s: %v", from, err)
			continue
		}
		records, aliases := learnedRecords(l)
		got := fmt.Sprintf("%v %d %s %s", records, len(aliases), aliases[0].Asked, aliases[0].Alias)
		if want := "[{a.example 192.0.2.1 0s} {a.example 192.0.2.2 0s}] 1 www.example cdn.example"; got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	none := LearnedFlag{}
	if l, err := none.Read(); err != nil || len(l.Known) != 0 {
		t.Errorf("without the flag: %v, %v", l, err)
	}
	for _, from := range []string{"agent:127.0.0.1:9", "agent:", file + ".none"} {
		f := LearnedFlag{from}
		if _, err := f.Read(); err == nil || !strings.HasPrefix(err.Error(), "--learned") {
			t.Errorf("%s: %v", from, err)
		}
	}
}
