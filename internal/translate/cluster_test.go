package translate_test

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

const pods = " && projectcalico.org/orchestrator == 'k8s'"

// podsWith is a peer that means pods.
func podsWith(text string) policy.Peer {
	return policy.Peer{Set: &policy.PeerSet{Selector: sel(text), EndpointsOnly: true}}
}

// nobody is a peer that cannot be used, of a rule that accepts.
func nobody() policy.Peer { return podsWith("!all()") }

// nodesWith is a peer that means nodes; its label cannot be written.
func nodesWith(text string) policy.Peer {
	return policy.Peer{Set: &policy.PeerSet{Selector: selector.Equals("rule:nodes", text), Internal: true}}
}

func onPorts(protocol policy.Protocol, ranges []policy.PortRange, names ...string) func(policy.Rule) policy.Rule {
	return func(r policy.Rule) policy.Rule {
		r.Protocol, r.Destination.Ports = proto(protocol), &policy.Ports{Ranges: ranges, Names: names}
		return r
	}
}

func span(first, last uint16) []policy.PortRange {
	return []policy.PortRange{{First: first, Last: last}}
}

// TestClusterPolicy checks how policies of each kind are read.
func TestClusterPolicy(t *testing.T) {
	allow := func(peer policy.Peer) policy.Rule { return policy.Rule{Action: policy.Allow, Destination: peer} }
	deny := func(peer policy.Peer) policy.Rule { return policy.Rule{Action: policy.Deny, Destination: peer} }
	all := podsWith("projectcalico.org/orchestrator == 'k8s'")
	for _, tt := range []struct {
		name string
		kind string
		spec string
		tier string
		// order is that of the policy.
		order float64
		sel   string
		rules [2][]policy.Rule
	}{
		{
			name: "subject", kind: policy.KindClusterNetworkPolicy, spec: `
tier: Admin
priority: 7
subject: {pods: {namespaceSelector: {matchLabels: {env: prod}}, podSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}}}`,
			tier: "kube-admin", order: 7, sel: "pcns.env == 'prod' && app in {'a', 'b'}" + pods,
		},
		{
			name: "peers", kind: policy.KindClusterNetworkPolicy, spec: `
tier: Baseline
priority: 0
subject: {namespaces: {}}
egress:
- {action: Accept, to: [{namespaces: {matchLabels: {env: prod}}}, {pods: {podSelector: {matchLabels: {app: a}}}}]}
- {action: Deny, to: [{nodes: {matchLabels: {role: gw}}}, {nodes: {}}, {networks: [10.0.0.1/8, "fd00::/8"]}]}
- {action: Pass, to: [{namespaces: {}}]}`,
			tier: "kube-baseline", sel: "projectcalico.org/orchestrator == 'k8s'",
			rules: egress(
				allow(podsWith("pcns.env == 'prod'"+pods)), allow(podsWith("app == 'a'"+pods)),
				indexed(1, deny(nodesWith("role == 'gw'"))), indexed(1, deny(nodesWith("all()"))), indexed(1, deny(policy.Peer{Nets: nets("10.0.0.0/8", "fd00::/8")})),
				indexed(2, policy.Rule{Action: policy.Pass, Destination: all}),
			),
		},
		{
			name: "protocols", kind: policy.KindClusterNetworkPolicy, spec: `
tier: Admin
priority: 1000
subject: {namespaces: {}}
ingress:
- action: Accept
  from: [{namespaces: {}}]
  protocols:
  - {tcp: {destinationPort: {number: 80}}}
  - {udp: {destinationPort: {range: {start: 1, end: 9}}}}
  - {tcp: {destinationPort: {number: 443}}}
  - {sctp: {destinationPort: {number: 7}}}
  - {destinationNamedPort: web}`,
			tier: "kube-admin", order: 1000, sel: "projectcalico.org/orchestrator == 'k8s'",
			rules: ingress(
				onPorts(policy.TCP, append(span(80, 80), span(443, 443)...), "web")(policy.Rule{Action: policy.Allow, Source: all}),
				onPorts(policy.UDP, span(1, 9), "web")(policy.Rule{Action: policy.Allow, Source: all}),
				onPorts(policy.SCTP, span(7, 7), "web")(policy.Rule{Action: policy.Allow, Source: all}),
			),
		},
		{
			name: "admin", kind: policy.KindAdminNetworkPolicy, spec: `
priority: 30
subject: {namespaces: {matchLabels: {a: b}}}
ingress: [{action: Pass, from: [{namespaces: {}}]}]
egress:
- action: Allow
  to: [{networks: [10.0.0.0/8]}]
  ports: [{portNumber: {port: 80}}, {portRange: {protocol: UDP, start: 5, end: 5}}]`,
			tier: "kube-admin", order: 30, sel: "pcns.a == 'b'" + pods,
			rules: [2][]policy.Rule{
				policy.Ingress: {{Action: policy.Pass, Source: all}},
				policy.Egress: {
					onPorts(policy.TCP, span(80, 80))(allow(policy.Peer{Nets: nets("10.0.0.0/8")})),
					onPorts(policy.UDP, span(5, 5))(allow(policy.Peer{Nets: nets("10.0.0.0/8")})),
				},
			},
		},
		{
			name: "baseline", kind: policy.KindBaselineAdminNetworkPolicy, spec: `
subject: {namespaces: {}}
ingress: [{action: Deny, from: [{namespaces: {}}], ports: [{namedPort: web}]}]`,
			tier: "kube-baseline", sel: "projectcalico.org/orchestrator == 'k8s'",
			rules: ingress(
				onPorts(policy.TCP, nil, "web")(policy.Rule{Action: policy.Deny, Source: all}),
				onPorts(policy.UDP, nil, "web")(policy.Rule{Action: policy.Deny, Source: all}),
				onPorts(policy.SCTP, nil, "web")(policy.Rule{Action: policy.Deny, Source: all}),
			),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			version := "v1alpha1"
			if tt.kind == policy.KindClusterNetworkPolicy {
				version = "v1alpha2"
			}
			m := load(t, "apiVersion: policy.networking.k8s.io/"+version+"\nkind: "+tt.kind+"\nmetadata: {name: default}\nspec:"+indent(tt.spec))
			diff(t, "policy", &policy.Policy{
				Key: policy.Key{Kind: tt.kind, Name: "default"}, Tier: tt.tier, Order: tt.order, Selector: sel(tt.sel),
				Types: [2]bool{len(tt.rules[0]) > 0, len(tt.rules[1]) > 0}, Rules: tt.rules,
			}, m.Policies[0])
		})
	}
}

