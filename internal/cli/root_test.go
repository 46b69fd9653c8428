package cli

import (
	"strings"
	"testing"
)

// TestHelp demands of every command that its help teaches: a description of its
// own, and examples that call it by its name.
func TestHelp(t *testing.T) {
	for _, cmd := range newRootCommand().Commands() {
		if cmd.Name() == "help" {
			continue // cobra's
		}
		if cmd.Short == "" || cmd.Long == "" || cmd.Short == cmd.Long {
			t.Errorf("%s: no Short or no Long of its own", cmd.Name())
		}
		if !strings.Contains(cmd.Example, "tierwall "+cmd.Name()) {
			t.Errorf("%s: no example", cmd.Name())
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if n := len(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%s: a line of help has %d characters: %s", cmd.Name(), n, line)
			}
		}
	}
}
