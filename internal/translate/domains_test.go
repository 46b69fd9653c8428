package translate_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

const egressPolicy = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  egress:
  - `

func domainSet(domains ...string) *policy.Set {
	name := strings.Join(domains, ",")
	return &policy.Set{
		Key: policy.Key{Kind: policy.KindDomains, Name: name}, Internal: true, Domains: domains,
		Labels: selector.NewLabels(map[string]string{"rule:domains": name}),
	}
}

func TestDomainsOfRule(t *testing.T) {
	m := load(t, egressPolicy+`{action: Allow, protocol: TCP, destination: {domains: [WWW.Example.com., "*.b.example", www.example.com, a_b.example], notNets: [10.0.0.0/8], ports: [443]}}`+`
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: q}
spec: {egress: [{action: Allow, destination: {domains: ["*.b.example", a_b.example, www.example.com]}}, {action: Allow, destination: {domains: [c.example]}}]}
`)
	set := domainSet("*.b.example", "a_b.example", "www.example.com")
	diff(t, "sets", []*policy.Set{set, domainSet("c.example")}, m.Sets)
	want := &policy.PeerSet{Selector: selector.Equals("rule:domains", set.Key.Name), DNSLearned: true, Internal: true}
	for _, p := range m.Policies {
		got := p.Rules[policy.Egress][0].Destination.Set
		diff(t, p.Key.Name, want, got)
		if text := "domains *.b.example, a_b.example, www.example.com"; got.String() != text {
			t.Errorf("%s: says %q, want %q", p.Key.Name, got, text)
		}
	}
}

// TestNetsBesideDomains: either will do, as in a network set that holds both.
func TestNetsBesideDomains(t *testing.T) {
	m := load(t, egressPolicy+`{action: Allow, destination: {nets: [8.8.8.8/32, 1.1.1.1/32], domains: [b.example, a.example]}}`)
	set := domainSet("a.example", "b.example", "1.1.1.1/32", "8.8.8.8/32")
	set.Domains, set.Nets = []string{"a.example", "b.example"}, []netip.Prefix{netip.MustParsePrefix("8.8.8.8/32"), netip.MustParsePrefix("1.1.1.1/32")}
	diff(t, "sets", []*policy.Set{set}, m.Sets)
	peer := m.Policies[0].Rules[policy.Egress][0].Destination
	want := policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("rule:domains", set.Key.Name), DNSLearned: true, Internal: true}}
	diff(t, "destination", want, peer)
	if got, want := peer.Set.String(), "domains a.example, b.example or 1.1.1.1/32, 8.8.8.8/32"; got != want {
		t.Errorf("says %q, want %q", got, want)
	}
	diff(t, "findings", []string{"6: spec.egress[0].destination.nets[1]: is IPv6, but spec.egress[0].destination.nets[0] is IPv4: write a rule for each, since one rule cannot match both"},
		findings(t, egressPolicy+`{action: Allow, destination: {nets: [8.8.8.8/32, 2001:db8::/64], domains: [a.example]}}`))
}

func TestDomainsOfSet(t *testing.T) {
	m := load(t, `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: s, namespace: web, labels: {a: b}}
spec: {nets: [192.0.2.0/24], allowedEgressDomains: ["*.Example.com", x.example., x.example]}
`)
	if got, want := m.Sets[0].Domains, []string{"*.example.com", "x.example"}; cmp.Diff(want, got) != "" || m.Sets[0].Internal || m.Sets[0].DNSLearned {
		t.Errorf("got %+v, want the domains %v", m.Sets[0], want)
	}
}

// TestLearnedIsForEgressAllow: nothing else may depend on what was asked for by chance.
func TestLearnedIsForEgressAllow(t *testing.T) {
	m := load(t, `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  ingress: [{action: Allow, source: {selector: a == 'b'}, destination: {selector: a == 'b'}}]
  egress:
  - {action: Allow, source: {selector: a == 'b'}, destination: {selector: a == 'b', notSelector: c == 'd'}}
  - {action: Deny, destination: {selector: a == 'b'}}
  - {action: Pass, destination: {selector: a == 'b'}}
  - {action: Log, destination: {selector: a == 'b'}}
