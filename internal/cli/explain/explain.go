// Package explain is `tierwall explain`: one connection decided, and why.
package explain

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// options are the flags of explain.
type options struct {
	input    input.Flags
	from, to string
	flow     flowOptions
	resolve  ends.ResolveFlag
	nodes    flags.NodeAddresses
	guards   guardFlags
	pending  bool
	output   string
}

// NewCommand returns `tierwall explain`.
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "explain {[-f] FILE... | --store STORE} --from END --to END --port N",
		Short: "Decide one connection and say why, tier by tier",
		Long: `Decide one connection by the policies in files or in a cluster, and say why: for
both ends, every tier, every policy that applies there, every rule with what of it
did not match, and what decided in the end.

An end of the connection is one of
  NAMESPACE/NAME         a pod, or a workload of that name
  NAME                   the same in the namespace of -n, or of kubectl's context
  NAMESPACE/KIND/NAME    a workload: Deployment (deploy), StatefulSet (sts),
                         DaemonSet (ds), ReplicaSet (rs), Job, CronJob (cj),
                         Pod (po), WorkloadEndpoint (wep)
  ADDRESS                an IP address; one that an endpoint has is that endpoint
  node/NAME              a node
  DNS-NAME               what --resolve says of the name
  host/NAME              a HostEndpoint: its host, by that interface
  svc/NAMESPACE/NAME     (--to) a Service, svc/NAME in the namespace of -n: one of the
                         pods behind it, and --port is the service's
The port may stand behind the destination, too: --to data/postgres-0:5432.

Where host endpoints are on the way, what these say is part of the answer, with
the failsafes that agents have if no flag says otherwise. The hosts of the two ends
are always asked; --through names one that routes a connection of others on. Of a
connection that a host does not track (doNotTrack) the answers are judged as well.

A connection comes from an ephemeral port (49152-65535) unless --source-port says
which one. Rules that tell ephemeral ports apart are reported.

With --pending the same connection is decided a second time, as if all staged
policies were in force: the answer says whether the verdict would be another.

Of a cluster all that policy is made of is read. With -n a user who may read only
that namespace, and what is in none, can ask about connections within it.

Exit code 0: allowed. 1: denied. 2: no answer, because something is wrong. With
--pending it is that of the pending verdict.`,
		Example: `  # Why can the frontend not reach the database?
  tierwall explain -f policies/ --from web/frontend-1 --to data/sts/postgres --port 5432

  # The same of a live cluster; the shell completes the names
  tierwall explain --store kube --from web/frontend-1 --to data/sts/postgres --port 5432

  # From the outside world, over IPv6
  tierwall explain -f dump.yaml --from 2001:db8::7 --to web/deploy/frontend --port 443

  # A ping
  tierwall explain -f policies/ --from web/frontend-1 --to 192.0.2.1 --protocol ICMP

  # May it GET that path?
  tierwall explain -f policies/ --from web/frontend-1 --to web/api --port 8080 \
    --http-method GET --http-path /items

  # May this client use the NodePort 30080?
  tierwall explain -f hosts/ --from 198.51.100.1 --to shop/web --port 8080 \
    --before-dnat 192.0.2.1:30080

  # May it pass through the gateway node-1, in by eth0 and out by eth1?
  tierwall explain -f hosts/ --from 203.0.113.7 --to 198.51.100.9 --port 443 \
    --through node/node-1 --interface eth0,eth1

  # Node-local DNS, at an address that every node has
  tierwall explain -f dump.yaml --from web/frontend-1 --to 169.254.20.10 --port 53 --protocol UDP \
    --node-address '*=169.254.20.10'

  # Does a rule with domains let it through? Say what the name resolves to
  tierwall explain -f policies/ --from web/frontend-1 --to api.example.com \
    --resolve api.example.com=198.51.100.7 --port 443

  # For a script
  kubectl get ns,pods,netpol -A -o yaml |
    tierwall explain -f - --from web/frontend-1 --to data/postgres-0 --port 5432 -o json`,
		Args: o.input.FileArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			o.complete()
			return o.run(cmd)
		},
	}
	o.input.Register(cmd)
	cmd.Flags().StringVar(&o.from, "from", "", "where the connection comes from: NAMESPACE/NAME, NAMESPACE/KIND/NAME, ADDRESS, node/NAME or host/NAME")
	cmd.Flags().StringVar(&o.to, "to", "", "where it goes, written in the same ways")
	for _, flag := range []string{"from", "to"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, ends.Complete(&o.input))
	}
	o.flow.register(cmd)
	flags.Complete(cmd, "http-method", httpMethods...)
	o.resolve.Register(cmd.Flags())
	o.nodes.Register(cmd)
	o.guards.register(cmd)
	cmd.Flags().BoolVar(&o.pending, "pending", false, "decide it also as if the staged policies were in force")
	output.AddFlag(cmd, &o.output, "text", "json")
	return cmd
}

