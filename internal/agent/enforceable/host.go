package enforceable

import "github.com/tierwall/tierwall/internal/hostlink"

// Host is what a host has, as far as it matters.
type Host struct {
	// Links is what was found of its interfaces and of the pods behind them.
	Links hostlink.Result
	// Programs is what other programs have made.
	Programs Programs
}

// Programs are traces of other programs in the kernel.
type Programs struct {
	// Engines are those of which chains or tables were found, by name.
	Engines []string
	// ServiceProxies are those that translate addresses of services by rules of the kernel, by name.
	ServiceProxies []string
	// Flowtables are other programs' tables by which established packets skip hooks, and names of modules in use
	// that do the same.
	Flowtables []string
	// Filters are those of traffic control at interfaces by which packets of pods come in.
	Filters []Filter
}

// Filter is one of traffic control.
type Filter struct {
	Interface string
	// Program is the name of its eBPF program; empty for one that redirects without.
	Program string
}

// engine is a program that enforces policy, and how it is known.
type engine struct {
	name string
	// interfaces are those that it makes on every node.
	interfaces []string
	// chains are those of iptables' table filter.
	chains []string
	// tables are those of nftables, in whatever family.
	tables []string
	// programs are beginnings of names of its eBPF programs.
	programs []string
	// forwards says that its eBPF programs forward packets, so that hooks do not see them.
	forwards bool
}

// engines are the well-known ones.
var engines = []engine{
	{name: "Calico", chains: []string{"cali-FORWARD"}, tables: []string{"calico"}},
	{name: "Calico's eBPF dataplane", interfaces: []string{"bpfin.cali", "bpfout.cali"}, programs: []string{"cali_", "calico_"}, forwards: true},
	{name: "Cilium", interfaces: []string{"cilium_host", "cilium_net"}, chains: []string{"CILIUM_FORWARD"}, programs: []string{"cil_", "cilium"}, forwards: true},
	{name: "Antrea", interfaces: []string{"antrea-gw0"}, chains: []string{"ANTREA-FORWARD"}},
	{name: "OVN-Kubernetes", interfaces: []string{"ovn-k8s-mp0"}},
	{name: "Kube-OVN", interfaces: []string{"ovn0"}},
	{name: "kube-router", chains: []string{"KUBE-ROUTER-FORWARD"}},
	{name: "Weave Net", chains: []string{"WEAVE-NPC"}},
	{name: "Azure Network Policy Manager", chains: []string{"AZURE-NPM"}},
	{name: "kube-network-policies", tables: []string{"kube-network-policies", "kindnet-network-policies"}},
	{name: "the AWS network policy agent", programs: []string{"handle_ingress", "handle_egress"}},
}
