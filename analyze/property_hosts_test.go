package analyze_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// hostSide is an end of a connection in a model with hosts.
type hostSide struct {
	holder
	node  string
	host  bool
	iface string
	// elsewhere says that its workload has endpoints on other nodes.
	elsewhere bool
}

// hostSides returns the ends of a model: workloads at their addresses, the hosts of host
// endpoints, and the outside world. Left out is what no cluster has: a workload with
// the address of a node.
func hostSides(m *policy.Model) (out []hostSide) {
	index := evaluate.Plain(m)
	ofNode := func(a netip.Addr) bool {
		return slices.ContainsFunc(m.Nodes, func(n *policy.Node) bool { return slices.Contains(n.Addrs, a) })
	}
	governed := map[string]bool{}
	for _, ep := range m.Endpoints {
		governed[ep.Node] = governed[ep.Node] || ep.Host != nil
	}
	for _, ep := range m.Endpoints {
		addrs := ep.Addrs
		if ep.Host != nil {
			addrs = slices.Clone(addrs)
			for _, n := range m.Nodes {
				if n.Name == ep.Node {
					addrs = append(addrs, n.Addrs...)
				}
			}
		}
		for _, a := range addrs {
			by := index.Holder(a)
			workload := by != nil && by.Host == nil
			switch {
			case ep.Host == nil && (!workload || ofNode(a)):
			case ep.Host == nil:
				out = append(out, hostSide{holder: holder{a, ep}, node: by.Node})
			case !workload && index.NodeAt(a) == ep.Node:
				out = append(out, hostSide{holder: holder{a, ep}, node: ep.Node, host: true, iface: ep.Interface})
			}
		}
	}
	for _, list := range modeltest.PointsOf(m).Addrs {
		for _, a := range list {
			node := index.NodeAt(a)
			if index.Holder(a) == nil && !governed[node] {
				out = append(out, hostSide{holder: holder{a, nil}, node: node, host: node != ""})
			}
		}
	}
	for i := range out {
		out[i].elsewhere = out[i].ep != nil && out[i].ep.Owner != (policy.Key{}) && slices.ContainsFunc(out, func(s hostSide) bool {
			return s.ep != nil && s.ep.Host == nil && s.ep.Owner == out[i].ep.Owner && s.node != out[i].node
		})
	}
	return out
}

// name gives the name under which an end is listed; own is the node whose host is at
// the other end, if both are on it.
func (a *answer) hostName(s hostSide, own string) string {
	if s.ep == nil || s.ep.Host == nil {
		name := a.nameOf(s.ep, s.addr)
		if own == "" || s.ep == nil {
			return name
		}
		for _, base := range []string{s.ep.Key.String(), s.ep.Owner.String()} {
			if on := base + " (on " + own + ")"; a.ends[on] {
				return on
			}
		}
		if s.elsewhere && name == s.ep.Owner.String() {
			return name + " (on " + own + ")" // its name alone is that of its pods elsewhere
		}
		return name
	}
	for _, name := range []string{"host/" + s.ep.Key.Name, "host/" + s.ep.Key.Name + " (" + s.addr.String() + ")"} {
		if a.ends[name] {
			return name
		}
	}
	return ""
}

