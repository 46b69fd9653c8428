package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	// A command of this program, as it stands in samples: after the prompt, sudo, a pipe,
	// "--" of kubectl exec, or "$(" and "<(".
	commandPattern = regexp.MustCompile(`(?:^|[$|&;(] *|sudo +|-- +|=\S* +)(?:bin/|kubectl )?tierwall +([^|;&()#>]+)`)
	makePattern    = regexp.MustCompile(`^make +([a-z0-9-]+)`)
	targetPattern  = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	wordPattern    = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// TestDocCommands: the commands that pages name are there, and have the flags that they
// are shown with.
func TestDocCommands(t *testing.T) {
	all := pages(t)
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range targetPattern.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	root := newRootCommand()
	ran := 0
	for _, p := range all {
		lines := append([]string{}, p.code...)
		for _, line := range p.prose {
			for _, m := range spanPattern.FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
		}
		for _, line := range lines {
			if m := makePattern.FindStringSubmatch(line); m != nil && !targets[m[1]] {
				t.Errorf("%s: %s: the Makefile has no target %s", p.path, line, m[1])
			}
			for _, m := range commandPattern.FindAllStringSubmatch(line, -1) {
				ran++
				if why := wrongCommand(root, strings.Fields(m[1])); why != "" {
					t.Errorf("%s: %s: %s", p.path, strings.TrimSpace(line), why)
				}
			}
		}
	}
	if ran < 60 {
		t.Errorf("only %d commands found", ran)
	}
}

// wrongCommand says what is wrong with a command line: a command or a flag that is not
// there; empty if nothing is.
func wrongCommand(root *cobra.Command, args []string) string {
	cmd := root
	deeper := true
	for _, arg := range args {
		arg = strings.Trim(arg, "[].,'\"")
		switch name, isLong := strings.CutPrefix(arg, "--"); {
		case isLong && name != "":
			deeper = deeper && cmd == root
			name, _, _ = strings.Cut(name, "=")
			if lookup(cmd, func(f *pflag.FlagSet) *pflag.Flag { return f.Lookup(name) }) == nil && name != "help" && name != "version" {
				return cmd.CommandPath() + " has no flag --" + name
			}
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			deeper = deeper && cmd == root
			if short := arg[1:2]; lookup(cmd, func(f *pflag.FlagSet) *pflag.Flag { return f.ShorthandLookup(short) }) == nil && short != "h" && short != "v" {
				return cmd.CommandPath() + " has no flag -" + short
			}
		case deeper && cmd.HasSubCommands() && wordPattern.MatchString(arg):
			next, _, err := cmd.Find([]string{arg})
			if err != nil || next == cmd {
				return cmd.CommandPath() + " has no command " + arg
			}
			cmd = next
		default:
			deeper = false
		}
	}
	return ""
}

func lookup(cmd *cobra.Command, in func(*pflag.FlagSet) *pflag.Flag) *pflag.Flag {
	for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags(), cmd.InheritedFlags()} {
		if f := in(set); f != nil {
			return f
		}
	}
	return nil
}

// TestWrongCommand: the test of the pages finds what is wrong.
func TestWrongCommand(t *testing.T) {
	root := newRootCommand()
	for line, want := range map[string]string{
		"explain -f x --from a/b --to c/d --port 80": "",
		"explain --form a/b":                         "tierwall explain has no flag --form",
		"explan -f x":                                "tierwall has no command explan",
		"agent status -o json":                       "",
		"agent stauts":                               "tierwall agent has no command stauts",
		"reach -Q":                                   "tierwall reach has no flag -Q",
		"--version":                                  "",
		"explain ... [flags]":                        "",
	} {
		if got := wrongCommand(root, strings.Fields(line)); got != want {
			t.Errorf("tierwall %s: %q, want %q", line, got, want)
		}
	}
}
