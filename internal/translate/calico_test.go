package translate_test

import (
	"math"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestCalicoPolicy translates one policy a case and compares all of it.
func TestCalicoPolicy(t *testing.T) {
	np := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "web", Name: "p"}
	gnp := policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}
	for _, tt := range []struct {
		name string
		yaml string
		want policy.Policy
	}{
		{"nothing said", `
kind: NetworkPolicy
metadata: {name: p, namespace: web}
`, policy.Policy{
			Key: np, Tier: "default", Order: math.Inf(1),
			Selector: sel("projectcalico.org/namespace == 'web'"),
			Types:    governs(policy.Ingress),
		}},
		{"global, nothing said", `
kind: GlobalNetworkPolicy
metadata: {name: p}
spec: {types: []}
`, policy.Policy{Key: gnp, Tier: "default", Order: math.Inf(1), Selector: sel("all()"), Types: governs(policy.Ingress)}},
		{"egress rules only", `
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  tier: application
  order: -1.5
  egress: [{action: Pass}]
`, policy.Policy{
			Key: np, Tier: "application", Order: -1.5,
			Selector: sel("projectcalico.org/namespace == 'web'"),
			Types:    governs(policy.Egress),
			Rules:    egress(policy.Rule{Action: policy.Pass}),
		}},
		{"types that leave rules without effect", `
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  types: [Ingress]
  egress: [{action: Allow}]
`, policy.Policy{
			Key: np, Tier: "default", Order: math.Inf(1),
			Selector: sel("projectcalico.org/namespace == 'web'"),
			Types:    governs(policy.Ingress),
			Rules:    egress(policy.Rule{Action: policy.Allow}),
		}},
		{"namespaced selectors", `
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  selector: app == "a" || app == "b"
  serviceAccountSelector: role in {'x'}
`, policy.Policy{
			Key: np, Tier: "default", Order: math.Inf(1),
			Selector: sel("projectcalico.org/namespace == 'web' && (app == 'a' || app == 'b') && pcsa.role in {'x'}"),
			Types:    governs(policy.Ingress),
		}},
		{"global selectors", `
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  selector: app == 'a'
  namespaceSelector: env == 'prod' || !has(team)
  serviceAccountSelector: projectcalico.org/name == 'x'
`, policy.Policy{
			Key: gnp, Tier: "default", Order: math.Inf(1),
			Selector: sel("app == 'a' && (pcns.env == 'prod' || !has(pcns.team)) && pcsa.projectcalico.org/name == 'x'"),
			Types:    governs(policy.Ingress),
		}},
		{"every namespace, no host", `
kind: GlobalNetworkPolicy
metadata: {name: p}
spec: {namespaceSelector: all(), serviceAccountSelector: all()}
`, policy.Policy{
			Key: gnp, Tier: "default", Order: math.Inf(1),
			Selector: sel("has(projectcalico.org/namespace)"),
			Types:    governs(policy.Ingress),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, tierApplication+"apiVersion: projectcalico.org/v3"+tt.yaml)
			diff(t, "policies", []*policy.Policy{&tt.want}, m.Policies)
		})
	}
}

