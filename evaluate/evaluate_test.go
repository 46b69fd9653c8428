package evaluate_test

import (
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// The cluster of the tests: two pods, a VM without a profile, a network set and
// the world.
var (
	web = pod("web", "10.0.0.1", "fd00::1", map[string]string{"app": "web"}, policy.NamedPort{Name: "http", Protocol: policy.TCP, Port: 8080})
	db  = pod("db", "10.0.0.2", "fd00::2", map[string]string{"app": "db"}, policy.NamedPort{Name: "sql", Protocol: policy.TCP, Port: 5432})
	vm  = &policy.Endpoint{
		Key:   policy.Key{Kind: policy.KindWorkloadEndpoint, Namespace: "prod", Name: "vm"},
		Addrs: []netip.Addr{addr("10.0.0.3")}, Labels: selector.NewLabels(map[string]string{"app": "vm"}),
	}
	partners = &policy.Set{
		Key:    policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "partners"},
		Labels: selector.NewLabels(map[string]string{"set": "partners"}),
		Nets:   []netip.Prefix{net("203.0.113.0/24"), net("10.0.0.2/32")},
	}
	node = &policy.Node{Name: "n1", Addrs: []netip.Addr{addr("192.168.0.1")}}
)

const world = "198.51.100.7"

func addr(s string) netip.Addr  { return netip.MustParseAddr(s) }
func net(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func pod(name, v4, v6 string, labels map[string]string, ports ...policy.NamedPort) *policy.Endpoint {
	return &policy.Endpoint{
		Key: policy.Key{Kind: policy.KindPod, Namespace: "prod", Name: name}, Node: "n1",
		Addrs: []netip.Addr{addr(v4), addr(v6)}, Labels: selector.NewLabels(labels), Ports: ports, Profiles: []string{"kns.prod"},
	}
}

func model(tiers []*policy.Tier, policies ...*policy.Policy) *policy.Model {
	return &policy.Model{
		Tiers: tiers, Policies: policies,
		Endpoints: []*policy.Endpoint{web, db, vm}, Sets: []*policy.Set{partners}, Nodes: []*policy.Node{node},
	}
}

// ingress makes a policy of tier default for db.
func ingress(name string, order float64, rules ...policy.Rule) *policy.Policy {
	return inTier("default", name, order, rules...)
}

func inTier(tier, name string, order float64, rules ...policy.Rule) *policy.Policy {
	for i := range rules {
		rules[i].Index = i
	}
	p := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "prod", Name: name},
		Tier: tier, Order: order, Selector: selector.MustParse("app == 'db'"),
	}
	p.Types[policy.Ingress] = true
	p.Rules[policy.Ingress] = rules
	return p
}

func tcp(action policy.Action, port uint16) policy.Rule {
	r := proto(action, policy.TCP)
	r.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: port, Last: port}}}
	return r
}

func proto(action policy.Action, p policy.Protocol) policy.Rule {
	return policy.Rule{Action: action, Protocol: &p}
}

func from(r policy.Rule, sel string) policy.Rule {
	r.Source.Set = &policy.PeerSet{Selector: selector.MustParse(sel)}
	return r
}

func notFrom(r policy.Rule, sel string) policy.Rule {
	r.Source.NotSet = &policy.PeerSet{Selector: selector.MustParse(sel)}
	return r
}

func only(action policy.Action) policy.Rule { return policy.Rule{Action: action} }

func toDB(src string, port uint16) policy.Flow {
	return policy.Flow{Src: addr(src), Dst: addr("10.0.0.2"), Protocol: policy.TCP, SrcPort: 50000, DstPort: port}
}