func indexed(i int, r policy.Rule) policy.Rule {
	r.Index = i
	return r
}

const clusterHead = `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
`

// TestClusterErrors checks what can be wrong with a policy, beside its peers.
func TestClusterErrors(t *testing.T) {
	const rule = clusterHead + "  ingress:\n  - "
	for _, tt := range []struct{ yaml, want string }{
		{strings.Replace(clusterHead, "Admin", "admin", 1), `5: spec.tier: "admin": expected Admin or Baseline; did you mean "Admin"?`},
		{strings.Replace(clusterHead, "priority: 1", "priority: 1001", 1), `6: spec.priority: 1001: expected a number from 0, which is asked first, to 1000`},
		{strings.Replace(clusterHead, "priority: 1", "priority: -1", 1), `6: spec.priority: -1: expected a number from 0, which is asked first, to 1000`},
		{strings.Replace(clusterHead, "{namespaces: {}}", "{}", 1), `7: spec.subject: is empty: expected namespaces or pods; "namespaces: {}" is all pods`},
		{strings.Replace(clusterHead, "{namespaces: {}}", "{namespaces: {}, pods: {podSelector: {}}}", 1), `7: spec.subject: has both namespaces and pods: expected one of them`},
		{strings.Replace(clusterHead, "{namespaces: {}}", "{namespaces: {matchExpressions: [{key: a, operator: in}]}}", 1),
			`7: spec.subject.namespaces.matchExpressions[0].operator: "in": expected In, NotIn, Exists or DoesNotExist; did you mean "In"?`},
		{rule + `{action: Allow, from: [{namespaces: {}}]}`, `9: spec.ingress[0].action: "Allow": expected Accept, Deny or Pass`},
		{rule + `{from: [{namespaces: {}}]}`, `9: spec.ingress[0].action: is missing: expected Accept, Deny or Pass`},
		{rule + `{action: Deny}`, `9: spec.ingress[0].from: is empty: expected at least one peer; "namespaces: {}" is all pods`},
		{rule + `{action: Deny, name: ` + strings.Repeat("x", 101) + `, from: [{namespaces: {}}]}`, `9: spec.ingress[0].name: has 101 characters: expected at most 100`},
		{rule + `{action: Deny, from: [` + strings.Repeat("{namespaces: {}}, ", 26) + `]}`, `9: spec.ingress[0].from: has 26 peers: expected at most 25`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: []}`, `9: spec.ingress[0].protocols: is empty: leave it out to mean every port of every protocol`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{}]}`, `9: spec.ingress[0].protocols[0]: is empty: expected tcp, udp, sctp or destinationNamedPort`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}}]}`, `9: spec.ingress[0].protocols[0].tcp: is empty: expected destinationPort; every port is "destinationPort: {range: {start: 1, end: 65535}}"`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {}}}]}`, `9: spec.ingress[0].protocols[0].tcp.destinationPort: is empty: expected number or range`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 70000}}}]}`, `9: spec.ingress[0].protocols[0].udp.destinationPort.number: 70000 is no port: expected a number from 1 to 65535`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{sctp: {destinationPort: {range: {start: 5, end: 5}}}}]}`, `9: spec.ingress[0].protocols[0].sctp.destinationPort.range: 5 to 5 is one port: write it as a number`},
		{rule + `{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: "80"}]}`, `9: spec.ingress[0].protocols[0].destinationNamedPort: "80" is a number in quotes: write it without them`},
		{`apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: mine}
spec: {subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}`,
			"3: metadata.name: \"mine\": there is only one BaselineAdminNetworkPolicy, and its name is default\n4: spec.ingress[0].action: \"Pass\": expected Allow or Deny"},
	} {
		diff(t, tt.yaml, strings.Split(tt.want, "\n"), findings(t, tt.yaml))
	}
}

