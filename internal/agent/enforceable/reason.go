package enforceable

import (
	"cmp"
	"fmt"
)

// Cause is a kind of reason. Its text is a label of metrics and a field of reports: it stays.
type Cause string

// The causes.
const (
	BridgeBypass    Cause = "BridgeBypass"    // a bridge does not show its packets to the hooks
	TaggedBridge    Cause = "TaggedBridge"    // a bridge does not show those that it tags
	NoHostInterface Cause = "NoHostInterface" // no interface of the host leads to the pod
	SharedDevice    Cause = "SharedDevice"    // macvlan, ipvlan and their kin
	OpenVSwitch     Cause = "OpenVSwitch"     // the pod is a port of a switch of its own
	EBPF            Cause = "EBPF"            // programs forward the pod's packets
	Redirect        Cause = "Redirect"        // so does a rule of traffic control
	FlowOffload     Cause = "FlowOffload"     // established packets skip the hooks
	IPVS            Cause = "IPVS"            // packets to services take other hooks
	SecondEngine    Cause = "SecondEngine"    // another program enforces policy, too
)

// Causes returns all causes, in order.
func Causes() []Cause {
	return []Cause{BridgeBypass, EBPF, FlowOffload, IPVS, NoHostInterface, OpenVSwitch, Redirect, SecondEngine, SharedDevice, TaggedBridge}
}

// Reason is why policy for an endpoint is not in force although the kernel holds it.
type Reason struct {
	Cause Cause
	// Subject is the interface, bridge, table or engine that makes it so; empty for NoHostInterface.
	Subject string
	// Family is 4 or 6 if only packets of that family are concerned; else 0.
	Family int
}

// Compare orders reasons.
func (r Reason) Compare(o Reason) int {
	return cmp.Or(cmp.Compare(r.Cause, o.Cause), cmp.Compare(r.Subject, o.Subject), cmp.Compare(r.Family, o.Family))
}

// String says what happens, and what to do about it.
func (r Reason) String() string { return r.What() + ": " + r.Fix() }

// What says what happens.
func (r Reason) What() string {
	switch r.Cause {
	case BridgeBypass:
		return fmt.Sprintf("IPv%d packets between pods on bridge %s bypass policy", r.Family, r.Subject)
	case TaggedBridge:
		return fmt.Sprintf("packets between pods on bridge %s bypass policy where the bridge tags them (vlan_filtering=1)", r.Subject)
	case NoHostInterface:
		return "no interface of this host leads to the pod, so that its packets do not come by (SR-IOV, macvlan, ipvlan, a device moved into the pod, a switch beside the kernel's)"
	case SharedDevice:
		return fmt.Sprintf("packets of the pod leave by %s past the host's hooks", r.Subject)
	case OpenVSwitch:
		return fmt.Sprintf("packets of the pod go through Open vSwitch at %s, past the host's hooks", r.Subject)
	case EBPF:
		return fmt.Sprintf("eBPF programs of %s may forward packets of the pod past the host's hooks", r.Subject)
	case Redirect:
		return fmt.Sprintf("traffic control at %s sends packets of the pod elsewhere, past the host's hooks", r.Subject)
	case FlowOffload:
		return fmt.Sprintf("packets of established connections skip policy and source checks by %s", r.Subject)
	case IPVS:
		return fmt.Sprintf("packets to services are not judged as forwarded ones: kube-proxy is in IPVS mode (interface %s)", r.Subject)
	case SecondEngine:
		return fmt.Sprintf("%s enforces policy on this node, too: what one allows the other may deny, and its programs may see packets first", r.Subject)
	}
	return string(r.Cause) + " " + r.Subject
}

// Fix says what to do.
func (r Reason) Fix() string {
	switch r.Cause {
	case BridgeBypass:
		return fmt.Sprintf("load the kernel module br_netfilter and set net.bridge.bridge-nf-call-%s=1", map[int]string{4: "iptables", 6: "ip6tables"}[r.Family])
	case TaggedBridge:
		return "set net.bridge.bridge-nf-filter-vlan-tagged=1"
	case NoHostInterface, SharedDevice:
		return "give the pod a veth of a bridge or of its own (plugins ptp, bridge), or keep it off policy's care"
	case OpenVSwitch:
		return "use the network plugin's own policies, or one that routes or bridges by the kernel"
	case EBPF:
		return "have the pods' network without such programs (Calico: bpfEnabled false; Cilium: another network plugin)"
	case Redirect:
		return fmt.Sprintf("remove the filter (tc filter show dev %s ingress)", r.Subject)
	case FlowOffload:
		return "remove the flowtable and the rules that use it, or leave the pods' interfaces out"
	case IPVS:
		return "set kube-proxy's mode to iptables or nftables, then remove the interface (kube-proxy --cleanup)"
	case SecondEngine:
		return "switch its policies off, or tierwall's"
	}
	return "see docs/troubleshooting.md"
}