`)
	for dir, rules := range m.Policies[0].Rules {
		for i, r := range rules {
			for side, ent := range map[string]*policy.PeerSet{
				"source": r.Source.Set, "destination": r.Destination.Set,
				"not source": r.Source.NotSet, "not destination": r.Destination.NotSet,
			} {
				want := policy.Direction(dir) == policy.Egress && r.Action == policy.Allow && side == "destination"
				if ent != nil && ent.DNSLearned != want {
					t.Errorf("%s rule %d, %s: Learned is %v", policy.Direction(dir), i, side, ent.DNSLearned)
				}
			}
		}
	}
}

func TestDomainErrors(t *testing.T) {
	long := strings.Repeat("a", 50)
	for _, tt := range []struct{ yaml, want string }{
		{`{action: Deny, destination: {domains: [a.example]}}`, "6: spec.egress[0].destination.domains: domains are for Allow rules only, but the action is Deny: which addresses a name has is only known once it was asked for, so nothing else can rely on it"},
		{`{action: Allow, source: {domains: [a.example]}}`, "6: spec.egress[0].source.domains: domains are for the destination of egress rules only: remove them"},
		{`{action: Allow, destination: {domains: [a.example], selector: has(a), namespaceSelector: all(), serviceAccounts: {names: [x]}}}`,
			"6: spec.egress[0].destination.namespaceSelector: cannot stand beside domains: write a rule for each\n" +
				"6: spec.egress[0].destination.selector: cannot stand beside domains: write a rule for each\n" +
				"6: spec.egress[0].destination.serviceAccounts: cannot stand beside domains: write a rule for each"},
		{`{action: Allow, destination: {domains: ["*", "*.", "a.*.example", "w*.example", "", ".", "*.*.example"]}}`,
			`6: spec.egress[0].destination.domains[0]: "*" is every name there is: a rule without domains allows that
6: spec.egress[0].destination.domains[1]: "*." is every name there is: a rule without domains allows that
6: spec.egress[0].destination.domains[2]: "a.*.example": "*" can only stand for whole parts of a name, and only at its beginning, as in "*.example.com"
6: spec.egress[0].destination.domains[3]: "w*.example": "*" can only stand for whole parts of a name, and only at its beginning, as in "*.example.com"
6: spec.egress[0].destination.domains[4]: is empty: expected a name such as "www.example.com" or "*.example.com"
6: spec.egress[0].destination.domains[5]: "." has no name: expected one such as "www.example.com" or "*.example.com"
6: spec.egress[0].destination.domains[6]: "*.*.example": "*" can only stand for whole parts of a name, and only at its beginning, as in "*.example.com"`},
		{`{action: Allow, destination: {domains: ["bücher.example", "a..b", "a b", "-a.example", "https://a.example", "10.0.0.1/8", 192.0.2.1]}}`,
			`6: spec.egress[0].destination.domains[0]: "bücher.example" has characters that names in DNS do not have: write it as DNS knows it, in ASCII, each such part beginning with "xn--"
