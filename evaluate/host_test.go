package evaluate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// hostModel is a node with two host endpoints and two pods, a node without any, and
// one policy of each kind: what they allow and deny are ports.
func hostModel(t *testing.T) *policy.Model {
	t.Helper()
	tcp := policy.TCP
	rules := func(allow, deny uint16) []policy.Rule {
		port := func(p uint16) policy.Peer {
			return policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: p, Last: p}}}}
		}
		return []policy.Rule{
			{Action: policy.Allow, Protocol: &tcp, Destination: port(allow)},
			{Index: 1, Action: policy.Deny, Protocol: &tcp, Destination: port(deny)},
		}
	}
	hosts, err := selector.Parse("has(host)")
	if err != nil {
		t.Fatal(err)
	}
	of := func(name string, o policy.HostOptions, types [2]bool, allow, deny uint16) *policy.Policy {
		p := &policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: "default", Selector: hosts, Types: types, Host: o,
		}
		for _, dir := range policy.Directions {
			if types[dir] {
				p.Rules[dir] = rules(allow, deny)
			}
		}
		return p
	}
	both, in := [2]bool{true, true}, [2]bool{policy.Ingress: true}
	host := func(name, iface string, addrs ...netip.Addr) *policy.Endpoint {
		return &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindHostEndpoint, Name: name}, Node: "n1", Interface: iface, Addrs: addrs,
			Labels: selector.Labels{{Key: "host", Value: name}}, Host: &policy.Host{Expected: addrs},
		}
	}
	pod := func(name, node, addr string) *policy.Endpoint {
		return &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: name}, Node: node,
			Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Profiles: []string{"kns.ns"},
		}
	}
	m := &policy.Model{
		Tiers: policy.FixedTiers(),
		Policies: []*policy.Policy{
			of("plain", policy.HostOptions{}, both, 80, 81),
			of("forward", policy.HostOptions{ApplyOnForward: true}, in, 90, 91),
			of("early", policy.HostOptions{ApplyOnForward: true, PreDNAT: true}, in, 30000, 30001),
			of("raw", policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}, both, 53, 54),
		},
		Endpoints: []*policy.Endpoint{
			host("all", policy.AllInterfaces), host("eth0", "eth0", netip.MustParseAddr("192.0.2.1")),
			pod("a", "n1", "10.0.0.1"), pod("b", "n1", "10.0.0.2"), pod("c", "n2", "10.0.1.1"),
		},
		Nodes: []*policy.Node{
			{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}},
			{Name: "n2", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
		},
	}
	m.Host.FailsafeIn = []policy.Failsafe{{Protocol: policy.TCP, Port: 22}}
	return m
}

