package nft

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Bridges of linkModel's node.
const (
	oneBridge     = 100
	anotherBridge = 200
)

// linkModel is a node on which everything that guards go by is there: ports of two bridges and
// routed links, governed in either direction, in both or in none, with further sources and
// without, of which the hardware address is known or not.
func linkModel(toHost policy.Action) (*policy.Model, dataplane.AntiSpoofing) {
	m := &policy.Model{Host: policy.HostSettings{EndpointToHost: toHost}}
	m.Tiers = append(m.Tiers, &policy.Tier{Name: "default", Order: 1_000_000, DefaultAction: policy.Deny})
	tcp := policy.TCP
	web := policy.Rule{Action: policy.Allow, Protocol: &tcp, Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 80, Last: 80}}}}}
	add := func(name, sel string, types [2]bool) {
		m.Policies = append(m.Policies, &policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: "default", Selector: selector.MustParse(sel), Types: types,
			Rules: [2][]policy.Rule{{web}, {web}},
		})
	}
	add("closed-in", "has(in)", [2]bool{policy.Ingress: true})
	add("closed-out", "has(out)", [2]bool{policy.Egress: true})
	known := dataplane.AntiSpoofing{
		NodeAddrs:   []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd01::1")},
		TunnelPorts: []uint16{8999}, OverlayPorts: []uint16{8999}, OverlayProtocols: []policy.Protocol{4, 41},
		OverlayAddrs: []netip.Addr{netip.MustParseAddr("10.1.0.9"), netip.MustParseAddr("fd01::9")},
		PodNets:      []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/64")},
	}
	n := 0
	endpoint := func(labels string, bridge int, mac bool, sources ...string) {
		n++
		ep := &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: fmt.Sprint("pod-", n)}, Node: "node-a", Profiles: []string{"kns.ns"},
			Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), netip.MustParseAddr(fmt.Sprintf("fd00::%d", n))},
		}
		for _, word := range strings.Fields(labels) {
			ep.Labels = append(ep.Labels, selector.Label{Key: word})
		}
		m.Endpoints = append(m.Endpoints, ep)
		l := dataplane.Link{Index: 1000 + n, Port: bridge != 0, Bridge: bridge, Addrs: ep.Addrs}
		if mac {
			l.MAC = net.HardwareAddr{0x0a, 0, 0, 0, 0, byte(n)}
		}
		for _, s := range sources {
			l.Sources = append(l.Sources, netip.MustParsePrefix(s))
		}
		known.Links = append(known.Links, l)
	}
	for _, bridge := range []int{oneBridge, 0} {
		endpoint("", bridge, true)
		if bridge == 0 { // which of several addresses errors are about is asked there
			ep, l := m.Endpoints[n-1], &known.Links[n-1]
			ep.Addrs = append(ep.Addrs, netip.MustParseAddr("10.0.0.201"), netip.MustParseAddr("fd00::201"))
			l.Addrs = ep.Addrs
		}
		endpoint("in", bridge, true)
		endpoint("out", bridge, false)
		endpoint("in out", bridge, true)
	}
	return m, known
}

// withSources gives two more endpoints further sources.
func withSources(m *policy.Model, known *dataplane.AntiSpoofing) {
	for i, bridge := range []int{anotherBridge, 0} {
		ep := *m.Endpoints[3]
		ep.Key.Name = fmt.Sprint("more-", i)
		ep.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + i)}), netip.MustParseAddr(fmt.Sprintf("fd00::10%d", i))}
		m.Endpoints = append(m.Endpoints, &ep)
		known.Links = append(known.Links, dataplane.Link{
			Index: 2000 + i, Port: bridge != 0, Bridge: bridge, Addrs: ep.Addrs, MAC: net.HardwareAddr{0x0a, 0, 0, 0, 1, byte(i)},
			Sources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:9::/48")},
		})
	}
}

