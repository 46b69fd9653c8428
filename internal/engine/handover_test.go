package engine_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// An address that is handed from one local endpoint to the next is governed at
// every moment: there is one step, and none in which it is nobody's.
func TestHandOverIsOneStep(t *testing.T) {
	before, after := endpoint("ns/old", "app=a", "10.0.0.1"), endpoint("ns/new", "app=b", "10.0.0.1")
	after.Precedence = 1
	deny := rulesPolicy("default", "deny", 1, "app == 'b'", nil, []policy.Rule{})
	e, tb := engine.New(nil), newTables()
	e.Apply(modeltest.Changes(nil, model(before, deny, endpoint("ns/peer", "app=c", "10.0.0.2")))...)
	tb.mustApply(t, e.Flush())
	flow := policy.Flow{Src: netip.MustParseAddr("10.0.0.2"), Dst: before.Addrs[0], Protocol: policy.TCP, SrcPort: 50000, DstPort: 80}
	check := func(step string, want bool) {
		t.Helper()
		if allow, _, _ := tb.decide(flow, policy.Ingress); allow != want {
			t.Errorf("%s: allow is %v, want %v", step, allow, want)
		}
	}
	check("before", true)
	e.Apply(policy.Change{Key: after.Key, Object: after})
	d := e.Flush()
	if len(d.DelLocals) > 0 {
		t.Errorf("the hand-over takes the address away from the local ones: %+v", d)
	}
	tb.mustApply(t, d)
	check("both claim it", false)
	e.Apply(policy.Change{Key: before.Key})
	if d := e.Flush(); d != nil {
		t.Errorf("the end of the one before changes something: %+v", d)
	}
	check("handed over", false)
}

// An endpoint of another node that claims a local address, rightly or not, changes
// nothing about what governs it here, and no rule means it at that address.
func TestOtherNodesCannotTakeLocalAddresses(t *testing.T) {
	local := func(ep *policy.Endpoint) bool { return ep.Node == "here" }
	own, thief := endpoint("ns/own", "app=a", "10.0.0.1"), endpoint("ns/thief", "app=b", "10.0.0.1")
	own.Node, thief.Node, thief.Precedence = "here", "there", 100
	deny := rulesPolicy("default", "deny", 1, "app == 'a'", nil, []policy.Rule{
		{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("app", "b")}}},
	})
	e := engine.New(local)
	e.Apply(modeltest.Changes(nil, model(own, deny))...)
	e.Flush()
	e.Apply(policy.Change{Key: thief.Key, Object: thief})
	if d := e.Flush(); d != nil {
		t.Errorf("a claim of another node changes %+v", d)
	}
	e.Apply(policy.Change{Key: own.Key})
	if d := e.Flush(); len(d.DelLocals) != 1 {
		t.Errorf("when the local endpoint goes, its address is no longer local: %+v", d)
	}
}

// TestNetsOfAllWidths lets nets of every width come and go over addresses that lie
// dense in some blocks and alone in others, more of them than are looked at one
// by one.
func TestNetsOfAllWidths(t *testing.T) {
	m := model()
	add := func(addr netip.Addr) {
		ep := endpoint(fmt.Sprintf("ns/p%d", len(m.Endpoints)), fmt.Sprintf("app=a%d", len(m.Endpoints)%3), addr.String())
		if len(m.Endpoints) == 0 {
			ep.Node = modeltest.LocalNode
		}
		m.Endpoints = append(m.Endpoints, ep)
	}
	for i := range 20 {
		for j := range 60 {
			add(netip.AddrFrom4([4]byte{10, byte(i / 8), byte(i * 11), byte(j)}))
			v6 := netip.MustParseAddr("fd00::").As16()
			v6[7], v6[14], v6[15] = byte(i%3), byte(i*11), byte(j)
			add(netip.AddrFrom16(v6))
		}
	}
	for i := range 30 {
		add(netip.AddrFrom4([4]byte{byte(30 + i), byte(i), 1, 1}))
	}
	nets := func(prefixes ...netip.Prefix) policy.Change {
		s := set("nets", "kind=nets", "")
		s.Nets = prefixes
		return policy.Change{Key: s.Key, Object: s}
	}
	m.Policies = append(m.Policies, rulesPolicy("default", "p", 1, "all()", nil, []policy.Rule{
		{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("kind", "nets")}}},
	}))
	e, tb := engine.New(modeltest.IsLocal), newTables()
	e.Apply(modeltest.Changes(nil, m)...)
	tb.mustApply(t, e.Flush())
	step := func(c policy.Change) {
		t.Helper()
		m = modeltest.Apply(m, c)
		e.Apply(c)
		tb.mustApply(t, e.Flush())
		other := engine.New(modeltest.IsLocal)
		other.Apply(modeltest.Changes(nil, m)...)
		want := newTables()
		want.mustApply(t, other.Flush())
		sameTables(t, tb, want, fmt.Sprintf("with the nets %v", m.Sets[0].Nets))
	}
	for _, text := range []string{"10.0.11.5/32", "10.1.176.200/32", "fd00:0:0:1::1605/128"} {
		addr := netip.MustParsePrefix(text).Addr()
		for bits := addr.BitLen() - 1; bits >= 0; bits -= 3 {
			p, err := addr.Prefix(bits)
			if err != nil {
				t.Fatal(err)
			}
			step(nets(p))
		}
		step(nets())
	}
	step(nets(netip.MustParsePrefix("10.0.0.0/14"), netip.MustParsePrefix("10.0.22.0/23"), netip.MustParsePrefix("40.0.0.0/5"), netip.MustParsePrefix("fd00::/16")))
}