func TestHostEndpoints(t *testing.T) {
	const n1, other1, n2, podA, podB, podC, world, other = "192.0.2.1", "198.51.100.1", "192.0.2.2", "10.0.0.1", "10.0.0.2", "10.0.1.1", "203.0.113.9", "203.0.113.77"
	for _, c := range []struct {
		name     string
		from, to string
		port     uint16
		change   func(*policy.Model, *policy.Flow)
		want     string // the verdict; who decides; what hosts on the way say
	}{
		{"allowed by a plain policy", world, n1, 80, nil, "Allow; ingress plain 0; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"denied by it", world, n1, 81, nil, "Deny; ingress plain 1; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"the end of the tier, of policies that act there", world, n1, 99, nil, "Deny; ingress plain -1; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"a policy with applyOnForward is a plain one too", world, n1, 90, nil, "Allow; ingress forward 0; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"a failsafe", world, n1, 22, nil, "Allow; ingress TCP 22 0; "},
		{"another address of the node is that of all interfaces", world, other1, 81, nil, "Deny; ingress plain 1; all untracked-in Pass, all pre-dnat Pass"},
		{"unless the interface is known", world, other1, 81, func(_ *policy.Model, f *policy.Flow) { f.In = "eth0" }, "Deny; ingress plain 1; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"an interface without an endpoint of its own", world, n1, 81, func(_ *policy.Model, f *policy.Flow) { f.In = "eth7" }, "Deny; ingress plain 1; all untracked-in Pass, all pre-dnat Pass"},
		{"never the loopback interface", world, n1, 81, func(_ *policy.Model, f *policy.Flow) { f.In = "lo" }, "Allow; ; "},
		{"allowed before DNAT", world, n1, 30000, nil, "Allow; ; eth0 untracked-in Pass, eth0 pre-dnat Allow early 0"},
		{"denied before DNAT", world, n1, 30001, nil, "Deny; ; eth0 untracked-in Pass, eth0 pre-dnat Deny early 1"},
		{"allowed without tracking, and the answers too", world, n1, 53, rawFrom(53), "Allow; ; eth0 untracked-in Allow raw 0"},
		{"allowed without tracking, but not the answers", world, n1, 53, nil, "Deny; ; eth0 untracked-in Allow raw 0; answers at eth0 output out of state"},
		{"allowed without tracking, and nothing governs the answers", world, n1, 53, func(m *policy.Model, _ *policy.Flow) {
			v, raw := *m.Endpoints[1], *m.Policies[3]
			v.Profiles, raw.Types = []string{policy.DefaultAllowProfile}, [2]bool{policy.Ingress: true}
			m.Endpoints[1], m.Policies = &v, []*policy.Policy{&raw}
		}, "Allow; ; eth0 untracked-in Allow raw 0"},
		{"without tracking on two nodes: both must let the answers through", n1, n2, 53, func(m *policy.Model, f *policy.Flow) {
			rawFrom(53)(m, f)
			m.Policies[3].Rules[policy.Egress] = m.Policies[3].Rules[policy.Egress][:2]
			m.Endpoints[0] = hostOn(m.Endpoints[0], "n2")
		}, "Deny; ; eth0 untracked-out Allow raw 0, all untracked-in Allow raw 0; answers at all output out of state"},
		{"without tracking is a packet, whatever request the connection carries", world, n1, 53, func(m *policy.Model, f *policy.Flow) {
			raw := *m.Policies[3]
			raw.Rules[policy.Ingress] = slices.Clone(raw.Rules[policy.Ingress])
			raw.Rules[policy.Ingress][0].HTTP = &policy.HTTPMatch{Methods: []string{"GET"}}
			m.Policies = []*policy.Policy{of(m.Policies[0], 53), &raw}
			f.HTTP = &policy.HTTPRequest{Method: "POST", Path: "/"}
		}, "Deny; ingress plain 0; eth0 untracked-in Pass; answers at eth0 output out of state"},
		{"denied without tracking", world, n1, 54, nil, "Deny; ; eth0 untracked-in Deny raw 1"},
		{"what the host sends", n1, world, 80, nil, "Allow; egress plain 0; eth0 untracked-out Pass"},
		{"what it asks for, it asks for without tracking: translated is that later", n1, podC, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr("198.51.100.200"), 54
		}, "Deny; ; eth0 untracked-out Deny raw 1"},
		{"and what it is translated to decides later", n1, podC, 81, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr("198.51.100.200"), 53
		}, "Deny; ; eth0 untracked-out Allow raw 0; answers at eth0 input out of state"},
		{"what the host may not send", n1, world, 90, nil, "Deny; egress plain -1; eth0 untracked-out Pass"},
		{"routed to a pod: applyOnForward", world, podA, 90, nil, "Allow; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Allow forward 0"},
		{"and denied", world, podA, 80, nil, "Deny; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Deny forward -1"},
		{"routed from a pod: by its own interface", podA, world, 90, nil, "Allow; ; all pre-dnat Pass, all forward-in Allow forward 0"},
		{"and denied", podA, world, 80, nil, "Deny; ; all pre-dnat Pass, all forward-in Deny forward -1"},
		{"to a pod of a node without host endpoints", podA, podC, 90, nil, "Allow; ; all pre-dnat Pass, all forward-in Allow forward 0"},
		{"to a pod of another node that has some", podC, podA, 80, nil, "Deny; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Deny forward -1"},
		{"within the node", podA, podB, 90, nil, "Allow; ; all pre-dnat Pass, all forward-in Allow forward 0"},
		{"within the node, denied", podA, podB, 80, nil, "Deny; ; all pre-dnat Pass, all forward-in Deny forward -1"},
		{"no policy for routed packets acts there", podA, podB, 80, func(m *policy.Model, _ *policy.Flow) { m.Policies = m.Policies[2:] }, "Allow; ; all pre-dnat Pass"},
		{"a NodePort that a pod of the node asks for", podA, podB, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(n1), 30001
		}, "Deny; ; all pre-dnat Deny early 1"},
		{"and one that it may ask for", podA, podB, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(n1), 30000
		}, "Allow; ; all pre-dnat Allow early 0"},
		{"what a pod asks for anywhere", podA, world, 30001, nil, "Deny; ; all pre-dnat Deny early 1"},
		{"a pod's own interface is not that of all", podA, world, 30001, func(m *policy.Model, _ *policy.Flow) {
			v := *m.Endpoints[0]
			v.Interface = "eth9"
			m.Endpoints[0] = &v
		}, "Allow; ; "},
		{"a pod and its node, before DNAT", podA, n1, 30001, nil, "Deny; ; all pre-dnat Deny early 1"},
		{"a pod and its node: Drop, but allowed before DNAT", podA, n1, 30000, func(m *policy.Model, _ *policy.Flow) { m.Host.EndpointToHost = policy.Deny }, "Deny; ingress  -1; all pre-dnat Allow early 0"},
		{"a node and its pod", n1, podA, 99, nil, "Allow; ; "},
		{"a pod and its node", podA, n1, 99, nil, "Allow; ; all pre-dnat Pass"},
		{"a pod and its node: Drop", podA, n1, 99, func(m *policy.Model, _ *policy.Flow) { m.Host.EndpointToHost = policy.Deny }, "Deny; ingress  -1; all pre-dnat Pass"},
		{"a pod and its node: Return", podA, n1, 80, func(m *policy.Model, _ *policy.Flow) { m.Host.EndpointToHost = policy.Pass }, "Allow; ; all pre-dnat Pass"},
		{"a pod and its node: its own egress policy", podA, n1, 99, ofPods(policy.KindGlobalNetworkPolicy), "Deny; egress pods -1; all pre-dnat Pass"},
		{"a pod and its node: what that allows", podA, n1, 443, ofPods(policy.KindGlobalNetworkPolicy), "Allow; egress pods 0; all pre-dnat Pass"},
		{"a pod and its node: Kubernetes policies alone deny nothing", podA, n1, 99, ofPods(policy.KindKubernetesNetworkPolicy), "Allow; egress kns.ns 0; all pre-dnat Pass"},
		{"a pod and its node: what they allow", podA, n1, 443, ofPods(policy.KindKubernetesNetworkPolicy), "Allow; egress pods 0; all pre-dnat Pass"},
		{"a pod and its node: they deny elsewhere", podC, n1, 99, ofPods(policy.KindKubernetesNetworkPolicy), "Deny; egress pods -1, ingress plain -1; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"a pod and its node: both", podA, n1, 99, ofPods(policy.KindKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy), "Deny; egress pods -1; all pre-dnat Pass"},
		{"a pod and its node: its policy, where no host endpoint is", podA, n1, 99, func(m *policy.Model, f *policy.Flow) {
			ofPods(policy.KindNetworkPolicy)(m, f)
			m.Endpoints = m.Endpoints[2:]
		}, "Deny; egress pods -1; "},
		{"a node that is known by its host endpoint only, and its pod", n1, podA, 99, func(m *policy.Model, _ *policy.Flow) {
			m.Nodes = nil
			m.Policies = append(m.Policies, &policy.Policy{
				Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "pods"}, Tier: "default", Types: [2]bool{true, true},
			})
		}, "Allow; ; "},
		{"a pod and another node", podC, n1, 99, nil, "Deny; ingress plain -1; eth0 untracked-in Pass, eth0 pre-dnat Pass"},
		{"a node's own addresses", n1, other1, 99, nil, "Allow; ; "},
		{"a NodePort, by the port outside", world, podA, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(n1), 30000
		}, "Allow; ; eth0 untracked-in Pass, eth0 pre-dnat Allow early 0"},
		{"a NodePort of this node for a pod of another one", world, podC, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(n1), 30001
		}, "Deny; ; eth0 untracked-in Pass, eth0 pre-dnat Deny early 1"},
		{"a NodePort of another node for a pod of this one", world, podA, 80, func(_ *policy.Model, f *policy.Flow) {
			f.PreNATDst, f.PreNATDstPort = netip.MustParseAddr(n2), 30000
		}, "Deny; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Deny forward -1"},
		{"transit: nobody is asked where no node is named", world, other, 90, nil, "Allow; ; "},
		{"transit: by the interface that it comes in by", world, other, 90, func(_ *policy.Model, f *policy.Flow) {
			f.Router, f.In, f.Out = "n1", "eth0", "eth1"
		}, "Allow; ; eth0 untracked-in Pass, eth0 pre-dnat Pass, eth0 forward-in Allow forward 0"},
		{"transit: denied as it comes in", world, other, 80, func(_ *policy.Model, f *policy.Flow) { f.Router = "n1" },
			"Deny; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Deny forward -1"},
		{"transit: denied as it leaves", world, other, 90, func(m *policy.Model, f *policy.Flow) {
			v := *m.Policies[1]
			v.Types, v.Rules[policy.Egress] = [2]bool{true, true}, []policy.Rule{{Action: policy.Deny}}
			m.Policies[1] = &v
			f.Router, f.In, f.Out = "n1", "eth1", "eth0"
		}, "Deny; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Allow forward 0, eth0 forward-out Deny forward 0"},
		{"transit: allowed before DNAT", world, other, 30000, func(_ *policy.Model, f *policy.Flow) { f.Router = "n1" },
			"Allow; ; all untracked-in Pass, all pre-dnat Allow early 0"},
		{"transit: without tracking nothing else is asked", world, other, 53, func(m *policy.Model, f *policy.Flow) {
			rawFrom(53)(m, f)
			f.Router = "n1"
		}, "Allow; ; all untracked-in Allow raw 0"},
		{"transit: without tracking, the answers denied", world, other, 53, func(_ *policy.Model, f *policy.Flow) { f.Router = "n1" },
			"Deny; ; all untracked-in Allow raw 0; answers at all forward-in out of state"},
		{"transit: what was asked for is the router's to see", world, other, 80, func(_ *policy.Model, f *policy.Flow) {
			f.Router, f.PreNATDst, f.PreNATDstPort = "n1", netip.MustParseAddr("198.51.100.200"), 30001
		}, "Deny; ; all untracked-in Pass, all pre-dnat Deny early 1"},
		{"transit: the interfaces are the router's, and not those of the ends' hosts", podC, world, 90, func(m *policy.Model, f *policy.Flow) {
			m.Endpoints[1] = hostOn(m.Endpoints[1], "n2")
			f.Router, f.In, f.Out = "n1", "eth1", "eth1"
		}, "Allow; ; all untracked-in Pass, all pre-dnat Pass, all forward-in Allow forward 0"},
		{"transit: a node without host endpoints", world, other, 80, func(_ *policy.Model, f *policy.Flow) { f.Router = "n2" }, "Allow; ; "},
		{"a pod of a node that is a failsafe's port is no host", world, podA, 22, nil, "Deny; ; all forward-in Deny forward -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := hostModel(t)
			f := policy.Flow{Src: netip.MustParseAddr(c.from), Dst: netip.MustParseAddr(c.to), Protocol: policy.TCP, SrcPort: 49152, DstPort: c.port}
			if c.change != nil {
				c.change(m, &f)
			}
			if diff := cmp.Diff(c.want, summary(evaluate.New(m).Evaluate(f))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// hostOn returns a version of a host endpoint on another node.
func hostOn(ep *policy.Endpoint, node string) *policy.Endpoint {
	v := *ep
	v.Node = node
	return &v
}

// of returns a version of a policy that allows a TCP port, and nothing else.
func of(p *policy.Policy, port uint16) *policy.Policy {
	v := *p
	to := policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}}
	for dir := range v.Rules {
		v.Rules[dir] = []policy.Rule{{Action: policy.Allow, Protocol: new(policy.TCP), Destination: to}}
	}
	return &v
}

