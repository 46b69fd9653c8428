package agentcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/store"
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
	f.BoolVar(&o.denyUnknown, "deny-unknown-pods", false, "deny traffic of addresses in the node's spec.podCIDRs that no pod is known at; only where the network takes all pods' addresses from there")
	f.StringVar(&o.uplinkSources, "uplink-source-check", "on", "drop what enters this host from elsewhere with the address of a pod of this host: on or off; off where a load balancer outside sends pods' own packets back to them")
	f.StringVar(&o.spoofing, "workload-source-spoofing", "Disabled", "Any honours the annotation "+store.AllowedSourcesAnnotation+" of pods, by which they have further sources (virtual addresses, IPVS with direct routing): Disabled or Any. What they send from there is not judged by their egress policy")
	f.StringVar(&o.encapsulation, "encapsulation-from-workloads", dataplane.EncapsulationToNodes.String(), "what becomes of VXLAN, Geneve, IP in IP and GRE that pods send: "+strings.Join(dataplane.EncapsulationScopes(), ", ")+"; what is not dropped is for policy, which sees the outer packet")
	f.StringSliceVar(&o.disabled, "disable-guards", nil, "other guards to switch off, such as mac,frame: "+strings.Join(guardNames(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("uplink-source-check", cobra.FixedCompletions([]string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("workload-source-spoofing", cobra.FixedCompletions([]string{"Disabled", "Any"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("encapsulation-from-workloads", cobra.FixedCompletions(dataplane.EncapsulationScopes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("disable-guards", cobra.FixedCompletions(guardNames(), cobra.ShellCompDirectiveNoFileComp))
}

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
	switch o.uplinkSources {
	case "on":
	case "off":
		o.settings.Disabled = append(o.settings.Disabled, dataplane.GuardUplinkSource)
	default:
		return command.UsageError(cmd, fmt.Errorf("--uplink-source-check %s: expected on or off", o.uplinkSources))
	}
	switch o.spoofing {
	case "Any":
		o.allowSources = true
	case "Disabled":
	default:
		return command.UsageError(cmd, fmt.Errorf("--workload-source-spoofing %s: expected Disabled or Any", o.spoofing))
	}
	if o.settings.Encapsulation, err = dataplane.ParseEncapsulationScope(o.encapsulation); err != nil {
		return command.UsageError(cmd, fmt.Errorf("--encapsulation-from-workloads: %w", err))
	}
	return nil
}
