package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs runs the commands that the pages show, "    $ tierwall ...", and holds
// what they print against what the pages show below. Commands that need a kernel
// or a host of their own are left out.
func TestDocs(t *testing.T) {
	t.Chdir("../..")
	ran := 0
	for _, page := range []string{"README.md", "docs/explain.md", "docs/troubleshooting.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range samples(string(text)) {
			args := strings.Fields(sample.command)
			switch args[0] {
			case "validate", "explain", "reach":
			default:
				continue
			}
			ran++
			var out, errs bytes.Buffer
			Run(t.Context(), args, strings.NewReader(""), &out, &errs)
			if diff := cmp.Diff(sample.output, strings.TrimRight(out.String(), "\n")); diff != "" {
				t.Errorf("%s: tierwall %s: -page +output:\n%s%s", page, sample.command, diff, errs.String())
			}
		}
	}
	if ran < 4 {
		t.Errorf("only %d samples found", ran)
	}
}

// sample is a command line, without the program's name, with the output shown below it.
type sample struct{ command, output string }

// samples finds the commands in a page: indented by four spaces, after "$ tierwall".
func samples(page string) []sample {
	var found []sample
	inside := false
	for line := range strings.Lines(page) {
		code, isCode := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		switch command, isCommand := strings.CutPrefix(code, "$ tierwall "); {
		case isCode && isCommand:
			found, inside = append(found, sample{command: command}), true
		case strings.HasPrefix(code, "$ ") || !isCode && strings.TrimSpace(line) != "":
			inside = false
		case inside:
			found[len(found)-1].output += code + "\n"
		}
	}
	for i := range found {
		found[i].output = strings.TrimRight(found[i].output, "\n")
	}
	return found
}
