package enforceable

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

// ipvsInterface is where kube-proxy in IPVS mode has the addresses of services.
const ipvsInterface = "kube-ipvs0"

// sharedTypes are interfaces that hand a pod's packets to another device and not to the host.
var sharedTypes = []string{"macvlan", "macvtap", "ipvlan", "ipvtap"}

// Finding is a reason with those whom it concerns.
type Finding struct {
	Reason
	Endpoints []policy.Key // in order, at least one
}

// Judge says which of a node's endpoints, which are to be in order, are not enforceable and why, ordered by reasons. An
// endpoint may be concerned by several.
func Judge(h Host, endpoints []policy.Key) []Finding {
	j := judgement{
		host: h, links: map[policy.Key]hostlink.Link{}, unknown: map[policy.Key]hostlink.Unknown{},
		interfaces: map[string]hostlink.Interface{}, types: map[int]string{}, found: map[Reason][]policy.Key{},
	}
	for _, l := range h.Links.Links {
		j.links[l.Key] = l
	}
	for _, u := range h.Links.Unknown {
		j.unknown[u.Key] = u
	}
	for _, i := range h.Links.Interfaces {
		j.interfaces[i.Name], j.types[i.Index] = i, i.Type
	}
	for _, key := range endpoints {
		j.byNode(key)
		j.byLink(key)
	}
	out := make([]Finding, 0, len(j.found))
	for r, keys := range j.found {
		out = append(out, Finding{r, keys})
	}
	slices.SortFunc(out, func(a, b Finding) int { return a.Compare(b.Reason) })
	return out
}

type judgement struct {
	host       Host
	links      map[policy.Key]hostlink.Link
	unknown    map[policy.Key]hostlink.Unknown
	interfaces map[string]hostlink.Interface
	types      map[int]string // of interfaces, by their numbers
	found      map[Reason][]policy.Key
}

func (j *judgement) add(key policy.Key, r Reason) {
	if list := j.found[r]; len(list) == 0 || list[len(list)-1] != key { // one endpoint after the other
		j.found[r] = append(list, key)
	}
}

// byNode adds what concerns all endpoints of the node.
func (j *judgement) byNode(key policy.Key) {
	if _, found := j.interfaces[ipvsInterface]; found {
		j.add(key, Reason{Cause: IPVS, Subject: ipvsInterface})
	}
	for _, name := range j.host.Programs.Flowtables {
		j.add(key, Reason{Cause: FlowOffload, Subject: name})
	}
	for _, e := range engines {
		if slices.Contains(j.host.Programs.Engines, e.name) || slices.ContainsFunc(e.interfaces, j.has) {
			j.add(key, Reason{Cause: SecondEngine, Subject: e.name})
		}
	}
}

func (j *judgement) has(name string) bool {
	_, found := j.interfaces[name]
	return found
}

// byLink adds what is true of the interface of an endpoint, or follows from there being none.
func (j *judgement) byLink(key policy.Key) {
	l, found := j.links[key]
	if !found {
		u, found := j.unknown[key]
		switch {
		case !found:
		case u.Cause == hostlink.NoWay && key.Kind == policy.KindPod:
			// Other workloads may be machines of a net that the host routes for.
			j.add(key, Reason{Cause: NoHostInterface})
		case u.Interface != "":
			j.byInterface(key, u.Interface)
		}
		return
	}
	j.byInterface(key, l.Name)
	for _, b := range j.host.Links.Bypass {
		switch {
		case b.Bridge != l.Bridge:
		case b.Tagged:
			j.add(key, Reason{Cause: TaggedBridge, Subject: b.Bridge})
		default: // IPv6 as well if the pod has no address of it: all have link-local ones
			j.add(key, Reason{Cause: BridgeBypass, Subject: b.Bridge, Family: b.Family})
		}
	}
}

// byInterface adds what is true of an interface that leads to an endpoint.
func (j *judgement) byInterface(key policy.Key, name string) {
	i := j.interfaces[name]
	if slices.Contains(sharedTypes, i.Type) {
		j.add(key, Reason{Cause: SharedDevice, Subject: name + " (" + i.Type + ")"})
	}
	if j.types[i.Master] == "openvswitch" {
		j.add(key, Reason{Cause: OpenVSwitch, Subject: name})
	}
	for _, f := range j.host.Programs.Filters {
		switch e, known := engineOf(f.Program); {
		case f.Interface != name:
		case f.Program == "":
			j.add(key, Reason{Cause: Redirect, Subject: name})
		case known && e.forwards:
			j.add(key, Reason{Cause: EBPF, Subject: e.name})
		case known:
			j.add(key, Reason{Cause: SecondEngine, Subject: e.name})
		}
	}
	// Its programs may hang where only the system call for them tells (tcx).
	if strings.HasPrefix(name, "lxc") && (j.has("cilium_host") || j.has("cilium_net")) {
		j.add(key, Reason{Cause: EBPF, Subject: "Cilium"})
	}
}

// engineOf returns whose eBPF program it is.
func engineOf(program string) (engine, bool) {
	for _, e := range engines {
		if slices.ContainsFunc(e.programs, func(prefix string) bool { return strings.HasPrefix(program, prefix) }) {
			return e, true
		}
	}
	return engine{}, false
}

// Affected returns the endpoints that findings concern, each with the first of its reasons.
func Affected(findings []Finding) map[policy.Key]Reason {
	m := map[policy.Key]Reason{}
	for _, f := range findings {
		for _, key := range f.Endpoints {
			if _, found := m[key]; !found {
				m[key] = f.Reason
			}
		}
	}
	return m
}
