package agentcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
)

// guardFlags are the flags of an agent about what is dropped before policy is asked.
type guardFlags struct {
	uplinkSources string
	spoofing      string
	encapsulation string
	disabled      []string

	checkSources, denyUnknown bool

	settings     dataplane.GuardSettings // parsed
	allowSources bool
}

func (o *guardFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.checkSources, "check-sources", true, "drop what comes from a pod with a source address that is not the pod's")
	f.BoolVar(&o.denyUnknown, "deny-unknown-pods", false, "drop traffic of addresses in the node's spec.podCIDRs that no known pod has; only for networks that assign all pod addresses from there")
	f.StringVar(&o.uplinkSources, "uplink-source-check", "on",
		"drop packets from outside that carry the address of a pod of this host: on, or off where a load balancer outside sends pods' own packets back")
	f.StringVar(&o.spoofing, "workload-source-spoofing", "Disabled",
		"Any lets pods send from the prefixes in their annotation "+store.AllowedSourcesAnnotation+" too, which their egress policy does not judge: Disabled or Any")
	f.StringVar(&o.encapsulation, "encapsulation-from-workloads", dataplane.EncapsulationToNodes.String(),
		"drop VXLAN, Geneve, IP in IP and GRE from pods, all or what goes to nodes: "+suggest.OrList(dataplane.EncapsulationScopes())+"; policy judges the rest by the outer packet")
	f.StringSliceVar(&o.disabled, "disable-guards", nil, "other guards to switch off, such as mac,frame: "+strings.Join(guardNames(), ", "))
	flags.Complete(cmd, "uplink-source-check", onOff...)
	flags.Complete(cmd, "workload-source-spoofing", spoofing...)
	flags.Complete(cmd, "encapsulation-from-workloads", dataplane.EncapsulationScopes()...)
	flags.Complete(cmd, "disable-guards", guardNames()...)
}

// What some flags may say.
var (
	onOff    = []string{"on", "off"}
	spoofing = []string{"Disabled", "Any"}
)

func guardNames() []string {
	var names []string
	for _, g := range dataplane.CanDisable() {
		names = append(names, string(g))
	}
	return names
}

// apply tells an agent what the flags say.
func (o *guardFlags) apply(cfg *agent.Config) {
	cfg.CheckSources, cfg.DenyUnknown, cfg.AllowSources, cfg.Guards = o.checkSources, o.denyUnknown, o.allowSources, o.settings
}

// complete reads the flags.
func (o *guardFlags) complete(cmd *cobra.Command) (err error) {
	if o.settings.Disabled, err = dataplane.ParseDisabled(o.disabled); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--disable-guards: %w", err))
	}
	if err := flags.CheckOneOf(cmd, "uplink-source-check", o.uplinkSources, onOff...); err != nil {
		return err
	}
	if o.uplinkSources == "off" {
		o.settings.Disabled = append(o.settings.Disabled, dataplane.GuardUplinkSource)
	}
	if err := flags.CheckOneOf(cmd, "workload-source-spoofing", o.spoofing, spoofing...); err != nil {
		return err
	}
	o.allowSources = o.spoofing == "Any"
	if o.settings.Encapsulation, err = dataplane.ParseEncapsulationScope(o.encapsulation); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--encapsulation-from-workloads: %w", err))
	}
	return nil
}
