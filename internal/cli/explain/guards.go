package explain

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Guards stand before policy, and are no verdicts: what one drops is said beside what policy
// says. Here are those that a connection by its addresses and ports can meet; which others
// there are, docs/semantics.md says.

// guardFlags say which guards agents have on.
type guardFlags struct {
	scope    string
	settings dataplane.GuardSettings
}

func (o *guardFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.scope, "encapsulation-from-workloads", dataplane.EncapsulationToNodes.String(),
		"what agents do with encapsulated packets (VXLAN, Geneve, IPIP, GRE) of pods: DropAll, DropToNodes or Allow")
	flags.Complete(cmd, "encapsulation-from-workloads", dataplane.EncapsulationScopes()...)
}

func (o *guardFlags) parse(cmd *cobra.Command) (err error) {
	if o.settings.Encapsulation, err = dataplane.ParseEncapsulationScope(o.scope); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--encapsulation-from-workloads %w", err))
	}
	return nil
}

// guardOf returns the guard that drops the connection before policy is asked; false if none does. known has where nodes
// unpack packets.
func (x *explanation) guardOf(s dataplane.GuardSettings, known *flags.NodeAddresses) (dataplane.GuardInfo, bool) {
	if x.src.Endpoint == nil || x.src.Endpoint.Host != nil || x.flow.Src == x.flow.Dst {
		return dataplane.GuardInfo{}, false
	}
	toNode := x.flow.Dst.IsMulticast() || x.flow.Dst.String() == "255.255.255.255" ||
		slices.ContainsFunc(x.model.Nodes, func(n *policy.Node) bool { return slices.Contains(n.Addrs, x.flow.Dst) })
	g, drops := s.Drops(x.flow, toNode, known.TunnelPorts(x.src.Endpoint.Node))
	info, _ := g.Info()
	return info, drops
}

// guardText is what the summary says of a guard.
func guardText(policySays policy.Action, g *dataplane.GuardInfo) string {
	return fmt.Sprintf("policy: %s; dropped before policy: %s (%s; agents let it pass with %s)", verdictWord(policySays), g.Guard, g.Drops, g.Switch)
}

// guardJSON is a guard that drops the connection before policy is asked.
type guardJSON struct {
	Guard  string `json:"guard"`
	Drops  string `json:"drops"`  // what it drops, in words
	Switch string `json:"switch"` // the agent's flag that lets it pass
}
