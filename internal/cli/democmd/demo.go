// Package democmd is `tierwall demo`.
package democmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/examples"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/demo"
	"github.com/tierwall/tierwall/internal/lab"
)

type options struct {
	scenarios []string
	list      bool
	keep      bool
	verbose   bool
	output    string
}

// NewCommand returns `tierwall demo`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See policy decide over real packets, on this machine",
		Long: `Builds small clusters out of network namespaces (a node, its pods, the outside
world), programs the kernel with the policies of the examples, makes real
connections, and compares three answers for each: what the example promises,
what the policies say, and what the kernel did.

Each scenario is one line; with -v, or of a scenario that --scenario names, all its
connections are shown, and who decided. What differs is always shown.

Nothing outside the namespaces is touched, and nothing stays behind. It needs
no root: other users get a user namespace of their own.

Exit code: 0 all agree, 1 some differ, 2 the demo could not run.`,
		Example: `  # All scenarios, one after the other
  tierwall demo

  # All of them, connection by connection
  tierwall demo -v

  # One of them, and then look around in it
  tierwall demo --scenario tiers --keep

  # What there is
  tierwall demo --list`,
		Args: command.NoArgs,
		RunE: command.Steps(o.validate, o.run),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.scenarios, "scenario", nil, "play this scenario only; may be repeated (default: all)")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and end")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "show every connection of every scenario")
	flags.BoolVar(&o.keep, "keep", false, "leave the last scenario's pods up until Ctrl-C, to look around")
	output.AddFlag(cmd, &o.output, "text", "json")
	_ = cmd.RegisterFlagCompletionFunc("scenario", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, _ := demo.Names(examples.FS)
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (o *options) validate(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.output, "text", "json"); err != nil || o.list {
		return err
	}
	for _, name := range o.scenarios {
		if _, err := demo.Load(examples.FS, name); err != nil {
			return command.UsageError(cmd, fmt.Errorf("--scenario: %w", err))
		}
	}
	return nil
}

func (o *options) run(cmd *cobra.Command) (err error) {
	if o.list {
		return listScenarios(cmd.OutOrStdout(), o.output)
	}
	// Without the rights this runs the command again in a user namespace, and exits with its code.
	if err := lab.Enter(); err != nil {
		return fmt.Errorf("the demo needs network namespaces: %w", err)
	}
	out := cmd.OutOrStdout()
	names, err := demo.Names(examples.FS)
	if err != nil {
		return err
	}
	view := &view{w: out, style: output.StyleFor(out), brief: !o.verbose && len(o.scenarios) == 0}
	view.measure(names)
	if strings.Contains(os.Args[0], "/") && filepath.Base(os.Args[0]) == "tierwall" {
		view.program = os.Args[0] // it is not in PATH, perhaps
	}
	if o.output == "json" {
		view.w = io.Discard
	}
	report, err := demo.Run(cmd.Context(), demo.Options{
		Scenarios: examples.FS, Names: o.scenarios, Observer: view, Keep: o.keep,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.Close()) }()
	view.closing(report)
	if o.output == "json" {
		view.err = output.PrintJSON(out, report)
	}
	if view.err != nil {
		return fmt.Errorf("write the result: %w", view.err)
	}
	if o.keep {
		if err := lookAround(cmd, report); err != nil {
			return err
		}
	}
	if !report.Agree {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}

// listScenarios writes names and titles.
func listScenarios(w io.Writer, format string) error {
	type entry struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	names, err := demo.Names(examples.FS)
	if err != nil {
		return err
	}
	var entries []entry
	var rows [][]string
	for _, name := range names {
		s, err := demo.Load(examples.FS, name)
		if err != nil {
			return err
		}
		entries = append(entries, entry{name, s.Expected.Title})
		rows = append(rows, []string{name, s.Expected.Title})
	}
	if format == "json" {
		return output.PrintJSON(w, entries)
	}
	return output.PrintTable(w, []string{"SCENARIO", "SHOWS"}, rows)
}

// lookAround says how to enter the lab and waits for the user.
func lookAround(cmd *cobra.Command, report *demo.Report) error {
	l := report.Lab()
	var b strings.Builder
	b.WriteString("\nThe last scenario is still up. In another terminal:\n\n")
	var rows [][]string
	for _, h := range l.Hosts() {
		var addrs []string
		for _, a := range h.Addrs() {
			addrs = append(addrs, a.String())
		}
		rows = append(rows, []string{h.Name(), h.EnterCommand() + " bash", strings.Join(addrs, " ")})
	}
	node := l.Node()
	rows = append(rows, []string{node.Name(), node.EnterCommand() + " nft list ruleset", "the node: what is enforced"})
	if err := output.PrintTable(&b, []string{"ENTER", "COMMAND", ""}, rows); err != nil {
		return err
	}
	for _, row := range report.Examples() {
		h := l.Owner(row.Source())
		if h == nil {
			continue
		}
		fmt.Fprintf(&b, "\n# %s -> %s %s: %s\n%s curl -m 2 --interface %s http://%s\n",
			row.From, row.To, row.Service(), row.Policy, h.EnterCommand(), row.Source(), row.Target())
	}
	b.WriteString("\nPress Ctrl-C to end it and to clean up.\n")
	if _, err := io.WriteString(cmd.ErrOrStderr(), b.String()); err != nil {
		return err
	}
	<-cmd.Context().Done()
	return nil
}
