// Package reach is `tierwall reach`: who can reach whom, on what.
package reach

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// options are the flags of reach.
type options struct {
	input    input.Flags
	pods     bool
	pending  bool
	from, to string
	resolve  ends.ResolveFlag
	toHost   flags.EndpointToHost
	nodes    flags.NodeAddresses
	output   string
}

// options says how the answer is to be.
func (o *options) options() analyze.ReachOptions {
	return analyze.ReachOptions{Pods: o.pods, Known: o.resolve.Names()}
}

// NewCommand returns `tierwall reach`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "reach {[-f] FILE... | --store STORE}",
		Short: "Say who can reach whom, on what",
		Long: `Say for every pair of workloads, and for every workload and the outside world,
which connections the policies in files or in a cluster allow. The answer is exact:
it is computed for all addresses, protocols and ports, not tried on some.

Pods are listed as their workload (Deployment, StatefulSet, Job, ...) where they
are alike, and singly where some of them reach, or are reached from, something
else than the others; --pods lists all of them singly. The outside world is
listed as ranges of addresses, each of addresses that all policies treat alike;
a range speaks of those of its addresses that no pod or workload holds. The table
has the ranges with the same answer as CIDRs in one row, JSON has each by itself.

Hosts with a HostEndpoint are listed as host/NAME, by its interface, and what
host endpoints say of traffic that is routed through their hosts counts for pods.
Domains that policies allow are listed as destinations, "domain api.example.com":
what is allowed to the addresses that they have, which are not known here, as far
as no policy names these by nets. --resolve says what addresses a name has.
Connections of which rules let only some HTTP requests through are followed by
these: "TCP 8080 (GET /items/...)".

Pairs of which nothing is allowed are left out. So is what is always the same: a
pod to itself (without --pods, a workload to itself), and a node and its pods, but
for what pods send to their own host where policy decides about it. A connection
that a host does not track (doNotTrack) is listed if its answers get through, too.
Connections come from ephemeral source ports (49152-65535); where rules tell
those apart, the answer is that of the lowest, and a note says so.

--from and --to show a part: NAMESPACE, NAMESPACE/NAME, NAMESPACE/KIND/NAME,
host/NAME, an ADDRESS, a CIDR for the ranges that it meets, or (--to) a domain.
Of a cluster, without either, the connections from and to the namespace of -n or
of kubectl's context are shown; -A shows all.

With --pending only what would change is listed, if all staged policies were in
force: what is allowed now, and what would be then.

Exit code 0: here is the answer. 2: no answer, because something is wrong.`,
		Example: `  # Everything
  tierwall reach -f policies/

  # What can reach the database?
  tierwall reach -f policies/ --to data/sts/postgres

  # What can the namespace web reach in the outside world?
  tierwall reach -f policies/ --from web --to 0.0.0.0/0

  # What can reach the hosts of nodes, and which names may the namespace shop call?
  tierwall reach -f policies/ --to host/node-1
  tierwall reach -f policies/ --from shop --to '*.example.com'

  # Of a live cluster: what reaches, and is reached from, the namespace shop
  tierwall reach --store kube -n shop

  # What would the staged policies change?
  tierwall reach -f policies/ --pending

  # For a script, every pod
  tierwall reach --store kube -A --pods -o json`,
		Args: o.input.FileArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.input.Register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.pods, "pods", false, "list pods singly, not as their workloads")
	flags.BoolVar(&o.pending, "pending", false, "list what the staged policies would change")
	flags.StringVar(&o.from, "from", "", "only connections from here: NAMESPACE, NAMESPACE/NAME, NAMESPACE/KIND/NAME, host/NAME, ADDRESS or CIDR")
	flags.StringVar(&o.to, "to", "", "only connections to here, written in the same ways, or a domain")
	for _, flag := range []string{"from", "to"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, ends.Complete(&o.input))
	}
	o.resolve.Register(flags)
	o.toHost.Register(cmd)
	o.nodes.Register(cmd)
	output.AddFlag(cmd, &o.output, "table", "json")
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.output, "table", "json"); err != nil {
		return err
	}
	if err := o.resolve.Parse(); err != nil {
		return command.UsageError(cmd, err)
	}
	if err := errors.Join(o.toHost.Parse(), o.nodes.Parse()); err != nil {
		return command.UsageError(cmd, err)
	}
	o.input.NodeReports = true
	o.input.Learn = func(m *policy.Model, resources []store.Resource) {
		o.resolve.Learn(m, resources)
		o.nodes.Add(m, resources)
	}
	in, err := o.input.Load(cmd)
	if err != nil {
		return err
	}
	if err := o.nodes.Err(); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	named := o.resolve.Notes() // of what is in force
	resolver := ends.NewResolver(in, &o.resolve)
	from, err := newEndFilter(resolver, o.from)
	if err == nil && from.domains != nil {
		err = fmt.Errorf("a domain is a destination only")
	}
	if err != nil {
		return command.ExitWith(command.ExitFailed, fmt.Errorf("--from %s: %w", o.from, err))
	}
	to, err := newEndFilter(resolver, o.to)
	if err != nil {
		return command.ExitWith(command.ExitFailed, fmt.Errorf("--to %s: %w", o.to, err))
	}
	var pairs []analyze.Pair
	var changes []analyze.Difference
	var analyzed []string // notes
	if o.pending {
		changes, analyzed, err = o.changes(in)
	} else {
		pairs, analyzed, err = o.pairs(in, to.domains != nil)
	}
	if err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	notes := slices.Concat(unlisted(in.Unmanaged), analyzed, named, o.nodes.Notes())
	if note := in.UnreportedNote(); note != "" {
		notes = append(notes, note)
	}
	if len(in.Model.Endpoints) == 0 {
		notes = []string{ends.NoEndpoints(in.Source, in.Unmanaged)}
	}
	if err := output.PrintNotes(cmd.ErrOrStderr(), notes); err != nil {
		return err
	}
	wanted := func(src, dst *analyze.End) bool { return from.matches(src) && to.matches(dst) }
	if in.Namespace != "" && from.all && to.all {
		inside := namespaceFilter(in.Model, in.Namespace)
		wanted = func(src, dst *analyze.End) bool { return inside.matches(src) || inside.matches(dst) }
		if err := in.NoteNamespace(cmd.ErrOrStderr(), "only connections from and to namespace %s are shown"); err != nil {
			return err
		}
	}
	if o.pending {
		shown := make([]analyze.Difference, 0, len(changes))
		for _, c := range changes {
			if wanted(c.Src, c.Dst) {
				shown = append(shown, c)
			}
		}
		return o.printChanges(cmd.OutOrStdout(), shown)
	}
	shown := make([]analyze.Pair, 0, len(pairs))
	for _, p := range pairs {
		if wanted(p.Src, p.Dst) {
			shown = append(shown, p)
		}
	}
	if o.output == "json" {
		return output.PrintJSON(cmd.OutOrStdout(), shown)
	}
	if len(in.Model.Endpoints) == 0 {
		return nil // a note has said it: neither is anything allowed nor denied
	}
	return printReach(cmd.OutOrStdout(), shown)
}

