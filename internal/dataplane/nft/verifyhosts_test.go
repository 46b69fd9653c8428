package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// verifyKernel reads the table and holds it against a model. A table that cannot be
// read as ours is different.
func verifyKernel(t interface{ Fatal(...any) }, b *Dataplane, m *policy.Model) (differences int, first string) {
	k, err := b.ReadBack(context.Background())
	if err != nil {
		return 1, err.Error()
	}
	rep := verified(t, b, m, k)
	for _, d := range rep.First {
		first += d.String() + "\n"
	}
	return rep.Differences, first
}

func verified(t interface{ Fatal(...any) }, b *Dataplane, m *policy.Model, k *Kernel) *verify.Report {
	rep, err := verify.Run(context.Background(), verify.Input{
		Model: m, Tables: b.state, Kernel: k, IsLocal: func(ep *policy.Endpoint) bool { return ep.Node == "node-a" }, Mark: b.host.settings.Mark,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestVerifyWalksHosts: whatever the model, a kernel that holds what it should is
// found to decide as it should, from its base chains on.
func TestVerifyWalksHosts(t *testing.T) {
	ns := newNamespace(t)
	setMaxSpans(t, maxSpans)
	rapid.Check(t, func(t *rapid.T) {
		maxSpans = rapid.SampledFrom([]int{0, 1, 512}).Draw(t, "intervals of a class")
		m := modeltest.ModelsWithHosts().Draw(t, "model").At(func(ep *policy.Endpoint) bool { return ep.Node == "node-a" })
		// Whose an address is that a workload has and a host endpoint expects is not
		// the question here.
		for i, ep := range m.Endpoints {
			if ep.Host != nil {
				v := *ep
				v.Addrs = slices.DeleteFunc(slices.Clone(ep.Addrs), func(a netip.Addr) bool {
					return slices.ContainsFunc(m.Endpoints, func(o *policy.Endpoint) bool { return o.Host == nil && slices.Contains(o.Addrs, a) })
				})
				m.Endpoints[i] = &v
			}
		}
		b, err := New(hostOptions(ns, m))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		e := onNodeA()
		e.Apply(modeltest.Changes(nil, m)...)
		d := e.Flush()
		if d == nil {
			return
		}
		if err := b.Apply(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		if n, text := verifyKernel(t, b, m); n > 0 {
			t.Fatalf("%v\n%d differences, the first:\n%s", modeltest.Text{Model: m}, n, text)
		}
	})
}

// mutationModel is a node in which everything that host endpoints can have matters:
// two of them, each kind of policy, pods, failsafes of both directions.
func mutationModel(t *testing.T, toHost policy.Action) *policy.Model {
	tcp := policy.TCP
	m := &policy.Model{Host: policy.HostSettings{
		FailsafeIn: []policy.Failsafe{{Protocol: policy.TCP, Port: 22}, {Protocol: policy.UDP, Port: 68}}, FailsafeOut: []policy.Failsafe{{Protocol: policy.UDP, Port: 53}},
		EndpointToHost: toHost,
	}}
	for _, c := range hostObjects(t) {
		switch o := c.Object.(type) {
		case *policy.Tier:
			m.Tiers = append(m.Tiers, o)
		case *policy.Policy:
			o.Selector = selector.MustParse("has(host)")
			m.Policies = append(m.Policies, o)
		case *policy.Endpoint:
			o.Labels = selector.Labels{{Key: "host", Value: o.Key.Name}}
			m.Endpoints = append(m.Endpoints, o)
		}
	}
	// Denied before connections are tracked, and before DNAT, beside what is allowed.
	add := func(name string, o policy.HostOptions, sel string, order float64, types [2]bool, rules ...policy.Rule) {
		p := &policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: "default", Order: order, Host: o,
			Selector: selector.MustParse(sel), Types: types,
		}
		for _, dir := range policy.Directions {
			if types[dir] {
				p.Rules[dir] = rules
			}
		}
		m.Policies = append(m.Policies, p)
	}
	both := [2]bool{true, true}
	add("only-all", policy.HostOptions{ApplyOnForward: true}, "host == 'all'", 1, both,
		policy.Rule{Action: policy.Allow, Protocol: &tcp, Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 7000, Last: 7000}}}}})
	deny := func(p policy.Protocol, dst, src uint16) policy.Rule {
		r := policy.Rule{Action: policy.Deny, Protocol: &p}
		if dst != 0 {
			r.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: dst, Last: dst}}}
		}
		if src != 0 {
			r.Source.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: src, Last: src}}}
		}
		return r
	}
	in, raw, early := [2]bool{policy.Ingress: true}, policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}, policy.HostOptions{ApplyOnForward: true, PreDNAT: true}
	closed := []policy.Rule{
		deny(policy.TCP, 22, 0), deny(policy.UDP, 68, 0), deny(policy.UDP, 53, 0), deny(policy.TCP, 0, 22), deny(policy.UDP, 0, 68), deny(policy.UDP, 0, 53),
		deny(policy.ICMPv6, 0, 0), deny(policy.TCP, 8080, 0), deny(protocolIGMP, 0, 0),
	}
	for i := range closed {
		closed[i].Index = i
	}
	sctp := policy.SCTP
	add("sctp", policy.HostOptions{ApplyOnForward: true}, "has(host)", 6, both, policy.Rule{Action: policy.Allow, Protocol: &sctp})
	add("raw-closed", raw, "has(host)", 2, both, closed...)
	add("early-closed", early, "has(host)", 3, in, closed...)
	add("raw-all", raw, "host == 'all'", 4, both, deny(policy.TCP, 7001, 0))
	add("early-all", early, "host == 'all'", 5, in, deny(policy.TCP, 7001, 0))
	for i, app := range []string{"a", "b", "c"} {
		port := uint16(9000 + i)
		add("from-"+app, policy.HostOptions{ApplyOnForward: true}, "has(host)", float64(10+i), both, policy.Rule{
			Action: policy.Allow, Protocol: &tcp,
			Source:      policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("app", app)}},
			Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}},
		})
		for n := range 2 {
			node := []string{"node-a", "node-b"}[n]
			m.Endpoints = append(m.Endpoints, &policy.Endpoint{
				Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: app + fmt.Sprint(n)}, Node: node, Profiles: []string{"kns.ns"},
				Addrs:  []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n), byte(1 + i)}), netip.MustParseAddr(fmt.Sprintf("fd00::%d:%d", n, 1+i))},
				Labels: selector.Labels{{Key: "app", Value: app}},
			})
		}
	}
	return m
}