// rawFrom has the policy without tracking allow answers from a port, in both directions.
func rawFrom(port uint16) func(*policy.Model, *policy.Flow) {
	return func(m *policy.Model, _ *policy.Flow) {
		p := *m.Policies[3]
		for _, dir := range policy.Directions {
			from := policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}}
			p.Rules[dir] = append(slices.Clone(p.Rules[dir]), policy.Rule{Index: 2, Action: policy.Allow, Protocol: new(policy.TCP), Source: from})
		}
		m.Policies[3] = &p
	}
}

// ofPods adds egress policies of the kinds, which select pods and allow port 443.
func ofPods(kinds ...string) func(*policy.Model, *policy.Flow) {
	return func(m *policy.Model, _ *policy.Flow) {
		pods, _ := selector.Parse("!has(host)")
		for i, kind := range kinds {
			m.Policies = append(m.Policies, &policy.Policy{
				Key: policy.Key{Kind: kind, Namespace: "ns", Name: "pods"}, Tier: "default", Order: float64(i), Selector: pods, Types: [2]bool{policy.Egress: true},
				Rules: [2][]policy.Rule{policy.Egress: {{Action: policy.Allow, Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 443, Last: 443}}}}}}},
			})
		}
	}
}

// summary returns a result in a line.
func summary(r policy.Result) string {
	var ends, hosts []string
	for i, d := range []policy.Decision{r.Egress, r.Ingress} {
		if d.By != nil {
			ends = append(ends, fmt.Sprintf("%v %s %d", policy.Direction(i), d.By.Title(), d.By.Rule))
		}
	}
	for _, h := range r.Hosts {
		text := fmt.Sprintf("%s %v %v", h.Endpoint.Name, h.Hook, h.Verdict)
		if h.By != nil {
			text += fmt.Sprintf(" %s %d", h.By.Title(), h.By.Rule)
		}
		hosts = append(hosts, text)
	}
	text := fmt.Sprintf("%v; %s; %s", r.Verdict, strings.Join(ends, ", "), strings.Join(hosts, ", "))
	if a := r.Answer; a != nil {
		text += fmt.Sprintf("; answers at %s %v", a.Endpoint.Name, a.Hook)
		if a.OutOfState {
			text += " out of state"
		} else {
			text += fmt.Sprintf(" by %s %d", a.By.Name, a.By.Rule)
		}
	}
	return text
}