6: spec.egress[0].destination.domains[1]: "a..b" has an empty part: expected one dot between two parts, and none at the beginning
6: spec.egress[0].destination.domains[2]: "a b" has the character ' ': expected letters, digits, '-', '_' and '.'
6: spec.egress[0].destination.domains[3]: "-a.example" has the part "-a": a part neither begins nor ends with '-'
6: spec.egress[0].destination.domains[4]: "https://a.example" has the character ':': expected letters, digits, '-', '_' and '.'
6: spec.egress[0].destination.domains[5]: "10.0.0.1/8" has the character '/': expected letters, digits, '-', '_' and '.'
6: spec.egress[0].destination.domains[6]: "192.0.2.1" is an address, no name: write it in nets`},
		{`{action: Allow, destination: {domains: ["` + strings.Repeat(long+".", 6) + `example"]}}`,
			`6: spec.egress[0].destination.domains[0]: "` + (strings.Repeat(long+".", 6))[:80] + `..." has 313 characters: a name has at most 253`},
		{`{action: Allow, destination: {domains: ["` + long + long + `.example"]}}`,
			`6: spec.egress[0].destination.domains[0]: "` + (long + long)[:80] + `..." has a part of 100 characters: a part has at most 63`},
	} {
		t.Run(tt.yaml[:min(len(tt.yaml), 60)], func(t *testing.T) {
			diff(t, "findings", strings.Split(tt.want, "\n"), findings(t, egressPolicy+tt.yaml))
		})
	}
	diff(t, "ingress", []string{"6: spec.ingress[0].destination.domains: domains are for the destination of egress rules only: remove them"},
		findings(t, strings.Replace(egressPolicy, "egress", "ingress", 1)+`{action: Allow, destination: {domains: [a.example]}}`))
}

// TestRuleSetsComeAndGo: a set of a rule is in the model as long as some policy in
// force refers to it, and is given out once for all of them.
func TestRuleSetsComeAndGo(t *testing.T) {
	tr := translate.New(translate.Options{})
	known := map[policy.Key]policy.Object{}
	take := func(b store.Batch) (changed []string) {
		t.Helper()
		seen := map[policy.Key]bool{}
		tr.Apply(b, translate.Sink{Change: func(c policy.Change) {
			if seen[c.Key] {
				t.Errorf("%v is given out twice in a step", c.Key)
			}
			seen[c.Key] = true
			if c.Key.Kind != policy.KindDomains {
				return
			}
			what := "+" + c.Key.Name
			if c.Object == nil {
				what = "-" + c.Key.Name
				delete(known, c.Key)
			} else {
				known[c.Key] = c.Object
			}
			changed = append(changed, what)
		}})
		n := 0
		tr.Each(func(c policy.Change) {
			if c.Key.Kind == policy.KindDomains {
				n++
				diff(t, "Each", known[c.Key], c.Object)
			}
		})
		if n != len(known) {
			t.Errorf("Each gives %d sets, want %d", n, len(known))
		}
		return changed
	}
	p := func(name, tier string, domains string) store.Resource {
		return read(t, `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: `+name+`}
spec: {tier: `+tier+`, egress: [{action: Allow, destination: {domains: [`+domains+`]}}, {action: Allow, destination: {domains: [`+domains+`]}}]}
`)[0]
	}
	up := func(rs ...store.Resource) store.Batch { return store.Batch{Updated: rs} }
	step := func(what string, b store.Batch, want ...string) {
		t.Helper()
		diff(t, what, want, take(b))
	}
	step("two policies, one set", up(p("a", "default", "x.example"), p("b", "default", "x.example")), "+x.example")
	step("one changes", up(p("a", "default", "y.example")), "+y.example")
	step("the other follows", up(p("b", "default", "y.example")), "-x.example")
	step("handed over within a step", store.Batch{Deleted: []policy.Key{{Kind: policy.KindGlobalNetworkPolicy, Name: "a"}}, Updated: []store.Resource{p("b", "default", "z.example"), p("c", "default", "y.example")}}, "+z.example")
	step("an invalid version keeps the last valid one", up(p("b", "default", "'*'")))
	step("so does a tier that is missing", up(p("c", "nowhere", "w.example")))
	step("until it comes", up(read(t, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: nowhere}\nspec: {}\n")...), "+w.example", "-y.example")
	step("all gone", store.Batch{Deleted: []policy.Key{{Kind: policy.KindGlobalNetworkPolicy, Name: "b"}, {Kind: policy.KindGlobalNetworkPolicy, Name: "c"}}}, "-w.example", "-z.example")
}
