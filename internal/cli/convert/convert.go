// Package convert is `tierwall convert`: other projects' policies as tiered ones.
package convert

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// options are the flags of convert.
type options struct {
	input  input.Flags
	from   string
	strict bool
	output string
}

// NewCommand returns `tierwall convert`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "convert {[-f] FILE... | --store etcd:URL} [--from cilium]",
		Short: "Convert Cilium's policies to tiered ones that decide the same",
		Long: `Convert CiliumNetworkPolicies and CiliumClusterwideNetworkPolicies to policies of
projectcalico.org/v3 that decide the same, and write these to standard output.

What cannot be expressed is left out and said on standard error, with its file and
line: of a rule that allows nothing is left that would allow more. With --strict it
makes the exit code 1, as do invalid objects that --keep-going leaves out.

Cilium tells nodes from the outside world. Their addresses are taken from the Nodes
and Pods in the files, and from --node-cidr; that of the API server from the
EndpointSlice default/kubernetes, and from --apiserver-cidr.

Exit code 0: converted. 1: with --strict, something cannot be expressed. 2: something is
wrong with the files, and nothing was written; --keep-going leaves invalid objects out.`,
		Example: `  # What would these policies be?
  kubectl get cnp,ccnp,nodes -A -o yaml | tierwall convert -f -

  # Into a file; fail if anything gets lost
  tierwall convert -f cilium/ --node-cidr 10.0.0.0/24 --strict > policies.yaml`,
		Args: o.input.FileArgs,
		RunE: command.Steps(o.validate, o.run),
	}
	o.input.Register(cmd)
	cmd.Flags().StringVar(&o.from, "from", "cilium", "whose policies to convert: cilium")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 if something cannot be expressed")
	flags.Complete(cmd, "from", "cilium")
	output.AddFlag(cmd, &o.output, "yaml", "json")
	return cmd
}

func (o *options) validate(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.output, "yaml", "json"); err != nil {
		return err
	}
	return flags.CheckOneOf(cmd, "from", o.from, "cilium")
}

func (o *options) run(cmd *cobra.Command) error {
	in, listing, err := o.input.List(cmd)
	if err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	result := cilium.Convert(listing.Resources, o.input.Cilium.Options())
	in.Resources, in.Rejected, in.Translated = listing.Resources, listing.Rejected, result.Resources
	in.Findings = slices.Concat(listing.Findings, result.Invalid, unfit(listing.Resources, result.Resources))
	slices.SortStableFunc(in.Findings, store.Finding.Compare)
	if err := input.Warn(cmd.ErrOrStderr(), in.Findings); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	switch {
	case in.ErrorCount() == 0:
	case !o.input.KeepGoing:
		return command.ExitWith(command.ExitFailed, input.InvalidError(in.Findings, "nothing was written; --keep-going leaves invalid objects out"))
	default:
		if err := input.WarnInvalid(cmd.ErrOrStderr(), in); err != nil {
			return command.ExitWith(command.ExitFailed, err)
		}
	}
	if err := o.report(cmd.ErrOrStderr(), in, &result); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	if err := writeManifests(cmd.OutOrStdout(), result.Resources, o.output); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	if o.strict && len(result.Lost)+in.ErrorCount() > 0 {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}

// unfit returns what is wrong with converted objects by the rules for their own kind.
func unfit(resources, converted []store.Resource) []store.Finding {
	made := map[policy.Key]bool{}
	all := slices.DeleteFunc(slices.Clone(resources), func(r store.Resource) bool { return cilium.Is(&r) })
	for i := range converted {
		made[converted[i].Key] = true
	}
	loaded := translate.Load(append(all, converted...), nil, translate.Options{Offline: true})
	return slices.DeleteFunc(loaded.Findings, func(f store.Finding) bool { return f.Note || !made[f.Key] })
}

// report says what cannot be expressed, and what was done.
func (o *options) report(w io.Writer, in *input.Input, r *cilium.Result) error {
	for _, f := range r.Lost {
		if _, err := fmt.Fprintf(w, "not converted: %s\n", in.FindingText(f)); err != nil {
			return err
		}
	}
	for _, f := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", in.FindingText(f)); err != nil {
			return err
		}
	}
	if r.Converted+len(r.Invalid) == 0 && in.ErrorCount() == 0 {
		_, err := fmt.Fprintf(w, "%s no policies of Cilium: nothing was converted\n", in.Source)
		return err
	}
	lost := "all of it"
	var left []string
	if n := len(r.Lost); n > 0 {
		left = append(left, output.Count(n, "part")+" left out")
	}
	if n := in.InvalidCount(); n > 0 {
		left = append(left, output.Count(n, "invalid object")+" left out")
	}
	if left != nil {
		lost = strings.Join(left, ", ")
	}
	_, err := fmt.Fprintf(w, "%s of Cilium converted to %s, %s\n", output.Count(r.Converted, "policy"), output.Count(len(r.Resources), "object"), lost)
	return err
}

// writeManifests writes manifests: documents of YAML, or a list as JSON.
func writeManifests(w io.Writer, resources []store.Resource, format string) error {
	if format == "json" {
		items := make([]any, len(resources))
		for i := range resources {
			items[i] = resources[i].Object
		}
		return output.PrintJSON(w, map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	for i := range resources {
		text, err := json.Marshal(resources[i].Object)
		if err != nil {
			return err
		}
		if text, err = yaml.JSONToYAML(text); err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