// TestCalicoRule translates one ingress rule a case, of a policy in namespace
// web and, if global is given, of a global one.
func TestCalicoRule(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rule   string
		want   policy.Rule
		global *policy.Rule // nil: the same
	}{
		{"bare", `{action: Deny}`, policy.Rule{Action: policy.Deny}, nil},
		{"log", `{action: Log, metadata: {annotations: {a: b}}}`, policy.Rule{Action: policy.Log}, nil},
		{"version", `{action: Allow, ipVersion: 6}`, policy.Rule{Action: policy.Allow, Family: policy.IPv6}, nil},
		{"protocol by name and number", `{action: Allow, protocol: UDPLite, notProtocol: 47}`,
			policy.Rule{Action: policy.Allow, Protocol: proto(policy.UDPLite), NotProtocol: proto(47)}, nil},
		{"icmp", `{action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}, notICMP: {type: 3}}`,
			policy.Rule{Action: policy.Allow, Protocol: proto(policy.ICMP),
				ICMP: &policy.ICMPMatch{Type: octet(8), Code: octet(0)}, NotICMP: &policy.ICMPMatch{Type: octet(3)}}, nil},
		{"icmp by number", `{action: Allow, protocol: 58, icmp: {type: 128}}`,
			policy.Rule{Action: policy.Allow, Protocol: proto(policy.ICMPv6), ICMP: &policy.ICMPMatch{Type: octet(128)}}, nil},
		{"ports of all kinds", `{action: Allow, protocol: 6, source: {notPorts: [1, 65535]}, destination: {ports: [80, "90", "8000:8080", "7:7", http]}}`,
			policy.Rule{Action: policy.Allow, Protocol: proto(policy.TCP),
				Source: policy.Peer{NotPorts: ports(1, 65535)},
				Destination: policy.Peer{Ports: &policy.Ports{
					Ranges: []policy.PortRange{{First: 80, Last: 80}, {First: 90, Last: 90}, {First: 8000, Last: 8080}, {First: 7, Last: 7}},
					Names:  []string{"http"},
				}}}, nil},
		{"nets, masked and once each", `{action: Allow, source: {nets: [10.1.2.3/8, 10.0.0.0/8, 192.0.2.1/32], notNets: [10.9.0.0/16]}}`,
			policy.Rule{Action: policy.Allow, Family: policy.IPv4,
				Source: policy.Peer{Nets: nets("10.0.0.0/8", "192.0.2.1/32"), NotNets: nets("10.9.0.0/16")}}, nil},
		{"excluded nets alone still fix the family", `{action: Allow, destination: {notNets: ["2001:db8::/32"]}}`,
			policy.Rule{Action: policy.Allow, Family: policy.IPv6, Destination: policy.Peer{NotNets: nets("2001:db8::/32")}}, nil},
		{"selector", `{action: Allow, source: {selector: "app == 'a' || app == 'b'"}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("projectcalico.org/namespace == 'web' && (app == 'a' || app == 'b')")}},
			&policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("app == 'a' || app == 'b'")}}},
		{"selector of everything", `{action: Allow, source: {selector: all()}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("projectcalico.org/namespace == 'web'")}},
			&policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("all()")}}},
		{"blank selectors are none", `{action: Allow, source: {selector: " ", notSelector: "", namespaceSelector: "\t", serviceAccounts: {names: [], selector: ""}, nets: []}}`,
			policy.Rule{Action: policy.Allow}, nil},
		{"notSelector", `{action: Allow, source: {notSelector: app == 'a'}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{
				Set: entities("projectcalico.org/namespace == 'web'"), NotSet: entities("app == 'a'")}},
			&policy.Rule{Action: policy.Allow, Source: policy.Peer{NotSet: entities("app == 'a'")}}},
		{"namespaceSelector", `{action: Allow, source: {namespaceSelector: env == 'prod', selector: app == 'a'}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("pcns.env == 'prod' && app == 'a'")}}, nil},
		{"any namespace", `{action: Allow, source: {namespaceSelector: all()}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("has(projectcalico.org/namespace)")}}, nil},
		{"no namespace", `{action: Allow, source: {namespaceSelector: global(), selector: has(x)}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("!has(projectcalico.org/namespace) && has(x)")}}, nil},
		{"all() within a namespaceSelector", `{action: Allow, source: {namespaceSelector: "all() && !(a == 'b')"}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("has(projectcalico.org/namespace) && pcns.a != 'b'")}}, nil},
		{"notSelector with namespaceSelector", `{action: Allow, source: {namespaceSelector: env == 'prod', notSelector: app == 'a'}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("pcns.env == 'prod'"), NotSet: entities("app == 'a'")}}, nil},
		{"service accounts by name", `{action: Allow, source: {serviceAccounts: {names: [b, a]}}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{
				Set: entities("projectcalico.org/namespace == 'web' && projectcalico.org/serviceaccount in {'a', 'b'}")}},
			&policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("projectcalico.org/serviceaccount in {'a', 'b'}")}}},
		{"service accounts by label, in any namespace", `{action: Allow, source: {serviceAccounts: {selector: role == 'x'}, namespaceSelector: all()}}`,
			policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: entities("has(projectcalico.org/namespace) && pcsa.role == 'x'")}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  ingress:
  - `+tt.rule+`
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  ingress:
  - `+tt.rule)
			global := &tt.want
			if tt.global != nil {
				global = tt.global
			}
			diff(t, "global", []policy.Rule{*global}, m.Policies[0].Rules[policy.Ingress])
			diff(t, "namespaced", []policy.Rule{tt.want}, m.Policies[1].Rules[policy.Ingress])
		})
	}
}

func TestTiers(t *testing.T) {
	m := load(t, `
apiVersion: projectcalico.org/v3
kind: TierList
items:
- metadata: {name: default}
  spec: {order: 1000000, defaultAction: Deny}
- metadata: {name: passing}
  spec: {order: 50, defaultAction: Pass}
- metadata: {name: security}
- metadata: {name: kube-admin}
`)
	diff(t, "tiers", []*policy.Tier{
		{Name: "default", Order: 1_000_000, DefaultAction: policy.Deny},
		{Name: "kube-admin", Order: 1000, DefaultAction: policy.Pass},
		{Name: "kube-baseline", Order: 10_000_000, DefaultAction: policy.Pass},
		{Name: "passing", Order: 50, DefaultAction: policy.Pass},
		{Name: "security", Order: math.Inf(1), DefaultAction: policy.Deny},
	}, m.Tiers)
}

func TestNetworkSets(t *testing.T) {
	m := load(t, `
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {env: prod}}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: a, namespace: web, labels: {role: db}}
spec: {nets: [10.0.0.1, 10.0.0.0/24, "2001:db8::1/64"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: b, labels: {role: db, pcns.env: forged}}
spec: {nets: []}
`)
	diff(t, "sets", []*policy.Set{
		{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "b"}, Labels: labels("role", "db", "own:pcns.env", "forged")},
		{Key: policy.Key{Kind: policy.KindNetworkSet, Namespace: "web", Name: "a"},
			Labels: labels("role", "db", "pcns.env", "prod", "pcns.projectcalico.org/name", "web",
				"pcns.kubernetes.io/metadata.name", "web", "projectcalico.org/namespace", "web"),
			Nets: nets("10.0.0.1/32", "10.0.0.0/24", "2001:db8::/64")},
	}, m.Sets)
}
