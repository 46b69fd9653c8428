package translate_test

import (
	"testing"

	"github.com/tierwall/tierwall/policy"
)

func TestKubernetesPolicy(t *testing.T) {
	key := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "web", Name: "p"}
	for _, tt := range []struct {
		name  string
		spec  string
		sel   string
		types [2]bool
		rules [2][]policy.Rule
	}{
		{name: "isolates", spec: `{podSelector: {}}`,
			sel: "projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'", types: governs(policy.Ingress)},
		{name: "egress rules", spec: `{egress: [{}]}`,
			sel: "projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'", types: governs(policy.Ingress, policy.Egress),
			rules: egress(policy.Rule{Action: policy.Allow})},
		{name: "types", spec: `{policyTypes: [Egress], ingress: [{}]}`,
			sel: "projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'", types: governs(policy.Egress),
			rules: ingress(policy.Rule{Action: policy.Allow})},
		{name: "expressions", spec: `
podSelector:
  matchLabels: {b: "2", a: "1"}
  matchExpressions:
  - {key: c, operator: In, values: [x, "y"]}
  - {key: d, operator: NotIn, values: [z, ""]}
  - {key: e, operator: Exists}
  - {key: f, operator: DoesNotExist}`,
			sel:   "projectcalico.org/namespace == 'web' && a == '1' && b == '2' && c in {'x','y'} && d not in {'', 'z'} && has(e) && !has(f) && projectcalico.org/orchestrator == 'k8s'",
			types: governs(policy.Ingress)},
		{name: "own labels behind ours", spec: `{podSelector: {matchLabels: {projectcalico.org/namespace: kube-system, pcns.env: prod}}}`,
			// Such keys cannot be written, only made.
			types: governs(policy.Ingress)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:`+indent(tt.spec))
			if tt.sel == "" {
				if m.Policies[0].Selector.Match(labels("projectcalico.org/namespace", "web", "projectcalico.org/orchestrator", "k8s", "pcns.env", "prod")) {
					t.Errorf("%v matches labels that are not the pod's own", m.Policies[0].Selector)
				}
				if !m.Policies[0].Selector.Match(labels("projectcalico.org/namespace", "web", "projectcalico.org/orchestrator", "k8s", "own:pcns.env", "prod", "own:projectcalico.org/namespace", "kube-system")) {
					t.Errorf("%v does not match the pod's own labels", m.Policies[0].Selector)
				}
				return
			}
			diff(t, "policy", &policy.Policy{Key: key, Tier: "default", Order: 1000, Selector: sel(tt.sel), Types: tt.types, Rules: tt.rules}, m.Policies[0])
		})
	}
}

// indent puts a value below a key: on its line if it has only one.
func indent(s string) string {
	out := " "
	for _, r := range s {
		out += string(r)
		if r == '\n' {
			out += "  "
		}
	}
	return out
}

func TestKubernetesRule(t *testing.T) {
	everyone := policy.Peer{}
	tcp, udp, sctp := proto(policy.TCP), proto(policy.UDP), proto(policy.SCTP)
	for _, tt := range []struct {
		name  string
		peers string // of from and to
		ports string
		peer  []policy.Peer
		match []policy.Rule // protocol, and ports at the destination
	}{
		{"all", `[]`, `[]`, []policy.Peer{everyone}, []policy.Rule{{}}},
		{"absent", `null`, `null`, []policy.Peer{everyone}, []policy.Rule{{}}},
		{"pods here", `[{podSelector: {matchLabels: {app: a}}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("projectcalico.org/namespace == 'web' && app == 'a' && projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"all pods here", `[{podSelector: {}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"namespaces", `[{namespaceSelector: {matchLabels: {env: prod}}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("pcns.env == 'prod' && projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"all namespaces", `[{namespaceSelector: {}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"namespaces by name", `[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("pcns.kubernetes.io/metadata.name == 'x' && projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"what namespaces lack", `[{namespaceSelector: {matchExpressions: [{key: env, operator: DoesNotExist}]}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [a]}]}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("!has(pcns.env) && app not in {'a'} && projectcalico.org/orchestrator == 'k8s'")}}, []policy.Rule{{}}},
		{"two items are or", `[{podSelector: {}}, {ipBlock: {cidr: 10.1.2.3/8, except: [10.1.0.0/16]}}]`, `[]`,
			[]policy.Peer{{Set: endpointsOf("projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'")}, {Nets: nets("10.0.0.0/8"), NotNets: nets("10.1.0.0/16")}}, []policy.Rule{{}}},
		{"IPv6", `[{ipBlock: {cidr: "::/0", except: ["2001:db8::/32"]}}]`, `[]`,
			[]policy.Peer{{Nets: nets("::/0"), NotNets: nets("2001:db8::/32")}}, []policy.Rule{{}}},
		{"ports of TCP", `[]`, `[{port: 80}, {protocol: TCP, port: 8000, endPort: 8080}, {port: http}]`,
			[]policy.Peer{everyone}, []policy.Rule{{Protocol: tcp, Destination: policy.Peer{Ports: &policy.Ports{
				Ranges: []policy.PortRange{{First: 80, Last: 80}, {First: 8000, Last: 8080}}, Names: []string{"http"}}}}}},
		{"ports of several protocols", `[]`, `[{protocol: UDP, port: 53}, {port: 53}, {protocol: SCTP}, {protocol: SCTP, port: 7}]`,
			[]policy.Peer{everyone}, []policy.Rule{
				{Protocol: udp, Destination: policy.Peer{Ports: ports(53)}},
				{Protocol: tcp, Destination: policy.Peer{Ports: ports(53)}},
				{Protocol: sctp},
			}},
		{"any port of a protocol", `[]`, `[{}]`, []policy.Peer{everyone}, []policy.Rule{{Protocol: tcp}}},
		{"peers and protocols", `[{podSelector: {}}, {namespaceSelector: {}}]`, `[{port: 1}, {protocol: UDP, port: 2}]`,
			[]policy.Peer{{Set: endpointsOf("projectcalico.org/namespace == 'web' && projectcalico.org/orchestrator == 'k8s'")}, {Set: endpointsOf("projectcalico.org/orchestrator == 'k8s'")}},
			[]policy.Rule{{Protocol: tcp, Destination: policy.Peer{Ports: ports(1)}}, {Protocol: udp, Destination: policy.Peer{Ports: ports(2)}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  ingress:
  - ports: [{port: 9}]
  - {from: `+tt.peers+`, ports: `+tt.ports+`}
  egress:
  - {to: `+tt.peers+`, ports: `+tt.ports+`}
`)
			first := policy.Rule{Action: policy.Allow, Protocol: tcp, Destination: policy.Peer{Ports: ports(9)}}
			in := []policy.Rule{first}
			var out []policy.Rule
			for _, peer := range tt.peer {
				for _, match := range tt.match {
					from := policy.Rule{Index: 1, Action: policy.Allow, Protocol: match.Protocol, Source: peer, Destination: match.Destination}
					to := policy.Rule{Action: policy.Allow, Protocol: match.Protocol, Destination: peer}
					to.Destination.Ports = match.Destination.Ports
					in, out = append(in, from), append(out, to)
				}
			}
			diff(t, "ingress", in, m.Policies[0].Rules[policy.Ingress])
			diff(t, "egress", out, m.Policies[0].Rules[policy.Egress])
		})
	}
}

// TestNamespaceLabelsCannotBeForged checks that no pod's own label passes for
// one of its namespace, to either API, and no namespace's for its name.
func TestNamespaceLabelsCannotBeForged(t *testing.T) {
	m := load(t, `
apiVersion: v1
kind: Namespace
metadata:
  name: bad
  labels: {projectcalico.org/name: good, kubernetes.io/metadata.name: good}
---
apiVersion: v1
kind: Pod
metadata:
  name: forger
  namespace: bad
  labels:
    pcns.env: prod
    pcns.projectcalico.org: x
    projectcalico.org/namespace: good
    projectcalico.org/serviceaccount: admin
    pcsa.role: admin
spec: {containers: []}
status: {podIP: 10.0.0.1}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: good}}}]
  - from: [{namespaceSelector: {matchLabels: {env: prod}}}]
  - from: [{namespaceSelector: {matchLabels: {projectcalico.org/name: bad}}}]
  - from: [{namespaceSelector: {matchLabels: {projectcalico.org/name: good}}}]
  - from: [{namespaceSelector: {}, podSelector: {matchLabels: {pcns.env: prod, pcsa.role: admin}}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  ingress:
  - {action: Allow, source: {namespaceSelector: projectcalico.org/name == 'good'}}
  - {action: Allow, source: {namespaceSelector: kubernetes.io/metadata.name == 'good'}}
  - {action: Allow, source: {namespaceSelector: env == 'prod'}}
  - {action: Allow, source: {selector: projectcalico.org/namespace == 'good'}}
  - {action: Allow, source: {serviceAccounts: {names: [admin]}}}
  - {action: Allow, source: {serviceAccounts: {selector: role == 'admin'}}}
  - {action: Allow, source: {namespaceSelector: projectcalico.org/name == 'bad', serviceAccounts: {names: [default]}}}
`)
	var got [2][]int
	for i, p := range m.Policies {
		for _, r := range p.Rules[policy.Ingress] {
			if r.Source.Set.Selector.Match(m.Endpoints[0].Labels) {
				got[i] = append(got[i], r.Index)
			}
		}
	}
	// Kubernetes sees the namespace's own projectcalico.org/name; Calico's is the name.
	diff(t, "rules that match the forger: global, then Kubernetes", [2][]int{{6}, {3, 4}}, got)
}
