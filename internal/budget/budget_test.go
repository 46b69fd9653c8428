package budget_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/budget"
	"github.com/tierwall/tierwall/internal/hostile"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

func TestMain(m *testing.M) { modeltest.Main(m, 200, 2000) }

// TestHostile checks what was once too much and is not any more, and that ten times as much is refused
// or cheap.
func TestHostile(t *testing.T) {
	for _, tt := range []struct {
		c    hostile.Case
		want string // of the largest policy or set; empty: within budget
	}{
		{hostile.PortGrid(320), ""},
		{hostile.PortGrid(1600), "too large: 5124807 combinations of source and destination ports, of at most 250000, most of them because of rule ingress[0]: use ranges of ports"},
		{hostile.Exceptions(1500), ""},
		{hostile.Exceptions(15_000), "too large: 225135008 ports to decide on for all nets that rules tell apart, of at most 3000000: have rules share their lists of nets or ports, or split the policy"},
		{hostile.AddressesTimesPods(3000, 1), ""},
		{hostile.AddressesTimesPods(30_000, 1), "too large: 30000 rules (one for each peer and protocol), of at most 20000: split the policy, or keep nets in a NetworkSet and select it"},
		{hostile.RandomSubsets(1400, 15, 1), ""},
		{hostile.RandomSubsets(14_000, 15, 1), "too large: 104726 rules (one for each peer and protocol), of at most 20000: split the policy, or keep nets in a NetworkSet and select it\n" +
			"too large: 104726 nets in rules, of at most 100000: keep them in a NetworkSet, which may have 500000, and select it"},
		{hostile.ManyRules(10_000), ""},
		{hostile.ManyRules(20_001), "too large: 20001 rules (one for each peer and protocol), of at most 20000: split the policy, or keep nets in a NetworkSet and select it"},
		{hostile.LargeSet(50_000, 0), ""},
	} {
		t.Run(tt.c.Name, func(t *testing.T) {
			resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(tt.c.Manifests)})
			if len(findings) > 0 {
				t.Fatal(findings)
			}
			var got []string
			for i := range resources {
				p, _ := source.Parse(&resources[i], false)
				switch {
				case p.Policy != nil:
					got = append(got, texts(budget.Check(p.Policy))...)
				case p.NetworkSet != nil:
					got = append(got, texts(budget.OfSet(p.NetworkSet.Nets, p.NetworkSet.Domains))...)
				}
			}
			if d := cmp.Diff(tt.want, strings.Join(got, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

func texts(list []budget.Excess) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.String())
	}
	return out
}

// ingress makes a policy of rules of ingress, each one rule of the source.
func ingress(rules ...policy.Rule) *policy.Policy {
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "a", Name: "p"}, Tier: "default",
		Selector: selector.All(), Types: [2]bool{policy.Ingress: true},
	}
	for i := range rules {
		if rules[i].Index = i; rules[i].Action == 0 {
			rules[i].Action = policy.Allow
		}
	}
	p.Rules[policy.Ingress] = rules
	return p
}

var tcp, udp, icmp = policy.TCP, policy.UDP, policy.ICMP

// odd lists n ports no two of which are beside one another.
func odd(n int) *policy.Ports {
	l := &policy.Ports{}
	for i := range n {
		l.Ranges = append(l.Ranges, policy.PortRange{First: uint16(2*i + 1), Last: uint16(2*i + 1)})
	}
	return l
}

func only(port int) *policy.Ports {
	return &policy.Ports{Ranges: []policy.PortRange{{First: uint16(port), Last: uint16(port)}}}
}

func nets(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// repeat makes n rules.
func repeat(n int, rule func(i int) policy.Rule) []policy.Rule {
	out := make([]policy.Rule, n)
	for i := range out {
		out[i] = rule(i)
	}
	return out
}

func address(i int) string { return fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255) }

// byCode demands an ICMP type and a code.
func byCode(kind, code uint8) *policy.ICMPMatch { return &policy.ICMPMatch{Type: &kind, Code: &code} }

