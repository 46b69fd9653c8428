package engine_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// (tables.apply already finds every entry of a delta that changes nothing, in
// all properties. Here is what a delta must do without beyond that.)

// started returns an engine that holds a model, and its tables.
func started(t fataler, m *policy.Model) (*engine.Engine, *tables) {
	t.Helper()
	e, tb := engine.New(nil), newTables()
	e.Apply(modeltest.Changes(nil, m)...)
	tb.mustApply(t, e.Flush())
	return e, tb
}

// Objects put again as they are, policies of a tier that is not there, what is
// deleted but never was, and what comes and goes between two flushes give no delta.
func TestNothingChangedGivesNoDelta(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		e, _ := started(t, m)
		other := modeltest.Models().Draw(t, "other")
		changes := map[string][]policy.Change{
			"there and back":     append(modeltest.Changes(m, other), modeltest.Changes(other, m)...),
			"deleted, never was": {{Key: policy.Key{Kind: policy.KindPod, Namespace: "blue", Name: "never"}}},
		}
		for k, o := range modeltest.Objects(m) {
			changes["copies"] = append(changes["copies"], policy.Change{Key: k, Object: modeltest.Copy(o)})
		}
		for _, p := range other.Policies {
			v := *p
			v.Tier, v.Key.Name = "missing", "in-missing-tier"
			changes["missing tier"] = append(changes["missing tier"], policy.Change{Key: v.Key, Object: &v})
		}
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			e.Apply(changes[name]...)
			if d := e.Flush(); d != nil {
				t.Fatalf("%s: %v\ngives a delta: %+v", name, modeltest.ChangesText(changes[name]), d)
			}
		}
	})
}

// A row, decider, program or class never goes while another with the same
// content comes, under a new number.
func TestNothingIsRenamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		e, tb := started(t, m)
		for _, step := range modeltest.Steps(m).Draw(t, "steps") {
			t.Logf("%v", modeltest.ChangesText(step))
			e.Apply(step...)
			d := e.Flush()
			if d == nil {
				continue
			}
			before := tb.names()
			tb.mustApply(t, d)
			after := tb.names()
			for _, id := range d.DelRows {
				for added := range d.AddRows {
					if before.rows[id] == after.rows[added] {
						t.Fatalf("row %d came for row %d, which said the same: %s", added, id, before.rows[id])
					}
				}
			}
			for _, id := range d.DelDeciders {
				for _, added := range d.AddDeciders {
					if before.deciders[id] == after.deciders[added.ID] {
						t.Fatalf("decider %d came for decider %d, the same: %s", added.ID, id, before.deciders[id])
					}
				}
			}
		}
	})
}

// names are contents by number.
type names struct {
	rows     map[dataplane.RowID]string
	deciders map[dataplane.DeciderID]string
}

func (tb *tables) names() names {
	n := names{map[dataplane.RowID]string{}, map[dataplane.DeciderID]string{}}
	for id, row := range tb.rows {
		n.rows[id] = tb.rowText(row)
	}
	for id, d := range tb.deciders {
		n.deciders[id] = fmt.Sprintf("%v %v %q", d.Direction, d.By, d.Logs)
	}
	return n
}

// A pod that comes with a label set and named ports that are known, at an
// address that the nets treat like that of a pod there, is one address. If the
// class is the one that the longest net around it has anyway, it is none.
func TestPodOfKnownLabelsIsOneAddress(t *testing.T) {
	remote := func(ep *policy.Endpoint) bool { return ep.Key.Name != "twin" }
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		m := withoutShared(modeltest.Models().Draw(t, "model"))
		t.Logf("%v", modeltest.Text{Model: m})
		e, tb := engine.New(remote), newTables()
		e.Apply(modeltest.Changes(nil, m)...)
		tb.mustApply(t, e.Flush())
		for _, ep := range m.Endpoints {
			if len(ep.Addrs) == 0 {
				continue
			}
			addr, ok := freeNeighbour(m, tb, ep.Addrs[0])
			if !ok {
				continue
			}
			twin := *ep
			twin.Key.Name = "twin"
			twin.Addrs = []netip.Addr{addr}
			e.Apply(policy.Change{Key: twin.Key, Object: &twin})
			d := e.Flush()
			class, elementThere := tb.addrs[ep.Addrs[0]]
			if !elementThere {
				if d != nil {
					t.Fatalf("twin of %v at %v: want no delta, got %+v", ep.Key, addr, d)
				}
			} else if got := dump(d); got != dump(&dataplane.Delta{SetAddrs: map[netip.Addr]dataplane.ClassID{addr: class}}) {
				t.Fatalf("twin of %v at %v: want address in class %d only, got %s", ep.Key, addr, class, got)
			}
			compared++
			e.Apply(policy.Change{Key: twin.Key})
			d = e.Flush()
			if elementThere && dump(d) != dump(&dataplane.Delta{DelAddrs: []netip.Addr{addr}}) || !elementThere && d != nil {
				t.Fatalf("twin of %v at %v goes: got %s", ep.Key, addr, dump(d))
			}
		}
	})
	if compared == 0 {
		t.Error("no case had a free address beside an endpoint")
	}
}

// dump writes a delta down, only what it has.
func dump(d *dataplane.Delta) string {
	if d == nil {
		return "nothing"
	}
	v := *d
	if len(v.SetAddrs) == 0 {
		v.SetAddrs = nil
	}
	if len(v.SetNets) == 0 {
		v.SetNets = nil
	}
	if len(v.AddRows) == 0 {
		v.AddRows = nil
	}
	return fmt.Sprintf("%v", v)
}