func TestVerdicts(t *testing.T) {
	inf := math.Inf(1)
	passTier := []*policy.Tier{{Name: "first", Order: 1, DefaultAction: policy.Deny}, {Name: "default", Order: 100, DefaultAction: policy.Deny}}
	by := func(tier, name string, rule int) *policy.Decider {
		return &policy.Decider{Tier: tier, Kind: policy.KindNetworkPolicy, Namespace: "prod", Name: name, Rule: rule}
	}
	profile := &policy.Decider{Kind: policy.KindProfile, Name: "kns.prod"}
	sevenTo := func(f policy.Flow, p policy.Protocol) policy.Flow { f.Protocol = p; return f }

	for _, c := range []struct {
		name     string
		tiers    []*policy.Tier
		policies []*policy.Policy
		flow     policy.Flow
		want     policy.Action
		by       *policy.Decider // of ingress
	}{
		{"no policy: the profile allows", nil, nil, toDB(world, 80), policy.Allow, nil},
		{"a rule allows", nil, []*policy.Policy{ingress("p", 1, tcp(policy.Allow, 80))}, toDB(world, 80), policy.Allow, by("default", "p", 0)},
		{"no rule matches: the tier's end denies", nil, []*policy.Policy{ingress("p", 1, tcp(policy.Allow, 80))}, toDB(world, 81), policy.Deny, by("default", "p", -1)},
		{"a policy without rules denies", nil, []*policy.Policy{ingress("p", 1)}, toDB(world, 80), policy.Deny, by("default", "p", -1)},
		{"a policy with Log only denies", nil, []*policy.Policy{ingress("p", 1, only(policy.Log))}, toDB(world, 80), policy.Deny, by("default", "p", -1)},
		{"Log goes on", nil, []*policy.Policy{ingress("p", 1, only(policy.Log), only(policy.Allow))}, toDB(world, 80), policy.Allow, by("default", "p", 1)},
		{"lower order first", nil, []*policy.Policy{ingress("a", 2, only(policy.Allow)), ingress("b", 1, only(policy.Deny))}, toDB(world, 80), policy.Deny, by("default", "b", 0)},
		{"no order is last", nil, []*policy.Policy{ingress("a", inf, only(policy.Allow)), ingress("b", 1, only(policy.Deny))}, toDB(world, 80), policy.Deny, by("default", "b", 0)},
		{"a-b sorts before a", nil, []*policy.Policy{ingress("a", 1, only(policy.Deny)), ingress("a-b", 1, only(policy.Allow))}, toDB(world, 80), policy.Allow, by("default", "a-b", 0)},
		{"later policies of the tier are asked", nil, []*policy.Policy{ingress("a", 1, tcp(policy.Allow, 1)), ingress("b", 2, tcp(policy.Allow, 80))}, toDB(world, 80), policy.Allow, by("default", "b", 0)},
		{"the first tier decides", passTier, []*policy.Policy{inTier("first", "p", 1, only(policy.Deny)), ingress("p", 1, only(policy.Allow))}, toDB(world, 80), policy.Deny, by("first", "p", 0)},
		{"Pass skips the rest of its tier", passTier, []*policy.Policy{inTier("first", "p", 1, only(policy.Pass), only(policy.Deny)), inTier("first", "q", 2, only(policy.Deny)), ingress("p", 1, only(policy.Allow))}, toDB(world, 80), policy.Allow, by("default", "p", 0)},
		{"Pass in the last tier reaches the profile", nil, []*policy.Policy{ingress("p", 1, only(policy.Pass))}, toDB(world, 80), policy.Allow, profile},
		{"a tier's end may pass", []*policy.Tier{{Name: "default", Order: 1, DefaultAction: policy.Pass}}, []*policy.Policy{ingress("p", 1, tcp(policy.Deny, 1))}, toDB(world, 80), policy.Allow, profile},
		{"a tier of which no policy applies is skipped", passTier, []*policy.Policy{ingress("p", 1, only(policy.Allow))}, toDB(world, 80), policy.Allow, by("default", "p", 0)},
		{"a missing tier's policy is not enforced", nil, []*policy.Policy{inTier("nowhere", "p", 1, only(policy.Deny))}, toDB(world, 80), policy.Allow, nil},
		{"a selector matches endpoints", nil, []*policy.Policy{ingress("p", 1, from(only(policy.Allow), "app == 'web'"))}, toDB("10.0.0.1", 80), policy.Allow, by("default", "p", 0)},
		{"a selector matches sets", nil, []*policy.Policy{ingress("p", 1, from(only(policy.Allow), "set == 'partners'"))}, toDB("203.0.113.9", 80), policy.Allow, by("default", "p", 0)},
		{"notSelector matches the world", nil, []*policy.Policy{ingress("p", 1, notFrom(only(policy.Allow), "app == 'web'"))}, toDB(world, 80), policy.Allow, by("default", "p", 0)},
		{"notSelector excludes", nil, []*policy.Policy{ingress("p", 1, notFrom(only(policy.Allow), "set == 'partners'"))}, toDB("203.0.113.9", 80), policy.Deny, by("default", "p", -1)},
		{"a port criterion matches no protocol without ports", nil, []*policy.Policy{ingress("p", 1, tcp(policy.Allow, 80))}, sevenTo(toDB(world, 80), 47), policy.Deny, by("default", "p", -1)},
		{"the node reaches its pods", nil, []*policy.Policy{ingress("p", 1)}, toDB("192.168.0.1", 80), policy.Allow, nil},
		{"a pod reaches itself", nil, []*policy.Policy{ingress("p", 1)}, toDB("10.0.0.2", 80), policy.Allow, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			tiers := c.tiers
			if tiers == nil {
				tiers = policy.FixedTiers()
			}
			got := evaluate.New(model(tiers, c.policies...)).Evaluate(c.flow)
			if got.Verdict != c.want {
				t.Errorf("verdict %v, want %v\n%+v", got.Verdict, c.want, got.Ingress.Trace)
			}
			if diff := cmp.Diff(c.by, got.Ingress.By); diff != "" {
				t.Errorf("decided by (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndpointWithoutProfileIsDenied(t *testing.T) {
	f := policy.Flow{Src: addr("10.0.0.1"), Dst: addr("10.0.0.3"), Protocol: policy.TCP, SrcPort: 50000, DstPort: 80}
	got := evaluate.New(model(policy.FixedTiers())).Evaluate(f)
	want := policy.Result{
		Verdict: policy.Deny,
		Egress:  policy.Decision{Verdict: policy.Allow},
		Ingress: policy.Decision{Verdict: policy.Deny, By: &policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBothEndsMustAllow(t *testing.T) {
	deny := ingress("egress", 1)
	deny.Selector = selector.MustParse("app == 'web'")
	deny.Types = [2]bool{policy.Egress: true}
	got := evaluate.New(model(policy.FixedTiers(), deny)).Evaluate(toDB("10.0.0.1", 80))
	if got.Verdict != policy.Deny || got.Egress.Verdict != policy.Deny || got.Ingress.Verdict != policy.Allow {
		t.Errorf("got %+v", got)
	}
}

func TestTraceSaysWhyRulesDoNotMatch(t *testing.T) {
	icmp := proto(policy.Allow, policy.ICMP)
	eight, nets := uint8(8), []netip.Prefix{net("192.0.2.0/24")}
	icmp.ICMP = &policy.ICMPMatch{Type: &eight}
	inNets, notNets := only(policy.Allow), only(policy.Allow)
	inNets.Source.Nets = nets
	notNets.Source.NotNets = []netip.Prefix{net("10.0.0.0/8")}
	v6 := policy.Rule{Action: policy.Allow, Family: policy.IPv6}
	named := proto(policy.Allow, policy.TCP)
	named.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: 1, Last: 9}}, Names: []string{"sql"}}
	notPort := proto(policy.Allow, policy.TCP)
	notPort.Destination.NotPorts = &policy.Ports{Ranges: []policy.PortRange{{First: 80, Last: 80}}}
	notTCP := policy.Rule{Action: policy.Allow, NotProtocol: new(policy.TCP)}

	m := model(policy.FixedTiers(), ingress("p", 10,
		tcp(policy.Allow, 81), proto(policy.Allow, policy.UDP), notTCP, icmp, v6,
		from(only(policy.Allow), "app == 'db'"), notFrom(only(policy.Allow), "app == 'web'"),
		inNets, notNets, named, notPort, only(policy.Log), only(policy.Deny), only(policy.Allow)))
	got := evaluate.New(m).Evaluate(toDB("10.0.0.1", 80)).Ingress
	type reason struct {
		Criterion policy.Criterion
		Side      policy.Side
		Got       string
		Want      []string
		Sentence  string
	}
	wantReasons := []reason{
		{policy.CriterionPorts, policy.DestinationSide, "80", []string{"81"}, "destination port 80 is not in 81"},
		{policy.CriterionProtocol, policy.NoSide, "TCP", []string{"UDP"}, "protocol TCP is not UDP"},
		{policy.CriterionNotProtocol, policy.NoSide, "TCP", []string{"TCP"}, "protocol TCP is excluded"},
		{policy.CriterionProtocol, policy.NoSide, "TCP", []string{"ICMP"}, "protocol TCP is not ICMP"},
		{policy.CriterionFamily, policy.NoSide, "IPv4", []string{"IPv6"}, "IPv4 is not IPv6"},
		{policy.CriterionSelector, policy.SourceSide, "prod/Pod/web", []string{"app == 'db'"}, "source prod/Pod/web is not in app == 'db'"},
		{policy.CriterionNotSelector, policy.SourceSide, "prod/Pod/web", []string{"app == 'web'"}, "source prod/Pod/web is excluded by app == 'web'"},
		{policy.CriterionNets, policy.SourceSide, "10.0.0.1", []string{"192.0.2.0/24"}, "source prod/Pod/web is not in 192.0.2.0/24"},
		{policy.CriterionNotNets, policy.SourceSide, "10.0.0.1", []string{"10.0.0.0/8"}, "source prod/Pod/web is excluded by 10.0.0.0/8"},
		{policy.CriterionPorts, policy.DestinationSide, "80", []string{"1:9", "sql"}, "destination port 80 is not in 1:9, sql"},
		{policy.CriterionNotPorts, policy.DestinationSide, "80", []string{"80"}, "destination port 80 is excluded by 80"},
	}
	want := policy.Decision{
		Verdict: policy.Deny,
		By:      &policy.Decider{Tier: "default", Kind: policy.KindNetworkPolicy, Namespace: "prod", Name: "p", Rule: 12},
		Trace: []policy.TierTrace{{Tier: "default", Outcome: policy.Deny, Policies: []policy.PolicyTrace{{
			Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "prod", Name: "p"}, Order: 10,
		}}}},
	}
	rules := &want.Trace[0].Policies[0].Rules
	for i := range wantReasons {
		*rules = append(*rules, policy.RuleTrace{Index: i, Action: policy.Allow})
	}
	*rules = append(*rules, policy.RuleTrace{Index: 11, Action: policy.Log, Matched: true}, policy.RuleTrace{Index: 12, Action: policy.Deny, Matched: true})
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(policy.RuleTrace{}, "Mismatch")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var reasons []reason
	for _, r := range got.Trace[0].Policies[0].Rules {
		if x := r.Mismatch; x != nil {
			reasons = append(reasons, reason{x.Criterion, x.Side, x.GotText(), x.WantTexts(), x.String()})
		}
		if r.Matched != (r.Mismatch == nil) {
			t.Errorf("rule %d: matched %v, but %v", r.Index, r.Matched, r.Mismatch)
		}
	}
	if diff := cmp.Diff(wantReasons, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// TestDecideGivesNoReasons: whoever asks for a verdict alone does not pay for words.
func TestDecideGivesNoReasons(t *testing.T) {
	rules := make([]policy.Rule, 100)
	for i := range rules {
		rules[i] = tcp(policy.Allow, uint16(i+1))
	}
	index := evaluate.Plain(model(policy.FixedTiers(), ingress("many", 1, rules...)))
	few := evaluate.Plain(model(policy.FixedTiers(), ingress("few", 1, tcp(policy.Allow, 1))))
	f := toDB("10.0.0.1", 8080)
	if d := evaluate.Decide(index, f).Ingress; d.Verdict != policy.Deny || d.Trace != nil {
		t.Fatalf("got %+v", d)
	}
	of := func(i evaluate.Index) float64 { return testing.AllocsPerRun(10, func() { evaluate.Decide(i, f) }) }
	if many, one := of(index), of(few); many != one {
		t.Errorf("100 rules that do not match allocate %v times, one %v times", many, one)
	}
}

func TestNamedPortsAreThoseOfTheirSide(t *testing.T) {
	byName := func(side string, not bool) policy.Rule {
		r := proto(policy.Allow, policy.TCP)
		ports := &policy.Ports{Names: []string{"sql", "http"}}
		switch {
		case side == "source":
			r.Source.Ports = ports
		case not:
			r.Destination.NotPorts = ports
		default:
			r.Destination.Ports = ports
		}
		return r
	}
	for _, c := range []struct {
		name             string
		rule             policy.Rule
		srcPort, dstPort uint16
		want             policy.Action
	}{
		{"the destination's name", byName("destination", false), 50000, 5432, policy.Allow},
		{"not the source's", byName("destination", false), 50000, 8080, policy.Deny},
		{"the source's name", byName("source", false), 8080, 1, policy.Allow},
		{"not the destination's", byName("source", false), 5432, 1, policy.Deny},
		{"excluded by name", byName("destination", true), 50000, 5432, policy.Deny},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := toDB("10.0.0.1", c.dstPort)
			f.SrcPort = c.srcPort
			got := evaluate.New(model(policy.FixedTiers(), ingress("p", 1, c.rule))).Evaluate(f)
			if got.Verdict != c.want {
				t.Errorf("got %v, want %v: %+v", got.Verdict, c.want, got.Ingress.Trace)
			}
		})
	}
}

func TestICMP(t *testing.T) {
	u8 := func(v uint8) *uint8 { return &v }
	match := func(typ, code *uint8) policy.Rule {
		r := proto(policy.Allow, policy.ICMP)
		r.ICMP = &policy.ICMPMatch{Type: typ, Code: code}
		return r
	}
	not := proto(policy.Allow, policy.ICMP)
	not.NotICMP = &policy.ICMPMatch{Type: u8(8)}
	for _, c := range []struct {
		name      string
		rule      policy.Rule
		typ, code uint8
		want      policy.Action
	}{
		{"type", match(u8(8), nil), 8, 3, policy.Allow},
		{"another type", match(u8(8), nil), 0, 0, policy.Deny},
		{"type and code", match(u8(3), u8(1)), 3, 1, policy.Allow},
		{"another code", match(u8(3), u8(1)), 3, 2, policy.Deny},
		{"excluded", not, 8, 0, policy.Deny},
		{"not excluded", not, 0, 0, policy.Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := policy.Flow{Src: addr(world), Dst: addr("10.0.0.2"), Protocol: policy.ICMP, ICMPType: c.typ, ICMPCode: c.code}
			if got := evaluate.New(model(policy.FixedTiers(), ingress("p", 1, c.rule))).Evaluate(f); got.Verdict != c.want {
				t.Errorf("got %v, want %v", got.Verdict, c.want)
			}
		})
	}
}