// TestReachOfHostsSaysWhatEvaluateSays is TestReachSaysWhatEvaluateSays with host
// endpoints: hosts as ends, and what they say of traffic that is routed.
func TestReachOfHostsSaysWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := owned(t, modeltest.ModelsWithHosts().Draw(t, "model"))
		t.Logf("%v", modeltest.Text{Model: m})
		opts := analyze.ReachOptions{Pods: rapid.Bool().Draw(t, "pods")}
		r, err := analyze.Reach(m, opts)
		if err != nil {
			t.Fatal(err)
		}
		a, ev := newAnswer(t, r), evaluate.New(m)
		srcPort := sourcePort(t, r)
		sides := hostSides(m)
		var flows []policy.Flow
		for range 4 {
			f := modeltest.Flows(m).Draw(t, "flow")
			f.HTTP = modeltest.Requests().Draw(t, "request")
			flows = append(flows, f)
		}
		for _, src := range sides {
			for _, dst := range sides {
				if src.addr.Is4() != dst.addr.Is4() || src.addr == dst.addr || src.ep == nil && dst.ep == nil || src.ep == dst.ep {
					continue
				}
				home := src.node != "" && src.node == dst.node && (src.host || dst.host)
				own := ""
				if home {
					if src.host || dst.ep == nil {
						continue // always the same, and not listed
					}
					own = dst.node
				}
				srcName, dstName := a.hostName(src, own), a.hostName(dst, "")
				if srcName != "" && srcName == dstName {
					continue
				}
				if src.ep != nil && dst.ep != nil && !opts.Pods && src.ep.Owner != (policy.Key{}) && src.ep.Owner == dst.ep.Owner {
					continue // within one workload
				}
				unlisted := own != "" && a.pairs[[2]string{srcName, dstName}] == nil
				said := map[policy.Action]bool{}
				for _, f := range flows {
					if src.addr.Is4() && f.IsNeighbourDiscovery() {
						continue // IPv4 has none
					}
					f.Src, f.Dst, f.Out, f.In = src.addr, dst.addr, src.iface, dst.iface
					if f.Protocol.HasPorts() {
						f.SrcPort = srcPort
					}
					if isControl(f) && (unlisted || !a.allows(srcName, dstName, f)) {
						continue // never judged, so that it need not be listed
					}
					want := ev.Evaluate(f)
					if said[want.Verdict] = true; unlisted {
						if len(said) > 1 {
							t.Fatalf("%q to %q is not listed, though policy decides what is allowed: %+v", srcName, dstName, f)
						}
						continue // always the same
					}
					if got := a.allows(srcName, dstName, f); got != (want.Verdict == policy.Allow) {
						t.Fatalf("%+v %+v, %q to %q: listed as %v: %v; evaluate says egress %v by %v, ingress %v by %v, hosts %+v, answers %+v", f, f.HTTP, srcName, dstName, got,
							a.pairs[[2]string{srcName, dstName}], want.Egress.Verdict, want.Egress.By, want.Ingress.Verdict, want.Ingress.By, want.Hosts, want.Answer)
					}
				}
			}
		}
	})
}

// isControl reports whether a flow is never judged, or its answers are not: these may go to
// a group where one is the source.
func isControl(f policy.Flow) bool {
	back := f
	back.Src, back.Dst = f.Dst, f.Src
	return f.IsControlTraffic() || back.IsControlTraffic()
}

// withDomains returns sets of a model domains. What is learned for them counts where
// translate has it count: in the destination of egress rules that allow.
func withDomains(t *rapid.T, m *policy.Model) *policy.Model {
	out := *m
	out.Policies = nil
	for _, p := range m.Policies {
		v := *p
		for dir := range v.Rules {
			v.Rules[dir] = slices.Clone(p.Rules[dir])
			for i := range v.Rules[dir] {
				r := &v.Rules[dir][i]
				for _, e := range []**policy.PeerSet{&r.Source.Set, &r.Source.NotSet, &r.Destination.Set, &r.Destination.NotSet} {
					if *e != nil && (policy.Direction(dir) != policy.Egress || r.Action != policy.Allow || e != &r.Destination.Set) {
						plain := **e
						plain.DNSLearned = false
						*e = &plain
					}
				}
			}
		}
		out.Policies = append(out.Policies, &v)
	}
	out.Sets = nil
	for _, s := range m.Sets {
		v := *s
		if !v.DNSLearned {
			v.Domains = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a.example", "*.a.example", "b.a.example", "*.example", "c.test"}), 0, 3,
				func(d string) string { return d }).Draw(t, "domains")
		}
		out.Sets = append(out.Sets, &v)
	}
	return &out
}

