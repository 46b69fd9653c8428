package l4_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine/l4"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) { modeltest.Main(m, 500, 3000) }

var (
	ports     = []uint16{0, 1, 79, 80, 81, 8080, 65534, 65535}
	icmp      = []uint8{0, 3, 8, 255}
	protocols = []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6, policy.SCTP, 47, 0, 255}
)

// named are the ports that name 1 stands for: another one at each side, for TCP only.
func named(to []dataplane.Range, names []uint32, source bool, protocol policy.Protocol) []dataplane.Range {
	port := uint16(80)
	if source {
		port = 8080
	}
	if protocol == policy.TCP && slices.Contains(names, 1) {
		to = append(to, dataplane.Range{First: port, Last: port})
	}
	return to
}

// Row says to every flow what a walk through the rules says, one after another.
func TestRowSaysWhatTheRulesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		refs := map[dataplane.DeciderID]policy.Decider{}
		logs := map[dataplane.DeciderID]dataplane.Logs{}
		row := l4.Row(rules, named, func(by policy.Decider, l dataplane.Logs) dataplane.DeciderID {
			id := dataplane.DeciderID(len(refs) + 1)
			refs[id], logs[id] = by, l
			return id
		})
		if err := row.Check(); err != nil {
			t.Fatalf("%v: %v", err, row)
		}
		for range 30 {
			f := drawFlow(t)
			region, ok := row.At(f)
			if !ok {
				t.Fatalf("no region holds %+v in %v", f, row)
			}
			action, by, logged := walk(rules, f)
			if region.Allow != (action == policy.Allow) || refs[region.Decider] != by || logs[region.Decider] != dataplane.LogsOf(logged) {
				t.Fatalf("%+v: %v by %+v after %q, want %v by %+v after %v\n%v", f, region.Allow, refs[region.Decider], logs[region.Decider], action, by, logged, row)
			}
		}
	})
}

// walk decides a flow in the plainest way.
func walk(rules []l4.TierRule, f policy.Flow) (action policy.Action, by policy.Decider, logged []policy.Decider) {
	passed := -1 // the tier that a rule passed on from
	for _, s := range rules {
		if s.Tier == passed || !matches(&s.Rule.Match, f) {
			continue
		}
		switch s.Rule.Action {
		case policy.Log:
			logged = append(logged, s.Rule.By)
		case policy.Pass:
			passed = s.Tier
		default:
			return s.Rule.Action, s.Rule.By, logged
		}
	}
	return 0, by, logged
}

func matches(m *l4.Match, f policy.Flow) bool {
	if m.Protocol.Set && m.Protocol.Value != f.Protocol || m.NotProtocol.Set && m.NotProtocol.Value == f.Protocol {
		return false
	}
	is := func(o l4.Optional[uint8], v uint8) bool { return !o.Set || o.Value == v }
	if m.ICMP.Set && !(f.Protocol.IsICMP() && is(m.ICMP.Type, f.ICMPType) && is(m.ICMP.Code, f.ICMPCode)) {
		return false
	}
	if m.NotICMP.Set && f.Protocol.IsICMP() && is(m.NotICMP.Type, f.ICMPType) && is(m.NotICMP.Code, f.ICMPCode) {
		return false
	}
	return matchesPort(m.Src, f.SrcPort, true, f.Protocol) && matchesPort(m.Dst, f.DstPort, false, f.Protocol)
}

func matchesPort(p l4.Ports, port uint16, source bool, protocol policy.Protocol) bool {
	in := func(l *l4.PortList) bool {
		return protocol.HasPorts() && slices.ContainsFunc(named(slices.Clone(l.Ranges), l.Names, source, protocol), func(r dataplane.Range) bool {
			return r.First <= port && port <= r.Last
		})
	}
	return (p.In == nil || in(p.In)) && (p.NotIn == nil || !in(p.NotIn))
}

func drawRules(t *rapid.T) []l4.TierRule {
	var rules []l4.TierRule
	n := rapid.IntRange(0, 8).Draw(t, "rules")
	for i := range n {
		r := &l4.Rule{
			Action: rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny, policy.Pass, policy.Log}).Draw(t, "action"),
			By:     policy.Decider{Name: "rule", Rule: i},
			Match: l4.Match{
				Protocol: optional(t, protocols, 2), NotProtocol: optional(t, protocols, 4),
				ICMP: drawICMP(t), NotICMP: drawICMP(t),
				Src: l4.Ports{In: drawPorts(t, 4), NotIn: drawPorts(t, 6)}, Dst: l4.Ports{In: drawPorts(t, 2), NotIn: drawPorts(t, 4)},
			},
		}
		rules = append(rules, l4.TierRule{Rule: r, Tier: i / 3})
	}
	return append(rules, l4.TierRule{Rule: &l4.Rule{Action: policy.Deny, By: policy.Decider{Name: "end"}}, Tier: n})
}

// optional draws one of the values in one of n cases.
func optional[T comparable](t *rapid.T, values []T, n int) (o l4.Optional[T]) {
	if rapid.IntRange(0, n-1).Draw(t, "set") == n-1 {
		o = l4.Optional[T]{Value: rapid.SampledFrom(values).Draw(t, "value"), Set: true}
	}
	return o
}

func drawICMP(t *rapid.T) l4.ICMP {
	if rapid.IntRange(0, 3).Draw(t, "has ICMP") < 3 {
		return l4.ICMP{}
	}
	return l4.ICMP{Set: true, Type: optional(t, icmp, 2), Code: optional(t, icmp, 2)}
}

func drawPorts(t *rapid.T, n int) *l4.PortList {
	if rapid.IntRange(0, n-1).Draw(t, "has ports") < n-1 {
		return nil
	}
	l := &l4.PortList{}
	for range rapid.IntRange(0, 2).Draw(t, "ranges") {
		a, b := rapid.SampledFrom(ports).Draw(t, "port"), rapid.SampledFrom(ports).Draw(t, "port")
		l.Ranges = append(l.Ranges, dataplane.Range{First: min(a, b), Last: max(a, b)})
	}
	if rapid.Bool().Draw(t, "named") {
		l.Names = []uint32{1}
	}
	return l
}

func drawFlow(t *rapid.T) policy.Flow {
	f := policy.Flow{Protocol: rapid.SampledFrom(protocols).Draw(t, "protocol")}
	if f.Protocol.HasPorts() {
		f.SrcPort, f.DstPort = rapid.SampledFrom(ports).Draw(t, "source port"), rapid.SampledFrom(ports).Draw(t, "destination port")
	}
	if f.Protocol.IsICMP() {
		f.ICMPType, f.ICMPCode = rapid.SampledFrom(icmp).Draw(t, "type"), rapid.SampledFrom(icmp).Draw(t, "code")
	}
	return f
}
