// Package validate is `tierwall validate`: what is wrong with manifests.
package validate

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
)

// options are the flags of validate.
type options struct {
	input   input.Flags
	learned ends.LearnedFlag
	calico  bool
	output  string
}

// NewCommand returns `tierwall validate`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "validate {[-f] FILE... | --store STORE}",
		Short: "Check manifests and say where they are wrong",
		Long: `Check manifests: that they parse, that every field exists and holds what it may,
that selectors, ports and CIDRs are right, that tiers exist and names are unique.

Every finding is a line: file:line: Kind namespace/name: field: what is wrong and
what would be right. Notes, on objects that decide nothing here and on what is valid
but probably not meant, go to standard error. What is read from a cluster or from etcd
has its version in place of a line.

Of a cluster the namespace of -n or of kubectl's context is checked, and what is in
none; -A checks all.

Exit code 0: valid, notes aside. 1: errors. 2: no answer, because a file cannot be read, there
are no objects, or something else is wrong.`,
		Example: `  # A file, a directory (read recursively), several of both
  tierwall validate policies/ base.yaml

  # What a live cluster has, in all namespaces; what etcd has
  tierwall validate --store kube -A
  tierwall validate --store etcd:https://10.0.0.1:2379 --etcd-cacert ca.crt

  # Will Calico take them as well?
  tierwall validate -f policies/ --calico

  # Do sets name what is asked for, or only what that is an alias of?
  tierwall validate -f policies/ --learned learned.json

  # For a script
  tierwall validate -f policies/ -o json`,
		Args: o.input.FileArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.CheckFlag(cmd, o.output, "text", "json"); err != nil {
				return err
			}
			return o.run(cmd)
		},
	}
	o.input.Register(cmd)
	o.learned.Register(cmd.Flags())
	cmd.Flags().BoolVar(&o.calico, "calico", false, "what Calico refuses of its own kinds is an error, too: nets with bits behind the prefix")
	// There is nothing to go on to: the flag is accepted, as everywhere.
	cmd.Flags().Lookup("keep-going").Usage = "has no effect: validate always reads on past errors"
	output.AddFlag(cmd, &o.output, "text", "json")
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	o.input.OneNamespace = true
	learned, err := o.learned.Read()
	if err != nil {
		return command.UsageError(cmd, err)
	}
	in, err := o.input.Read(cmd)
	if err != nil {
		return err
	}
	isEmpty := in.IsEmpty()
	in.Findings = append(in.Findings, lint(in)...)
	in.Findings = slices.Concat(in.Findings, aliasNotes(in, learned), annotationNotes(in), hostBits(in, o.calico))
	slices.SortStableFunc(in.Findings, store.Finding.Compare)
	in.Restrict()
	show := printFindings
	if o.output == "json" {
		show = printFindingsJSON
	}
	if err := show(cmd.OutOrStdout(), cmd.ErrOrStderr(), in); err != nil {
		return err
	}
	if isEmpty {
		return command.ExitWith(command.ExitFailed, errors.New("no objects: there is nothing to check in what was read"))
	}
	if err := in.Unreadable(); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	if in.ErrorCount() > 0 {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}

// printFindings writes errors to stdout, notes and a last line to stderr.
func printFindings(stdout, stderr io.Writer, in *input.Input) error {
	for _, f := range in.Findings {
		if f.Unreadable {
			continue // that is the command's error
		}
		w, label := stdout, ""
		switch {
		case f.Warning:
			w, label = stderr, "Warning: "
		case f.Note:
			w, label = stderr, "note: "
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", label, in.FindingText(f)); err != nil {
			return err
		}
	}
	if err := in.NoteNamespace(stderr, "only namespace %s and what is in none are checked"); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stderr, "%s read, %s\n", output.Count(len(in.Resources)+len(in.Rejected), "object"), output.Count(in.ErrorCount(), "error"))
	return err
}

// findingJSON is a finding as scripts read it.
type findingJSON struct {
	Severity            string `json:"severity"` // error, warning or note
	File                string `json:"file,omitempty"`
	Line                int    `json:"line,omitempty"`
	Kind                string `json:"kind,omitempty"`
	Namespace           string `json:"namespace,omitempty"`
	Name                string `json:"name,omitempty"`
	input.ObjectVersion        // of an object in a store
	Field               string `json:"field,omitempty"`
	Message             string `json:"message"`
}

func printFindingsJSON(stdout, _ io.Writer, in *input.Input) error {
	list := make([]findingJSON, 0, len(in.Findings))
	for _, f := range in.Findings {
		j := findingJSON{
			Severity: "error",
			File:     f.File, Line: f.Line,
			Kind: store.WrittenKind(f.Key.Kind), Namespace: f.Key.Namespace, Name: f.Key.Name,
			Field: f.Field, Message: f.Message,
		}
		switch {
		case f.Warning:
			j.Severity = "warning"
		case f.Note:
			j.Severity = "note"
		}
		if f.File == "" {
			j.ObjectVersion = in.VersionOf(f.Key)
		}
		list = append(list, j)
	}
	return output.PrintJSON(stdout, list)
}