// validate reads the flags, and refuses what makes no sense whatever the manifests hold.
func (o *options) validate(cmd *cobra.Command) error {
	if err := output.CheckFlag(cmd, o.output, "text", "json"); err != nil {
		return err
	}
	if o.from == "" || o.to == "" {
		return command.UsageError(cmd, fmt.Errorf("--from and --to are needed: the two ends of the connection"))
	}
	if err := o.splitPort(); err != nil {
		return command.UsageError(cmd, err)
	}
	o.flow.portIsOptional = ends.IsService(o.to)
	if err := o.flow.parse(cmd); err != nil {
		return err
	}
	if err := errors.Join(o.resolve.Parse(), o.nodes.Parse()); err != nil {
		return command.UsageError(cmd, err)
	}
	return o.guards.parse(cmd)
}

// complete says how the manifests are to be read.
func (o *options) complete() {
	o.input.NarrowIfForbidden, o.input.NodeReports = true, true
	o.input.Learn = func(m *policy.Model, resources []store.Resource) {
		o.resolve.Learn(m, resources)
		o.nodes.Add(m, resources)
	}
	o.input.PlaceholderIPv6 = o.flow.family == 6 || ends.IsIPv6(o.from) || ends.IsIPv6(o.to)
}

func (o *options) run(cmd *cobra.Command) error {
	in, err := o.input.Load(cmd)
	if err != nil {
		return err
	}
	if err := o.nodes.Err(); err != nil {
		return command.ExitWith(command.ExitFailed, err)
	}
	x, err := explain(ends.NewResolver(in, &o.resolve), o.from, o.to, &o.flow)
	if err != nil {
		return command.ExitWith(command.ExitFailed, narrowedError(in, err))
	}
	x.place, x.leftOut = in.Place, in.LeftOut()
	x.notes = append(x.notes, x.serviceNotes(in.Findings)...)
	x.notes = append(x.notes, narrowedNotes(in, x)...)
	x.notes = append(x.notes, x.domainNotes(&o.resolve)...)
	x.notes = append(x.notes, x.nodeNotes(in, &o.nodes)...)
	if g, drops := x.guardOf(o.guards.settings, &o.nodes); drops {
		x.guard = &g
	}
	verdict := x.result.Verdict
	if o.pending {
		if x.pending, err = o.explainPending(in); err != nil {
			return command.ExitWith(command.ExitFailed, err)
		}
		verdict = x.pending.result.Verdict
	}
	if err := o.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), x); err != nil {
		return err
	}
	if verdict != policy.Allow || x.guard != nil {
		return command.ExitWith(command.ExitNo, nil)
	}
	return nil
}

func (o *options) print(stdout, stderr io.Writer, x *explanation) error {
	if o.output == "text" {
		style := output.StyleFor(stdout)
		_, err := io.WriteString(stdout, explainText(x, style)+x.pending.text(x, style))
		return err
	}
	if err := output.PrintNotes(stderr, x.notes); err != nil {
		return err
	}
	if x.pending != nil {
		return output.PrintJSON(stdout, pendingJSON{
			x.json(), x.pending.json(), x.pending.result.Verdict != x.result.Verdict,
		})
	}
	return output.PrintJSON(stdout, x.json())
}

// explanation is one decided connection, ready to be printed.
type explanation struct {
	model    *policy.Model
	flow     policy.Flow
	src, dst ends.End
	result   policy.Result
	// anyEphemeral says that every ephemeral source port gives the same answer.
	anyEphemeral bool
	notes        []string
	leftOut      []string // what was wrong with objects that were left out
	// place returns "file:line" of an object, or "" where that is unknown.
	place func(policy.Key) string
	// guard drops the connection before policy is asked; nil: none does.
	guard *dataplane.GuardInfo
	// pending is the same connection with the staged policies in force; nil if
	// nobody asked.
	pending *pendingExplanation
}

// explain resolves both ends and decides the connection between them.
func explain(r ends.Resolver, from, to string, o *flowOptions) (*explanation, error) {
	src, err := r.Resolve(from)
	if err != nil {
		return nil, fmt.Errorf("--from %s: %w", from, err)
	}
	dst, o, err := resolveTo(r, to, o)
	if err != nil {
		return nil, fmt.Errorf("--to %s: %w", to, err)
	}
	x := &explanation{model: r.Model, place: func(policy.Key) string { return "" }}
	if err := x.connect(src, dst, o); err != nil {
		return nil, err
	}
	if err := o.host.passThrough(x, r); err != nil {
		return nil, fmt.Errorf("--through %s: %w", o.host.through, err)
	}
	o.host.noteUnused(x, r)
	model := o.host.InModel(r.Model)
	evaluator := evaluate.New(model)
	x.result = evaluator.Evaluate(x.flow)
	if o.sourcePort == "" && x.flow.Protocol.HasPorts() {
		x.splitEphemeral(evaluator)
	}
	if note := x.httpNote(); note != "" {
		x.notes = append(x.notes, note)
	}
	x.noteHosts()
	x.compareOthers(evaluator, x.src, func(f *policy.Flow, a netip.Addr) { f.Src = a })
	x.compareOthers(evaluator, x.dst, func(f *policy.Flow, a netip.Addr) { f.Dst = a })
	return x, nil
}