// inNet reports whether a net of a rule or a set holds the address, those aside that
// hold all of its family.
func inNet(m *policy.Model, a netip.Addr) bool {
	var nets []netip.Prefix
	for _, s := range m.Sets {
		nets = append(nets, s.Nets...)
	}
	for _, p := range m.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				src, dst := &rules[i].Source, &rules[i].Destination
				nets = slices.Concat(nets, src.Nets, src.NotNets, dst.Nets, dst.NotNets)
			}
		}
	}
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Bits() > 0 && n.Contains(a) })
}

// TestReachOfDomainsSaysWhatEvaluateSays decides connections to an address that a
// name has and that nothing else in the model names.
func TestReachOfDomainsSaysWhatEvaluateSays(t *testing.T) {
	names := map[string]string{"a.example": "a.example", "*.a.example": "x.a.example", "b.a.example": "b.a.example", "*.example": "x.example", "c.test": "c.test"}
	holds := func(domain, name string) bool {
		below, wild := strings.CutPrefix(domain, "*")
		return domain == name || wild && strings.HasSuffix(name, below)
	}
	fresh := [2]netip.Addr{netip.MustParseAddr("251.2.3.4"), netip.MustParseAddr("e123::7")}
	rapid.Check(t, func(t *rapid.T) {
		m := withDomains(t, modeltest.ModelsWithHosts().Draw(t, "model"))
		t.Logf("%v", modeltest.Text{Model: m})
		r, err := analyze.Reach(m, analyze.ReachOptions{Pods: true})
		if err != nil {
			t.Fatal(err)
		}
		a := newAnswer(t, r)
		all := map[string]bool{}
		for _, s := range m.Sets {
			for _, d := range s.Domains {
				all[d] = true
			}
		}
		for domain := range all {
			learned := *m
			learned.Sets = slices.Clone(m.Sets)
			for _, s := range m.Sets {
				if slices.ContainsFunc(s.Domains, func(d string) bool { return holds(d, names[domain]) }) {
					learned.Sets = append(learned.Sets, &policy.Set{
						Key: policy.Key{Kind: policy.KindLearned, Name: s.Key.String()}, Labels: s.Labels, Internal: s.Internal, DNSLearned: true,
						Nets: []netip.Prefix{netip.PrefixFrom(fresh[0], 32), netip.PrefixFrom(fresh[1], 128)},
					})
				}
			}
			ev, without := evaluate.New(&learned), evaluate.New(m)
			for _, src := range hostSides(m) {
				if src.ep == nil || slices.ContainsFunc(r.Notes, func(n analyze.Note) bool {
					return n == analyze.DomainsNotListedNote{Family: policy.FamilyOf(src.addr)}
				}) {
					continue
				}
				f := modeltest.Flows(m).Draw(t, "flow")
				if src.addr.Is4() && f.IsNeighbourDiscovery() {
					continue // IPv4 has none
				}
				f.HTTP = modeltest.Requests().Draw(t, "request")
				f.Src, f.Dst, f.Out, f.In = src.addr, fresh[0], src.iface, ""
				if !src.addr.Is4() {
					f.Dst = fresh[1]
				}
				if inNet(m, f.Dst) {
					continue // reach speaks of addresses that only the name tells apart
				}
				if f.Protocol.HasPorts() {
					f.SrcPort = 49152
				}
				name := a.hostName(src, "")
				end := a.rangeOf(f.Dst) // where it is the same to all of the world
				for _, p := range r.Pairs {
					if p.Src.String() == name && slices.Contains(p.Dst.Domains.List(), domain) {
						end = p.Dst.String()
					}
				}
				if f.IsControlTraffic() {
					continue // never judged
				}
				want := ev.Evaluate(f).Verdict == policy.Allow
				if got := a.allows(name, end, f); got != want {
					t.Fatalf("%+v %+v, %q to %s (%q): listed as %v: %v; evaluate says %v, and without what is learned %v", f, f.HTTP, name, domain, end, got,
						a.pairs[[2]string{name, end}], want, without.Evaluate(f).Verdict)
				}
			}
		}
	})
}
