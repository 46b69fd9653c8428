package budget_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/budget"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

func drawPorts(t *rapid.T, in int) *policy.Ports {
	if rapid.IntRange(0, in).Draw(t, "no ports") > 0 {
		return nil
	}
	l := &policy.Ports{}
	for range rapid.IntRange(1, 6).Draw(t, "ranges") {
		first := rapid.Uint16Range(1, 40).Draw(t, "first")
		l.Ranges = append(l.Ranges, policy.PortRange{First: first, Last: first + rapid.Uint16Range(0, 3).Draw(t, "more")})
	}
	return l
}

func drawNets(t *rapid.T, in int) []netip.Prefix {
	if rapid.IntRange(0, in).Draw(t, "no nets") > 0 {
		return nil
	}
	var out []netip.Prefix
	for range rapid.IntRange(1, 5).Draw(t, "nets") {
		addr := netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, "c"), rapid.ByteRange(0, 3).Draw(t, "d")})
		out = append(out, netip.PrefixFrom(addr, rapid.SampledFrom([]int{0, 8, 20, 24, 31, 32}).Draw(t, "bits")).Masked())
	}
	return out
}

func drawRule(t *rapid.T) policy.Rule {
	r := policy.Rule{Action: rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny, policy.Pass}).Draw(t, "action")}
	r.Protocol = rapid.SampledFrom([]*policy.Protocol{&tcp, &tcp, &udp, &icmp, nil}).Draw(t, "protocol")
	switch {
	case r.Protocol == &icmp:
		r.ICMP = byCode(rapid.Uint8Range(0, 5).Draw(t, "type"), rapid.Uint8Range(0, 5).Draw(t, "code"))
	case r.Protocol != nil:
		r.Destination.Ports, r.Source.Ports = drawPorts(t, 1), drawPorts(t, 4)
		r.Destination.NotPorts, r.Source.NotPorts = drawPorts(t, 6), drawPorts(t, 8)
	}
	r.Source.Nets, r.Source.NotNets = drawNets(t, 1), drawNets(t, 2)
	return r
}

func drawRules(t *rapid.T) []policy.Rule {
	return rapid.SliceOfN(rapid.Custom(drawRule), 0, 12).Draw(t, "rules")
}

// A policy costs no less with one rule more, wherever it stands.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		less := budget.OfPolicy(ingress(append([]policy.Rule(nil), rules...)...))
		at := rapid.IntRange(0, len(rules)).Draw(t, "at")
		more := budget.OfPolicy(ingress(append(append(append([]policy.Rule(nil), rules[:at]...), drawRule(t)), rules[at:]...)...))
		for what, n := range map[string][2]int64{
			"rules": {less.Rules.N, more.Rules.N}, "nets": {less.Nets.N, more.Nets.N}, "ports": {less.Ports.N, more.Ports.N},
			"regions": {less.Regions.N, more.Regions.N}, "differences": {less.Differences.N, more.Differences.N},
			"regions of rows": {less.RowRegions.N, more.RowRegions.N},
		} {
			if n[0] > n[1] {
				t.Fatalf("%s: %d with one rule more, %d without", what, n[1], n[0])
			}
		}
	})
}

// What the engine makes of a policy is within a small factor of what it was said to cost.
func TestEngineStaysWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := ingress(drawRules(t)...)
		c := budget.OfPolicy(p)
		const end = 8 // of a row without rules
		delta := compile(p)
		total := int64(0)
		for _, row := range delta.AddRows {
			n := weigh(t, row)
			if total += n; n > 2*c.Regions.N+end {
				t.Fatalf("a row of %d, of at most %d: %v", n, c.Regions.N, row)
			}
		}
		if most := 2*c.RowRegions.N + end*int64(len(delta.AddRows)); total > most {
			t.Fatalf("rows of %d in all, of at most %d", total, most)
		}
		different := map[dataplane.RowID]bool{}
		for _, cell := range delta.SetCells {
			different[cell.Row] = true
		}
		if n := int64(len(different)); n > c.Differences.N {
			t.Fatalf("%d rows that differ from the world's, of at most %d", n, c.Differences.N)
		}
	})
}

// compile returns the tables of a pod that a policy applies to.
func compile(p *policy.Policy) *dataplane.Delta {
	e := engine.New(nil)
	for _, tier := range policy.FixedTiers() {
		e.Apply(policy.Change{Key: tier.ObjectKey(), Object: tier})
	}
	pod := &policy.Endpoint{
		Key: policy.Key{Kind: policy.KindPod, Namespace: "a", Name: "pod"}, Addrs: []netip.Addr{netip.MustParseAddr("172.16.0.1")},
		Labels: selector.Labels{}, Profiles: []string{policy.DefaultAllowProfile},
	}
	e.Apply(policy.Change{Key: pod.Key, Object: pod})
	e.Apply(policy.Change{Key: p.Key, Object: p})
	return e.Flush()
}

// weigh returns what a row costs: its spans of destination ports, and each different profile of
// source ports once.
func weigh(t *rapid.T, row dataplane.Row) int64 {
	n := int64(0)
	for _, p := range []policy.Protocol{policy.ICMP, policy.TCP, policy.UDP, policy.ICMPv6, policy.SCTP} {
		columns, err := row.Columns(p)
		if err != nil {
			t.Fatal(err)
		}
		profiles := map[string]bool{}
		for _, c := range columns {
			n++
			text := ""
			for _, cell := range c.Cells {
				cell.Dst = dataplane.Range{}
				text += cell.String()
			}
			if len(c.Cells) > 1 && !profiles[text] {
				profiles[text] = true
				n += int64(len(c.Cells))
			}
		}
	}
	return n
}
