package enforceable

import (
	"os"
	"strings"
	"testing"
)

// TestDocumented: each cause has its row in docs/troubleshooting.md, and each row is one of a cause.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Not enforceable here")
	if !found {
		t.Fatal("there is no section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(section) {
		if name, found := strings.CutPrefix(line, "| `"); found {
			rows[name[:strings.IndexByte(name, '`')]] = true
		}
	}
	for _, c := range Causes() {
		if !rows[string(c)] {
			t.Errorf("no row for %s", c)
		}
		delete(rows, string(c))
	}
	for name := range rows {
		t.Errorf("%s is no cause", name)
	}
}