// TestClosedPeers checks that a peer that cannot be used leaves its policy in force, on
// the safe side.
func TestClosedPeers(t *testing.T) {
	everyone := policy.Peer{}
	good := policy.Peer{Nets: nets("10.0.0.0/8")}
	rule := func(a policy.Action, p policy.Peer) policy.Rule { return policy.Rule{Action: a, Destination: p} }
	for _, tt := range []struct {
		rule  string
		rules []policy.Rule
		want  string // what is said of the peer
	}{
		{`{action: Accept, to: [{}, {networks: [10.0.0.0/8]}]}`,
			[]policy.Rule{rule(policy.Allow, good), rule(policy.Allow, nobody())},
			`to[0]: is empty: expected namespaces, pods, nodes, networks or domainNames; until then it accepts nothing`},
		{`{action: Deny, to: [{}, {networks: [10.0.0.0/8]}]}`,
			[]policy.Rule{rule(policy.Deny, good), rule(policy.Deny, everyone)},
			`to[0]: is empty: expected namespaces, pods, nodes, networks or domainNames; until then it stands for everything, which is denied`},
		{`{action: Pass, to: [{}, {networks: [10.0.0.0/8]}]}`,
			[]policy.Rule{rule(policy.Pass, good), rule(policy.Deny, everyone)},
			`to[0]: is empty: expected namespaces, pods, nodes, networks or domainNames; until then it stands for everything, which is denied`},
		{`{action: Accept, to: [{namespaces: {}, nodes: {}}]}`, []policy.Rule{rule(policy.Allow, nobody())},
			`to[0]: has both namespaces and nodes: make them items of their own; until then it accepts nothing`},
		{`{action: Deny, to: [{networks: [10.0.0.0/8, nonsense]}]}`, []policy.Rule{rule(policy.Deny, everyone)},
			`to[0].networks[1]: "nonsense" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"; until then it stands for everything, which is denied`},
		{`{action: Accept, to: [{networks: []}]}`, []policy.Rule{rule(policy.Allow, nobody())},
			`to[0].networks: is empty: expected at least one CIDR, such as "192.0.2.0/24"; until then it accepts nothing`},
		{`{action: Deny, to: [{domainNames: [example.com]}]}`, []policy.Rule{rule(policy.Deny, everyone)},
			`to[0].domainNames: is for Accept rules only: which addresses a name has is only known once it was asked for; until then it stands for everything, which is denied`},
		{`{action: Deny, to: [{nodes: {matchExpressions: [{key: a, operator: Is}]}}]}`, []policy.Rule{rule(policy.Deny, everyone)},
			`to[0].nodes.matchExpressions[0].operator: "Is": expected In, NotIn, Exists or DoesNotExist; until then it stands for everything, which is denied`},
		{`{action: Accept, to: [{nodes: {}}], protocols: [{destinationNamedPort: web}]}`, nil,
			`to[0]: has no named ports: name the rule's ports by number, or make a rule of its own for it; until then it accepts nothing`},
	} {
		text := clusterHead + "  egress:\n  - " + tt.rule
		resources := read(t, text)
		for _, offline := range []bool{true, false} {
			tr := translate.New(translate.Options{Offline: offline})
			r := tr.ApplySorted(store.Batch{Updated: resources})
			if s := r.Statuses[len(r.Statuses)-1]; s.State != translate.InForce || len(s.Findings) != 1 || !s.Findings[0].FailClosed || !s.IsWrong() {
				t.Fatalf("%s: %+v", tt.rule, s)
			}
			diff(t, tt.rule, []string{"9: spec.egress[0]." + tt.want}, lines(tr.Invalid()[0].Findings))
			if tt.rules != nil {
				diff(t, tt.rule, tt.rules, tr.Model().Policies[0].Rules[policy.Egress])
			}
		}
	}
}