// freeNeighbour finds an address that no endpoint has and that all nets of the
// model hold or do not hold like the one given.
func freeNeighbour(m *policy.Model, tb *tables, addr netip.Addr) (netip.Addr, bool) {
	var nets []netip.Prefix
	for _, s := range m.Sets {
		nets = append(nets, s.Nets...)
	}
	for _, p := range m.Policies {
		for _, dir := range policy.Directions {
			for _, r := range p.Rules[dir] {
				nets = slices.Concat(nets, r.Source.Nets, r.Source.NotNets, r.Destination.Nets, r.Destination.NotNets)
			}
		}
	}
	candidates := append(slices.Clone(modeltest.PointsOf(m).Addrs[0]), modeltest.PointsOf(m).Addrs[1]...)
	for _, c := range candidates {
		same := c.Is4() == addr.Is4() && !slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(c) != n.Contains(addr) })
		taken := slices.ContainsFunc(m.Endpoints, func(ep *policy.Endpoint) bool { return slices.Contains(ep.Addrs, c) })
		if same && !taken {
			return c, true
		}
	}
	return netip.Addr{}, false
}

// Whatever changes in a set's nets, programs, their bases and locals stay, and
// rows come or go only with classes; unless an endpoint's own address comes in
// or goes out, of which rules may speak.
func TestSetChangeLeavesRulesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		if len(m.Sets) == 0 {
			return
		}
		e, tb := started(t, m)
		set := *m.Sets[0]
		set.Nets = rapid.SliceOfN(rapid.Map(modeltest.Flows(m), func(f policy.Flow) netip.Prefix {
			n, _ := f.Src.Prefix(f.Src.BitLen() - int(f.DstPort%9))
			return n
		}), 0, 4).Draw(t, "nets")
		for _, ep := range m.Endpoints {
			for _, a := range ep.Addrs {
				if contains(set.Nets, a) != contains(m.Sets[0].Nets, a) {
					return
				}
			}
		}
		for _, root := range dataplane.WholeFamilies {
			if slices.Contains(set.Nets, root) != slices.Contains(m.Sets[0].Nets, root) {
				return // the world is in it or not, and bases are what is said to the world
			}
		}
		e.Apply(policy.Change{Key: set.Key, Object: &set})
		d := e.Flush()
		if d == nil {
			return
		}
		tb.mustApply(t, d)
		if n := len(d.SetPrograms) + len(d.DelPrograms) + len(d.SetLocals) + len(d.DelLocals); n > 0 {
			t.Fatalf("programs or locals change: %+v", d)
		}
		if (len(d.AddRows) > 0 && len(d.AddClasses) == 0) || (len(d.DelRows) > 0 && len(d.DelClasses) == 0) {
			t.Fatalf("rows change without classes: %+v", d)
		}
	})
}

func contains(nets []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(a) })
}

// The plain case, in which nothing but elements changes: a set of a threat feed
// that overlaps nothing else.
func TestSetChangeIsElementsOnly(t *testing.T) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 3, Workloads: 6, Replicas: 2})
	e, tb := started(t, m)
	set := *m.Sets[0]
	added := netip.MustParsePrefix("198.51.100.0/25")
	host := netip.MustParsePrefix("198.51.100.200/32")
	set.Nets = append(slices.Clone(set.Nets[1:]), added, host)
	e.Apply(policy.Change{Key: set.Key, Object: &set})
	d := e.Flush()
	class := tb.nets[m.Sets[0].Nets[1]]
	want := &dataplane.Delta{
		SetNets:  map[netip.Prefix]dataplane.ClassID{added: class},
		DelNets:  []netip.Prefix{m.Sets[0].Nets[0]},
		SetAddrs: map[netip.Addr]dataplane.ClassID{host.Addr(): class},
	}
	if dump(d) != dump(want) {
		t.Errorf("got  %s\nwant %s", dump(d), dump(want))
	}
	tb.mustApply(t, d)
}

// A policy that comes changes the programs it applies to, and nothing of others.
func TestPolicyTouchesItsProgramsOnly(t *testing.T) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 4, Workloads: 6, Replicas: 2})
	e, tb := started(t, m)
	selects := selector.MustParse("projectcalico.org/namespace == 'app-001' && part == 'db'")
	tcp := policy.TCP
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "new"}, Tier: "security", Order: 1, Selector: selects,
		Types: [2]bool{policy.Ingress: true},
	}
	p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Pass, Protocol: &tcp}}
	e.Apply(policy.Change{Key: p.Key, Object: p})
	d := e.Flush()
	for _, l := range d.SetLocals {
		i := slices.IndexFunc(m.Endpoints, func(ep *policy.Endpoint) bool { return slices.Contains(ep.Addrs, l.Addr) })
		if !selects.Match(m.Endpoints[i].Labels) {
			t.Errorf("%v changes, which the policy does not select", m.Endpoints[i].Key)
		}
		if l.Egress != tb.locals[l.Addr].Egress {
			t.Errorf("%v: the egress program changes", l.Addr)
		}
	}
	if len(d.SetAddrs)+len(d.DelAddrs)+len(d.SetNets)+len(d.DelNets) > 0 {
		t.Errorf("addresses change class: %+v", d)
	}
	tb.mustApply(t, d)
	e.Apply(policy.Change{Key: p.Key})
	tb.mustApply(t, e.Flush())
	sameTables(t, tb, fromScratch(t, m), "the policy gone again")
}

// withoutShared takes away addresses that an endpoint before holds already.
func withoutShared(m *policy.Model) *policy.Model {
	out := *m
	out.Endpoints = nil
	seen := map[netip.Addr]bool{}
	for _, ep := range m.Endpoints {
		v := *ep
		v.Addrs = nil
		for _, a := range ep.Addrs {
			if !seen[a] {
				seen[a] = true
				v.Addrs = append(v.Addrs, a)
			}
		}
		out.Endpoints = append(out.Endpoints, &v)
	}
	return &out
}