// pairs finds who can reach whom, and what to note of it.
func (o *options) pairs(in *input.Input, allDomains bool) ([]analyze.Pair, []string, error) {
	options := o.options()
	options.AllDomains = allDomains
	r, err := analyze.Reach(o.toHost.InModel(in.Model), options)
	if err != nil {
		return nil, nil, err
	}
	return r.Pairs, noteTexts(r.Notes), nil
}

// noteTexts returns the sentences of notes.
func noteTexts(notes []analyze.Note) []string {
	var texts []string
	for _, n := range notes {
		texts = append(texts, n.String())
	}
	return texts
}

// unlisted tells of the pods and workloads that reach cannot list. What is
// scaled to zero is none that a user could miss.
func unlisted(unmanaged []translate.Unmanaged) []string {
	var missed []translate.Unmanaged
	for _, u := range unmanaged {
		if u.Reason != translate.ScaledDown {
			missed = append(missed, u)
		}
	}
	switch len(missed) {
	case 0:
		return nil
	case 1:
		return []string{fmt.Sprintf("%s is not listed: it %s, so policy has no say on it", missed[0].Key, missed[0].Reason)}
	}
	return []string{fmt.Sprintf("%d pods or workloads are not listed: they use their node's network or have ended, so policy has no say on them", len(missed))}
}

func printReach(w io.Writer, pairs []analyze.Pair) error {
	if len(pairs) == 0 {
		_, err := fmt.Fprintln(w, "No connection is allowed.")
		return err
	}
	return output.PrintTable(w, []string{"FROM", "TO", "ALLOWED"}, rangesRows(pairs))
}

// maxDomains keeps a column narrow.
const maxDomains = 3

// dstText returns a destination, of many domains the first few.
func dstText(end *analyze.End) string {
	domains := end.Domains.List()
	if more := len(domains) - maxDomains; more > 0 {
		return fmt.Sprintf("domains %s and %d more", strings.Join(domains[:maxDomains], ", "), more)
	}
	return end.String()
}