// TestCost checks what policies cost, one idea each.
func TestCost(t *testing.T) {
	everyPort := &policy.Ports{}
	for i := 1; i <= 65535; i++ {
		everyPort.Ranges = append(everyPort.Ranges, only(i).Ranges[0])
	}
	for _, tt := range []struct {
		name   string
		policy *policy.Policy
		want   string // regions, differences, regions of all rows
		over   string
	}{
		{"no rules", ingress(), "0 0 0", ""},
		{"everybody may all", ingress(policy.Rule{}), "6 0 6", ""},
		{"a port", ingress(policy.Rule{Protocol: &tcp, Destination: policy.Peer{Ports: only(80)}}), "9 0 9", ""},
		{"every port by itself", ingress(policy.Rule{Protocol: &tcp, Destination: policy.Peer{Ports: everyPort}}), "8 0 8", ""},
		{"every second port", ingress(policy.Rule{Protocol: &tcp, Destination: policy.Peer{Ports: odd(32768)}}), "65542 0 65542", ""},
		{
			"of all protocols", ingress(repeat(3, func(i int) policy.Rule {
				return policy.Rule{Protocol: []*policy.Protocol{&tcp, &udp, ptr(policy.SCTP)}[i], Destination: policy.Peer{Ports: odd(32768)}}
			})...), "196614 0 196614", "",
		},
		{"ports by ports of one rule", ingress(policy.Rule{Protocol: &tcp, Source: policy.Peer{Ports: odd(1600)}, Destination: policy.Peer{Ports: odd(1600)}}), "5124807 0 5124807", "spec.ingress[0]: too large: 5124807 combinations of source and destination ports, of at most 250000, most of them because of rule ingress[0]: use ranges of ports"},
		{
			"ports by ports of many rules", ingress(repeat(1600, func(i int) policy.Rule {
				return policy.Rule{Protocol: &tcp, Source: policy.Peer{Ports: odd(1600)}, Destination: policy.Peer{Ports: only(i + 1)}}
			})...), "0 0 0", "spec.ingress: too large: 2561600 ports in rules, of at most 200000: use ranges of ports",
		},
		{
			"source ports of one rule by destination ports of others", ingress(append(repeat(1, func(int) policy.Rule {
				return policy.Rule{Protocol: &tcp, Source: policy.Peer{Ports: odd(1600)}, Action: policy.Deny}
			}), repeat(1600, func(i int) policy.Rule {
				return policy.Rule{Protocol: &tcp, Destination: policy.Peer{Ports: only(i + 1)}}
			})...)...),
			"5129610 0 5129610", "spec.ingress[0]: too large: 5129610 combinations of source and destination ports, of at most 250000, most of them because of rule ingress[0]: use ranges of ports",
		},
		{
			"ICMP types and codes", ingress(repeat(1000, func(i int) policy.Rule {
				return policy.Rule{Protocol: &icmp, ICMP: byCode(uint8(i), uint8(i>>8))}
			})...), "2518 0 2518", "",
		},
		{
			"nets of one rule are a group", ingress(policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.0.0/24", "10.0.1.0/24", "fd00::/64")}, Destination: policy.Peer{Ports: only(80)}}),
			"9 1 14", "",
		},
		{
			"nets of two rules are three", ingress(
				policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.0.0/24", "10.0.1.0/24")}, Destination: policy.Peer{Ports: only(80)}},
				policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.1.0/24", "10.0.2.0/24")}, Destination: policy.Peer{Ports: only(90)}},
			), "11 4 32", "",
		},
		{
			"a net within others has what they have", ingress(
				policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.0.0/8", "10.0.0.0/16")}, Destination: policy.Peer{Ports: only(80)}},
				policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.0.0/24")}, Destination: policy.Peer{Ports: only(90)}},
			), "11 3 24", "",
		},
		{
			"exceptions are small groups beside the world", ingress(repeat(3, func(i int) policy.Rule {
				return policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("0.0.0.0/0"), NotNets: nets(address(i))}, Destination: policy.Peer{Ports: only(i + 1)}}
			})...), "11 3 44", "",
		},
		{
			"exceptions of what is no world are large", ingress(repeat(1000, func(i int) policy.Rule {
				return policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: nets("10.0.0.0/8"), NotNets: nets(address(i))}, Destination: policy.Peer{Ports: only(2*i + 1)}}
			})...), "2007 1002000 2009012",
			"spec.ingress: too large: 1002000 pairs of nets and ports that rules tell apart, of at most 500000: have rules share their lists of nets, or split the policy",
		},
		{
			"one list of very many nets", ingress(policy.Rule{Source: policy.Peer{Nets: repeatNets(100_001)}}), "0 0 0",
			"spec.ingress[0]: too large: 100001 nets in rules, of at most 100000, most of them because of rule ingress[0]: keep them in a NetworkSet, which may have 500000, and select it",
		},
		{
			"paths", ingress(policy.Rule{}, policy.Rule{HTTP: &policy.HTTPMatch{Paths: make([]policy.HTTPPath, 20_001)}}), "0 0 0",
			"spec.ingress[1]: too large: 20001 HTTP methods and paths, of at most 20000, most of them because of rule ingress[1]: use the beginnings that paths have in common",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := budget.OfPolicy(tt.policy)
			if d := cmp.Diff(tt.want, fmt.Sprint(c.Regions.N, c.Differences.N, c.RowRegions.N)); d != "" {
				t.Error(d)
			}
			var over []string
			for _, e := range budget.Check(tt.policy) {
				over = append(over, e.Field()+": "+e.String())
			}
			if d := cmp.Diff(tt.over, strings.Join(over, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func repeatNets(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.MustParsePrefix(address(i))
	}
	return out
}

// TestSets checks the limits of sets.
func TestSets(t *testing.T) {
	got := texts(budget.OfSet(make([]netip.Prefix, budget.MaxSetNets), make([]string, budget.MaxSetDomains)))
	got = append(got, texts(budget.OfSet(make([]netip.Prefix, budget.MaxSetNets+1), make([]string, budget.MaxSetDomains+1)))...)
	want := []string{
		"too large: 500001 nets, of at most 500000: split the set: a selector may select several",
		"too large: 50001 domains, of at most 50000: use wildcards, or split the set: a selector may select several",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