// mutation is one change of a table: in the kernel, and in what was read of it.
type mutation struct {
	text   string
	kernel func() error
	copied func(*Kernel) // nil: only in the kernel
}

// everyMutation is the environment variable with which all mutations are tried, and not
// only one of some: that takes minutes.
const everyMutation = "EVERY_MUTATION"

// inKernel is how many of the mutations that could be tried on a copy are made in the
// kernel as well: one of so many.
const inKernel = 25

// TestVerifyFindsMutations takes a table that is right and changes one thing at a
// time: rules go or change places, elements go or come, base chains get another
// priority or policy. Verification finds every one.
func TestVerifyFindsMutations(t *testing.T) {
	for name, toHost := range map[string]policy.Action{"drop": policy.Deny, "return": policy.Pass} {
		t.Run(name, func(t *testing.T) { findMutations(t, toHost, "", 200) })
		t.Run(name+", nets by length", func(t *testing.T) {
			setMaxSpans(t, 0)
			findMutations(t, toHost, "nets", 20)
		})
	}
}

// findMutations tries those whose text holds some, of which there must be so many.
func findMutations(t *testing.T, toHost policy.Action, some string, least int) {
	l := newLab(t)
	m := mutationModel(t, toHost)
	b, err := New(hostOptions(nodeNS(l), m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e := onNodeA()
	e.Apply(modeltest.Changes(nil, m)...)
	apply(t, b, e.Flush())
	if err := b.SetAntiSpoofing(t.Context(), dataplane.AntiSpoofing{Links: []dataplane.Link{{Index: 4711, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}}); err != nil {
		t.Fatal(err)
	}
	if n, text := verifyKernel(t, b, m); n > 0 {
		t.Fatalf("before any change %d differences:\n%s", n, text)
	}
	k, err := b.ReadBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := slices.DeleteFunc(hostMutations(t, l, b, k), func(x mutation) bool { return !strings.Contains(x.text, some) })
	stride := 19
	if os.Getenv(everyMutation) != "" {
		stride = 1
	}
	for i, x := range list {
		if x.copied != nil && i%stride != 0 {
			continue
		}
		if x.copied != nil {
			c := k.clone()
			if x.copied(c); verified(t, b, m, c).Differences == 0 {
				t.Errorf("not found: %s", x.text)
			}
			if i%(inKernel*stride) != 0 {
				continue
			}
		}
		if err := x.kernel(); err != nil {
			t.Fatalf("%s: %v", x.text, err)
		}
		if n, _ := verifyKernel(t, b, m); n == 0 {
			t.Errorf("not found in the kernel: %s", x.text)
		}
		if err := b.replace(b.table, b.relaid(b.state)); err != nil {
			t.Fatal(err)
		}
	}
	if t.Logf("%d mutations", len(list)); len(list) < least {
		t.Error("too few")
	}
}

// hostMutations lists what can be changed of host endpoints.
func hostMutations(t *testing.T, l *lab.Lab, b *Dataplane, k *Kernel) []mutation {
	var list []mutation
	add := func(text string, copied func(*Kernel), fill func(*codec.Batch)) {
		list = append(list, mutation{text, func() error {
			out := codec.NewBatch(b.table)
			fill(out)
			return b.send(out)
		}, copied})
	}
	rules := func(text, chain string, now []codec.Rule) {
		add(text, func(c *Kernel) { c.chains[chain] = now }, func(out *codec.Batch) { out.SetRules(codec.ChainRules{Name: chain, Rules: now}) })
	}
	for _, name := range slices.Sorted(maps.Keys(k.chains)) {
		if !strings.HasPrefix(name, "host-") && !strings.HasPrefix(name, forwardChain) && name != strictChain && name != rawChain {
			continue
		}
		was := k.chains[name]
		for i := range was {
			if last := was[i].Exprs[len(was[i].Exprs)-1]; last.Kind == codec.VerdictMap && !strings.HasPrefix(last.Set, "host-") {
				continue // of workloads, of which this node's have no policy
			}
			if last := was[i].Exprs[len(was[i].Exprs)-1]; strings.HasPrefix(last.Verdict.Chain, guardPrefix) {
				continue // of guards, which are no verdicts: the check compares them
			}
			if matters(k, name, i) {
				rules(fmt.Sprintf("chain %s without rule %d of %d: %+v", name, i, len(was), was[i].Exprs), name, slices.Delete(slices.Clone(was), i, i+1))
			}
		}
		for i := range len(was) - 1 {
			if swapMatters(was[i], was[i+1]) && !strings.Contains(name, "-node-") && name != forwardChain+"4" && name != forwardChain+"6" {
				now := slices.Clone(was)
				now[i], now[i+1] = now[i+1], now[i]
				rules(fmt.Sprintf("chain %s with rules %d and %d in another order: %+v", name, i, i+1, was[i].Exprs), name, now)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.sets)) {
		s := k.sets[name]
		if !strings.HasPrefix(name, "host-") && !strings.HasPrefix(name, hereSet) && !isLevel(name) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(s.elements)) {
			add(fmt.Sprintf("set %s without element %x", name, key), func(c *Kernel) { delete(c.sets[name].elements, key) },
				func(out *codec.Batch) { out.DelElement(name, codec.Element{Key: key}) })
		}
		for i, el := range s.intervals {
			if el.End {
				continue
			}
			end := slices.IndexFunc(s.intervals, func(o codec.Element) bool { return o.End && o.Key > el.Key })
			add(fmt.Sprintf("set %s without interval %x", name, el.Key), func(c *Kernel) {
				c.sets[name].intervals = slices.Delete(c.sets[name].intervals, i, i+1)
			}, func(out *codec.Batch) {
				if out.DelElement(name, el); end >= 0 {
					out.DelElement(name, s.intervals[end])
				}
			})
		}
	}
	more := func(text, set, key string) {
		add(text, func(c *Kernel) { c.sets[set].elements[key] = codec.Verdict{} }, func(out *codec.Batch) { out.AddElement(set, codec.Element{Key: key}) })
	}
	for _, dir := range policy.Directions {
		more("one failsafe more, "+dir.String(), failsafeSet(dir), string([]byte{byte(policy.TCP), 0, 0, 0, 0x1b, 0x59, 0, 0}))
	}
	for family, a := range []string{"192.0.2.77", "fd00::77"} {
		more("an address more that is taken for a pod's", hereName(family), addrKey(netip.MustParseAddr(a)))
	}
	for i, c := range k.bases {
		for _, priority := range []int32{-400, -160, 50} {
			if c.Priority != priority {
				list = append(list, mutation{fmt.Sprintf("base chain %s at priority %d", c.Name, priority), func() error {
					gone, back := codec.NewBatch(b.table), codec.NewBatch(b.table)
					gone.DelChain(c.Name, orderEntry)
					other := c
					other.Priority = priority
					back.AddBaseChain(other, k.chains[c.Name])
					return errors.Join(b.send(gone), b.send(back))
				}, nil})
			}
		}
		add("no base chain "+c.Name, func(c *Kernel) { c.bases = slices.Delete(c.bases, i, i+1) }, func(out *codec.Batch) { out.DelChain(c.Name, orderEntry) })
		list = append(list, mutation{"base chain " + c.Name + " with policy drop", func() error {
			stockNFT(t, l, fmt.Sprintf("chain inet tierwall %s { policy drop ; }", c.Name))
			return nil
		}, nil})
	}
	return list
}

// isLevel reports whether a set is of nets of one length.
func isLevel(set string) bool {
	return strings.HasPrefix(set, "nets") && strings.Contains(set, "-class-")
}

// matters reports whether a rule of a chain does something that what follows does not
// do as well. What leads where all others go anyway is there for other states of the
// table: an address of a class without a row of its own within a net that has one, and
// numbers of classes that are not in use.
func matters(k *Kernel, chain string, i int) bool {
	verdictOf := func(r codec.Rule) codec.Verdict { return r.Exprs[len(r.Exprs)-1].Verdict }
	rules := k.chains[chain]
	usual := verdictOf(rules[len(rules)-1])
	root, _, isNode := strings.Cut(chain, "-node-")
	if isNode {
		usual = verdictOf(k.chains[root][len(k.chains[root])-1])
	}
	v := verdictOf(rules[i])
	return v == (codec.Verdict{}) || v != usual || i == len(rules)-1 && !isNode
}

// swapMatters reports whether two rules beside each other may both match a packet and
// do different things: those that go by different families or protocols, or lead to
// the same, may stand in any order.
func swapMatters(a, b codec.Rule) bool {
	known := func(r codec.Rule) bool {
		return slices.ContainsFunc(r.Exprs, func(e codec.Expr) bool {
			return e.Kind == codec.Lookup && e.Set == knownName(0) || e.Set == knownName(1)
		})
	}
	nets := func(r codec.Rule) bool {
		return slices.ContainsFunc(r.Exprs, func(e codec.Expr) bool { return strings.HasSuffix(e.Set, "-nets") || isLevel(e.Set) })
	}
	if known(a) && nets(b) {
		return false // no address with a class of its own lies in these nets
	}
	last := func(r codec.Rule) codec.Expr { return r.Exprs[len(r.Exprs)-1] }
	if last(a).Kind == codec.Immediate && last(b).Kind == codec.Immediate && last(a).Verdict == last(b).Verdict {
		return false
	}
	first := func(r codec.Rule) []codec.Expr { return r.Exprs[:min(2, len(r.Exprs))] }
	x, y := first(a), first(b)
	if len(x) == 2 && len(y) == 2 && x[0] == y[0] && x[1].Kind == codec.Compare && y[1].Kind == codec.Compare && x[1] != y[1] {
		return false
	}
	return true
}