// TestClosedBesideBroken checks that what is wrong beside a peer keeps the last valid
// version in force, and that the store's findings count.
func TestClosedBesideBroken(t *testing.T) {
	tr := translate.New(translate.Options{})
	valid := read(t, clusterHead+"  egress: [{action: Deny, to: [{namespaces: {}}]}]")
	tr.ApplySorted(store.Batch{Updated: valid})
	key := valid[0].Key
	tr.ApplySorted(store.Batch{Updated: read(t, strings.Replace(clusterHead, "priority: 1", "priority: 5000", 1)+"  egress: [{action: Deny, to: [{}]}]")})
	if s := tr.Status(key); s.State != translate.LastValid || len(s.Findings) != 2 {
		t.Errorf("%+v", s)
	}
	finding := store.Finding{Key: key, Field: "spec.egress[0].to[0].clusters", Message: "unknown field", FailClosed: true}
	closed := read(t, clusterHead+"  egress: [{action: Deny, to: [{}]}]")
	tr.ApplySorted(store.Batch{Updated: closed, Findings: []store.Finding{finding}})
	if s := tr.Status(key); s.State != translate.InForce || len(s.Findings) != 2 || len(tr.Invalid()) != 1 {
		t.Errorf("%+v", s)
	}
	finding.FailClosed = false
	tr.ApplySorted(store.Batch{Findings: []store.Finding{finding}})
	if s := tr.Status(key); s.State != translate.LastValid {
		t.Errorf("%+v", s)
	}
	tr.ApplySorted(store.Batch{Updated: valid})
	if s := tr.Status(key); s.State != translate.InForce || len(s.Findings) != 0 || len(tr.Invalid()) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNodesOfRules checks that nodes that come, go or change are changes of sets, and
// never of policies.
func TestNodesOfRules(t *testing.T) {
	node := func(name, labels, addr string) string {
		return "apiVersion: v1\nkind: Node\nmetadata: {name: " + name + ", labels: {" + labels + "}}\nstatus: {addresses: [{type: InternalIP, address: " + addr + "}]}\n---\n"
	}
	rule := func(name, nodes string) string {
		return strings.Replace(clusterHead, "name: p", "name: "+name, 1) + "  egress: [{action: Deny, to: [{nodes: " + nodes + "}]}]\n---\n"
	}
	tr := translate.New(translate.Options{})
	// step takes manifests in, deletes the keys, and gives the sets that changed as "name: nets".
	step := func(manifests string, deleted ...policy.Key) []string {
		t.Helper()
		var out []string
		for _, c := range tr.ApplySorted(store.Batch{Updated: read(t, manifests), Deleted: deleted}).Changes {
			switch o := c.Object.(type) {
			case *policy.Set:
				text := o.Key.Name + ":"
				for _, n := range o.Nets {
					text += " " + n.String()
				}
				out = append(out, text)
			case nil:
				out = append(out, "gone: "+c.Key.String())
			case *policy.Policy:
				out = append(out, c.Key.Name)
			}
		}
		return out
	}
	key := func(name string) policy.Key { return policy.Key{Kind: policy.KindClusterNetworkPolicy, Name: name} }
	diff(t, "first", []string{"p", "role == 'gw': 10.0.0.1/32"},
		step(node("n1", "role: gw", "10.0.0.1")+node("n2", "", "10.0.0.2")+rule("p", "{matchLabels: {role: gw}}")))
	diff(t, "another policy", []string{"q"}, step(rule("q", "{matchLabels: {role: gw}}")))
	diff(t, "all", []string{"r", "all(): 10.0.0.1/32 10.0.0.2/32"}, step(rule("r", "{}")))
	diff(t, "a label", []string{"role == 'gw': 10.0.0.1/32 10.0.0.2/32"}, step(node("n2", "role: gw", "10.0.0.2")))
	diff(t, "no news", []string(nil), step(node("n2", "role: gw, x: y", "10.0.0.2")))
	diff(t, "an address", []string{"all(): 10.0.0.2/32 10.0.0.3/32", "role == 'gw': 10.0.0.2/32 10.0.0.3/32"}, step(node("n1", "role: gw", "10.0.0.3")))
	diff(t, "a node less", []string{"all(): 10.0.0.3/32", "role == 'gw': 10.0.0.3/32"}, step("", policy.Key{Kind: policy.KindNode, Name: "n2"}))
	diff(t, "a policy less", []string{"gone: ClusterNetworkPolicy/p"}, step("", key("p")))
	diff(t, "the last", []string{"gone: ClusterNetworkPolicy/q", "gone: Nodes/role == 'gw'"}, step("", key("q")))
}