// linkLab has the kernel hold what a model and links ask for.
func linkLab(t *testing.T, m *policy.Model, known dataplane.AntiSpoofing, guards dataplane.GuardSettings) *Dataplane {
	t.Helper()
	o := hostOptions(newNamespace(t), m)
	o.Guards = guards
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e := onNodeA()
	e.Apply(modeltest.Changes(nil, m)...)
	apply(t, b, e.Flush())
	if err := b.SetAntiSpoofing(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	return b
}

// verifyLinks holds a table against what guards must do.
func verifyLinks(t *testing.T, b *Dataplane, m *policy.Model, k *Kernel) *verify.Report {
	t.Helper()
	rep, err := verify.Run(t.Context(), verify.Input{
		Model: m, Tables: b.state, Kernel: k, IsLocal: func(ep *policy.Endpoint) bool { return ep.Node == "node-a" }, Mark: b.host.settings.Mark,
		Links: &verify.Links{Known: b.known, Settings: b.guards},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestVerifyWalksLinks: whatever the settings, a kernel that holds what it should is found to
// guard links as it should.
func TestVerifyWalksLinks(t *testing.T) {
	type setting struct {
		name   string
		guards dataplane.GuardSettings
		toHost policy.Action
	}
	list := []setting{
		{"all", dataplane.GuardSettings{}, policy.Pass}, {"host closed", dataplane.GuardSettings{}, policy.Deny},
		{"all encapsulation", dataplane.GuardSettings{Encapsulation: dataplane.EncapsulationAll}, policy.Pass},
		{"any encapsulation", dataplane.GuardSettings{Encapsulation: dataplane.EncapsulationAllowed}, policy.Pass},
	}
	for _, g := range append(dataplane.CanDisable(), dataplane.GuardUplinkSource) {
		list = append(list, setting{"without " + string(g), dataplane.GuardSettings{Disabled: []dataplane.Guard{g}}, policy.Pass})
	}
	for _, s := range list {
		for _, sources := range []bool{false, true} {
			if sources && len(s.guards.Disabled) > 0 {
				continue
			}
			t.Run(fmt.Sprint(s.name, ", further sources: ", sources), func(t *testing.T) {
				m, known := linkModel(s.toHost)
				if sources {
					withSources(m, &known)
				}
				b := linkLab(t, m, known, s.guards)
				k, err := b.ReadBack(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				rep := verifyLinks(t, b, m, k)
				for _, d := range rep.First {
					t.Error(d)
				}
				t.Logf("%d differences of %d decisions", rep.Differences, rep.Decisions)
			})
		}
	}
}

// TestVerifyFindsMutationsOfLinks changes one thing at a time of what guards consist of:
// verification finds each.
func TestVerifyFindsMutationsOfLinks(t *testing.T) {
	for _, sources := range []bool{false, true} {
		t.Run(fmt.Sprint("further sources: ", sources), func(t *testing.T) { findLinkMutations(t, sources) })
	}
}

func findLinkMutations(t *testing.T, sources bool) {
	m, known := linkModel(policy.Pass)
	if sources {
		withSources(m, &known)
	}
	b := linkLab(t, m, known, dataplane.GuardSettings{})
	k, err := b.ReadBack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rep := verifyLinks(t, b, m, k); rep.Differences > 0 {
		t.Fatalf("before any change: %v", rep.First)
	}
	list := linkMutations(k)
	stride := 31
	if os.Getenv(everyMutation) != "" {
		stride = 1
	}
	for i := 0; i < len(list); i += stride {
		c := k.clone()
		if list[i].copied(c); verifyLinks(t, b, m, c).Differences == 0 {
			t.Errorf("not found: %s", list[i].text)
		}
	}
	if t.Logf("%d mutations", len(list)); len(list) < 200 {
		t.Error("too few")
	}
}

// clone returns a copy that can be changed.
func (k *Kernel) clone() *Kernel {
	if k == nil {
		return nil
	}
	c := &Kernel{ours: k.ours, bases: slices.Clone(k.bases), chains: maps.Clone(k.chains), sets: map[string]*kernelSet{}, bridge: k.bridge.clone()}
	for name, s := range k.sets {
		v := *s
		v.elements, v.intervals = maps.Clone(s.elements), slices.Clone(s.intervals)
		c.sets[name] = &v
	}
	return c
}

// linkMutations lists what can be changed of guards.
func linkMutations(k *Kernel) []mutation {
	var list []mutation
	tables := []struct {
		name string
		of   func(*Kernel) *Kernel
		ours func(chain string) bool
		set  func(name string) bool
	}{
		{"IP", func(k *Kernel) *Kernel { return k }, func(chain string) bool {
			return slices.Contains([]string{rawChain, guardInputChain, sourceChain, forwardChain, inputChain, strictChain, controlChain}, chain) ||
				strings.HasPrefix(chain, "to-node-") || strings.HasPrefix(chain, guardPrefix) || strings.HasPrefix(chain, "allowed-") ||
				strings.HasPrefix(chain, droppedPrefix) || strings.HasPrefix(chain, "unknown-")
		}, func(name string) bool {
			_, known := codecSet(slices.Concat(knownSets(), tunnelSets()), name)
			return known || name == closedSet || strings.HasPrefix(name, "allowed-")
		}},
		{"bridges", func(k *Kernel) *Kernel { return k.bridge }, func(string) bool { return true }, func(string) bool { return true }},
	}
	for _, table := range tables {
		of := table.of(k)
		for _, chain := range slices.Sorted(maps.Keys(of.chains)) {
			if !table.ours(chain) {
				continue
			}
			for i, r := range of.chains[chain] {
				last := r.Exprs[len(r.Exprs)-1]
				emptySet := slices.ContainsFunc(r.Exprs, func(e codec.Expr) bool { return e.Kind == codec.Lookup && len(of.sets[e.Set].elements) == 0 })
				if last.Kind == codec.CountIn || emptySet || quick(table.name, chain, r) {
					continue // it decides nothing, or not here
				}
				list = append(list, mutation{text: fmt.Sprintf("%s: chain %s without rule %d: %+v", table.name, chain, i, r.Exprs), copied: func(c *Kernel) {
					x := table.of(c)
					x.chains[chain] = slices.Delete(slices.Clone(x.chains[chain]), i, i+1)
				}})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(of.sets)) {
			if !table.set(name) {
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(of.sets[name].elements)) {
				list = append(list, mutation{text: fmt.Sprintf("%s: set %s without element %x", table.name, name, key), copied: func(c *Kernel) {
					delete(table.of(c).sets[name].elements, key)
				}})
			}
		}
		for i, base := range of.bases {
			list = append(list, mutation{text: fmt.Sprintf("%s: no base chain %s", table.name, base.Name), copied: func(c *Kernel) {
				x := table.of(c)
				x.bases = slices.Delete(x.bases, i, i+1)
			}})
		}
	}
	return list
}

// quick reports whether a rule lets by early what nothing that follows would drop.
func quick(table, chain string, r codec.Rule) bool {
	has := func(x []codec.Expr) bool {
		return len(r.Exprs) > len(x) && slices.EqualFunc(r.Exprs[:len(x)], x, func(a, b codec.Expr) bool { return a.Kind == b.Kind && a.Data == b.Data && a.Key == b.Key })
	}
	onBridges := table == "bridges"
	switch chain {
	case "guard-link-local", fromPortChain: // only IPv6 comes there; groups are let by once more
		return onBridges && has(join(isEtherIP(0), multicast(0))) || !onBridges && has(join(isFamily(0), multicast(0)))
	case toPortChain:
		return onBridges && has(isEther(etherARP))
	}
	return false
}

func codecSet(list []codec.SetSpec, name string) (codec.SetSpec, bool) {
	i := slices.IndexFunc(list, func(s codec.SetSpec) bool { return s.Name == name })
	if i < 0 {
		return codec.SetSpec{}, false
	}
	return list[i], true
}
