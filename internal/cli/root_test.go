package cli

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tierwall/tierwall/internal/store/open"
)

// walk calls f for a command and all those below it.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		walk(c, f)
	}
}

// TestHelp demands of every command that its help teaches: what it does, in a line and in
// full, with examples that call it by its name.
func TestHelp(t *testing.T) {
	walk(newRootCommand(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if first, last := []rune(cmd.Short + "?")[0], strings.HasSuffix(cmd.Short, "."); !unicode.IsUpper(first) || last {
			t.Errorf("%s: Short is no phrase with a capital and without a full stop: %q", path, cmd.Short)
		}
		if !strings.HasSuffix(strings.TrimSpace(cmd.Long), ".") || cmd.Long == cmd.Short {
			t.Errorf("%s: Long is no sentences of its own: %q", path, cmd.Long)
		}
		if cmd.Runnable() && !strings.Contains(cmd.Example, path) {
			t.Errorf("%s: no example that calls it", path)
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if n := len(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%s: a line of help has %d characters: %s", path, n, line)
			}
		}
	})
}

// alternatives matches the end of a description that lists what a flag may be: "text or json".
var alternatives = regexp.MustCompile(`(^|: |, )([a-z0-9]+, )*[a-z0-9]+ or [a-z0-9]+$`)

// TestFlags demands of every flag a description in one style, and that shells complete those
// with a fixed set of values.
func TestFlags(t *testing.T) {
	enumerated := []string{"output", "log-format", "protocol", "family", "http-method", "endpoint-to-host",
		"cni-failure-policy", "failure-policy", "scenario", "store"}
	walk(newRootCommand(), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			name := cmd.CommandPath() + " --" + f.Name
			kubectls := open.ConnectionKind(f) == open.KindKube // these are described as kubectl describes them
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") && !kubectls {
				t.Errorf("%s: no description, or one with a full stop: %q", name, f.Usage)
			}
			if cmd.Name() == "default-deny" && f.Name == "output" { // a file
				return
			}
			if !slices.Contains(enumerated, f.Name) && !alternatives.MatchString(f.Usage) || f.Value.Type() == "bool" {
				return
			}
			complete, ok := cmd.GetFlagCompletionFunc(f.Name)
			if !ok {
				t.Errorf("%s: shells do not complete it: %q", name, f.Usage)
				return
			}
			values, directive := complete(cmd, nil, "")
			if len(values) == 0 || directive&cobra.ShellCompDirectiveNoFileComp == 0 {
				t.Errorf("%s: completed with %q, directive %d", name, values, directive)
			}
		})
	})
}

// TestMistyped misspells every command and every flag: the error says what was meant.
func TestMistyped(t *testing.T) {
	run := func(args ...string) string {
		var out, errs bytes.Buffer
		if code := Run(t.Context(), args, strings.NewReader(""), &out, &errs); code != 2 {
			t.Errorf("%s: exit code %d", strings.Join(args, " "), code)
		}
		return errs.String()
	}
	// swapped returns a word with its second and third letters in the wrong order.
	swapped := func(word string) string { return word[:1] + word[2:3] + word[1:2] + word[3:] }
	walk(newRootCommand(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		if n := len(path); n > 0 && swapped(path[n-1]) != path[n-1] && len(path[n-1]) > 3 {
			for _, args := range [][]string{append(slices.Clone(path[:n-1]), swapped(path[n-1])), append([]string{"help"}, append(slices.Clone(path[:n-1]), swapped(path[n-1]))...)} {
				if got := run(args...); !strings.Contains(got, `did you mean "`+path[n-1]+`"?`) {
					t.Errorf("%s: %s", strings.Join(args, " "), got)
				}
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || len(f.Name) < 5 || swapped(f.Name) == f.Name || cmd.Flags().Lookup(swapped(f.Name)) != nil {
				return
			}
			if got := run(append(slices.Clone(path), "--"+swapped(f.Name))...); !strings.Contains(got, `did you mean "--`+f.Name+`"?`) {
				t.Errorf("%s --%s: %s", cmd.CommandPath(), swapped(f.Name), got)
			}
		})
	})
}
