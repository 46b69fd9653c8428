package translate_test

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/translate"
)

// TestCalicoErrors checks each thing that can be wrong with a policy: where it
// is said to be and what is said. Lines are those of the YAML of the case.
func TestCalicoErrors(t *testing.T) {
	const oneRule = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: web}
spec:
  ingress:
  - `
	for _, tt := range []struct {
		yaml string
		want string // "line: field: message", lines of it
	}{
		{`{action: allow}`, `6: spec.ingress[0].action: "allow": expected Allow, Deny, Log or Pass; did you mean "Allow"?`},
		{`{protocol: TCP}`, `6: spec.ingress[0].action: is missing: expected Allow, Deny, Log or Pass`},
		{`{action: Allow, metadata: {annotations: {Example.com/ok: x, "...": y}}}`, `6: spec.ingress[0].metadata.annotations....: "..." is no valid key of an annotation: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63`},
		{`{action: Allow, ipVersion: 5}`, `6: spec.ingress[0].ipVersion: 5 is no IP version: expected 4 or 6`},
		{`{action: Allow, protocol: tcp}`, `6: spec.ingress[0].protocol: "tcp" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255; did you mean "TCP"?`},
		{`{action: Allow, protocol: 256}`, `6: spec.ingress[0].protocol: "256" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255`},
		{`{action: Allow, protocol: 0}`, `6: spec.ingress[0].protocol: "0" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255`},
		{`{action: Allow, ipVersion: 6, protocol: ICMP}`, `6: spec.ingress[0].protocol: ICMP is a protocol of IPv4, but ipVersion is 6: expected ICMPv6`},
		{`{action: Allow, ipVersion: 4, notProtocol: ICMPv6}`, `6: spec.ingress[0].notProtocol: ICMPv6 is a protocol of IPv6, but ipVersion is 4: expected ICMP`},

		{`{action: Allow, icmp: {type: 8}}`, `6: spec.ingress[0].icmp: needs protocol: ICMP or ICMPv6, but the rule has none`},
		{`{action: Allow, protocol: TCP, notICMP: {type: 8}}`, `6: spec.ingress[0].notICMP: needs protocol: ICMP or ICMPv6, but it is TCP`},
		{`{action: Allow, protocol: ICMP, icmp: {code: 256}}`, "6: spec.ingress[0].icmp.code: 256 is out of range: expected 0 to 255\n6: spec.ingress[0].icmp.code: needs a type as well"},

		{`{action: Allow, protocol: ICMP, icmp: {type: 255}}`, `6: spec.ingress[0].icmp.type: 255 is out of range: expected 0 to 254`},

		{`{action: Allow, protocol: ICMP, destination: {ports: [80]}}`, `6: spec.ingress[0].destination.ports: need protocol: TCP, UDP or SCTP, but it is ICMP`},
		{`{action: Allow, notProtocol: UDP, source: {notPorts: [80]}}`, `6: spec.ingress[0].source.notPorts: need protocol: TCP, UDP or SCTP, but the rule has none`},
		{`{action: Allow, destination: {ports: [http, 80]}}`, `6: spec.ingress[0].destination.ports: need protocol: TCP, UDP or SCTP, but the rule has none, and only named ports go without`},
		{`{action: Allow, protocol: ICMP, destination: {ports: [http]}}`, `6: spec.ingress[0].destination.ports: need protocol: TCP, UDP or SCTP, but it is ICMP`},
		{`{action: Allow, protocol: xyz, source: {ports: [80]}}`, `6: spec.ingress[0].protocol: "xyz" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255`},
		{`{action: Allow, protocol: TCP, destination: {ports: [1, "80:70"]}}`, `6: spec.ingress[0].destination.ports[1]: "80:70" ends before it begins; did you mean "70:80"?`},
		{`{action: Allow, protocol: TCP, destination: {ports: [70-80, 65536, -1, "1:65536", "a b", 0, "0:100"]}}`, `6: spec.ingress[0].destination.ports[0]: "70-80" is no range; did you mean "70:80"?
6: spec.ingress[0].destination.ports[1]: "65536" is out of range: expected ports from 1 to 65535
6: spec.ingress[0].destination.ports[2]: "-1" is out of range: expected ports from 1 to 65535
6: spec.ingress[0].destination.ports[3]: "1:65536" is out of range: expected ports from 1 to 65535
6: spec.ingress[0].destination.ports[4]: "a b" is no port: expected a number, a range such as "8000:8080", or a port's name
6: spec.ingress[0].destination.ports[5]: "0" is out of range: expected ports from 1 to 65535
6: spec.ingress[0].destination.ports[6]: "0:100" is out of range: expected ports from 1 to 65535`},

		{`{action: Allow, source: {nets: [10.0.0.0/33, 10.0.0.1, nonsense, "::ffff:10.0.0.0/104"]}}`, `6: spec.ingress[0].source.nets[0]: "10.0.0.0/33" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
6: spec.ingress[0].source.nets[1]: "10.0.0.1" is no CIDR; did you mean "10.0.0.1/32"?
6: spec.ingress[0].source.nets[2]: "nonsense" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
6: spec.ingress[0].source.nets[3]: "::ffff:10.0.0.0/104" is an IPv4 address written as IPv6: write it as IPv4`},
		{`{action: Allow, source: {notNets: [10.0.0.0/8, 0.0.0.0/0]}}`, `6: spec.ingress[0].source.notNets[1]: 0.0.0.0/0 is every address of its family, so the rule would match nothing: remove the rule, or exclude less`},
		{`{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {notNets: ["fd00::/8"]}}`, `6: spec.ingress[0].destination.notNets[0]: is IPv6, but spec.ingress[0].source.nets[0] is IPv4: write a rule for each, since one rule cannot match both`},
		{`{action: Allow, ipVersion: 4, source: {nets: ["::/0"]}}`, `6: spec.ingress[0].source.nets[0]: is IPv6, but the rule's ipVersion is 4`},

		{`{action: Allow, source: {selector: "app = 'a'"}}`, `6: spec.ingress[0].source.selector: column 5: found "=", expected "==", "!=", "in", "not in", "contains", "starts with" or "ends with"`},
		{`{action: Allow, source: {selector: "global()"}}`, `6: spec.ingress[0].source.selector: global() can only be used as the whole namespaceSelector of a rule's source or destination`},
		{`{action: Allow, source: {notSelector: "!global()"}}`, `6: spec.ingress[0].source.notSelector: global() can only be used as the whole namespaceSelector of a rule's source or destination`},
		{`{action: Allow, source: {namespaceSelector: "global() || a == 'b'"}}`, `6: spec.ingress[0].source.namespaceSelector: global() cannot be combined: it must be the whole namespaceSelector`},
		{`{action: Allow, source: {serviceAccounts: {names: [A], selector: "a =="}}}`, `6: spec.ingress[0].source.serviceAccounts.names[0]: "A" is no name of a service account: expected lower case letters, digits, '-' and '.'
6: spec.ingress[0].source.serviceAccounts.selector: column 5: found the end of the selector, expected a string in quotes`},

		{`{action: Deny, protocol: UDP, http: {methods: [GET]}}`, `6: spec.ingress[0].http: HTTP is spoken over TCP, but the rule's protocol is UDP: expected TCP, or no protocol
6: spec.ingress[0].http: http is for Allow rules only, but the action is Deny: packets are judged before any request is read, and would all meet this rule`},
		{`{action: Allow, notProtocol: 6, http: {}}`, `6: spec.ingress[0].http: HTTP is spoken over TCP, which notProtocol excludes: the rule would match nothing`},
		{`{action: Allow, http: {methods: [GET, get, "", "A B", GET, "*", PURGE]}}`, `6: spec.ingress[0].http.methods[1]: "get" is no method: they are told apart by case; did you mean "GET"?
6: spec.ingress[0].http.methods[2]: "" is no method: expected a name such as GET, or "*"
6: spec.ingress[0].http.methods[3]: "A B" is no method: expected a name such as GET, or "*"
6: spec.ingress[0].http.methods[4]: "GET" is given twice: remove one`},
		{`{action: Allow, http: {paths: [{}, {exact: /a, prefix: /b}, {exact: a}, {prefix: "/a?b"}, {prefix: /a/../b}, {exact: "/%zz"}, {exact: "/a b"}]}}`, `6: spec.ingress[0].http.paths[0]: expected either exact or prefix
6: spec.ingress[0].http.paths[1]: expected either exact or prefix
6: spec.ingress[0].http.paths[2].exact: "a" is no path: expected one that begins with '/'
6: spec.ingress[0].http.paths[3].prefix: "/a?b" has more than a path: remove what begins with '?' or '#'
6: spec.ingress[0].http.paths[4].prefix: "/a/../b" can be read in several ways: it has a segment '..'; no request that has such a path matches any rule: write the path that is meant
6: spec.ingress[0].http.paths[5].exact: "/%zz" is no path: malformed: '%' is not followed by two hexadecimal digits
6: spec.ingress[0].http.paths[6].exact: "/a b" is no path: malformed: it has a space or control character`},
		{`{action: Allow, destination: {domains: [a.example]}}`, `6: spec.ingress[0].destination.domains: domains are for the destination of egress rules only: remove them`},
		{`{action: Allow, destination: {services: {name: x}}}`, `6: spec.ingress[0].destination.services: services are for the source of ingress rules: remove them`},
		{`{action: Allow, source: {services: {name: A_b, namespace: C.d}}}`, `6: spec.ingress[0].source.services.name: "A_b" is no name of a service: expected lower case letters, digits and '-', at most 63
6: spec.ingress[0].source.services.namespace: "C.d" is no name of a namespace: expected lower case letters, digits and '-', at most 63`},
		{`{action: Allow, source: {services: {}}}`, `6: spec.ingress[0].source.services: needs the name of a service`},
		{`{action: Allow, protocol: TCP, source: {services: {name: x}, nets: [10.0.0.0/8], notNets: [10.1.0.0/16], selector: all(), notSelector: has(b), namespaceSelector: all(), serviceAccounts: {names: [a]}, ports: [1]}}`, `6: spec.ingress[0].source.namespaceSelector: cannot stand beside services: write a rule for each
6: spec.ingress[0].source.nets: cannot stand beside services: write a rule for each
6: spec.ingress[0].source.notNets: cannot stand beside services: write a rule for each
6: spec.ingress[0].source.notSelector: cannot stand beside services: write a rule for each
6: spec.ingress[0].source.selector: cannot stand beside services: write a rule for each
6: spec.ingress[0].source.serviceAccounts: cannot stand beside services: write a rule for each`},
	} {
		t.Run(tt.yaml, func(t *testing.T) {
			diff(t, "findings", strings.Split(tt.want, "\n"), findings(t, oneRule+tt.yaml))
		})
	}
}

func TestObjectErrors(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"tier missing", `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p}
spec:
  tier: defualt
`, `5: spec.tier: tier "defualt" does not exist, so the policy is not enforced: create the tier, or name one that exists (default, kube-admin, kube-baseline); did you mean "default"?`},
		{"tier missing, and more", `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: P}
spec:
  stagedAction: Remove
  tier: x
`, `3: metadata.name: "P" is no valid name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253
5: spec.stagedAction: "Remove": expected Set, Delete, Learn or Ignore
6: spec.tier: tier "x" does not exist, so the policy is not enforced: create the tier, or name one that exists (default, kube-admin, kube-baseline)`},
		{"policy level", `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  doNotTrack: true
  applyOnForward: true
  types: [Ingress, Ingress, egress]
  selector: global()
  namespaceSelector: global()
  performanceHints: [Fast]
`, `7: spec.types[1]: Ingress is given twice: remove one
7: spec.types[2]: "egress": expected Ingress or Egress; did you mean "Egress"?
8: spec.selector: global() can only be used as the whole namespaceSelector of a rule's source or destination
9: spec.namespaceSelector: global() can only be used as the whole namespaceSelector of a rule's source or destination
10: spec.performanceHints[0]: "Fast": expected AssumeNeededOnEveryNode`},
		{"names, hints and annotations", `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: t.h.i.ng, annotations: {-a: b}}
spec:
  performanceHints: [AssumeNeededOnEveryNode, AssumeNeededOnEveryNode]
`, `3: metadata.annotations.-a: "-a" is no valid key of an annotation: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63
3: metadata.name: "t.h.i.ng" has more than one dot: expected NAME or TIER.NAME
5: spec.performanceHints[1]: AssumeNeededOnEveryNode is given twice: remove one`},
		{"a staged policy of one that is gone, and more", `apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: p}
spec:
  stagedAction: Delete
  tier: default
  selector: a == 'b'
  order: 0
`, `7: spec.selector: has no effect beside stagedAction: Delete, by which the policy is gone: remove it
8: spec.order: has no effect beside stagedAction: Delete, by which the policy is gone: remove it`},
		{"one of Kubernetes' own", `apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: p}
spec:
  stagedAction: Delete
  podSelector: {}
  policyTypes: [Ingress]
`, `7: spec.policyTypes: has no effect beside stagedAction: Delete, by which the policy is gone: remove it`},
		{"a tier", `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: a.b}
spec: {defaultAction: Allow}
`, `3: metadata.name: "a.b" is no valid name of a tier: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
4: spec.defaultAction: "Allow": expected Deny or Pass`},
		{"a fixed tier", `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: default}
spec:
  order: 10
  defaultAction: Pass
`, `5: spec.order: 10: tier default always has order 1000000: leave the field out
6: spec.defaultAction: Pass: tier default always has Deny: leave the field out`},
		{"host options that contradict", `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: p}
spec:
  doNotTrack: true
  preDNAT: true
  types: [Ingress, Egress]
  egress: [{action: Allow}]
`, `5: spec.doNotTrack: needs applyOnForward: true, since it acts before it is known what is routed on
6: spec.preDNAT: doNotTrack and preDNAT exclude each other: make two policies of it
6: spec.preDNAT: needs applyOnForward: true, since it acts before it is known what is routed on
7: spec.types[1]: preDNAT is for ingress only: remove Egress
8: spec.egress: preDNAT is for ingress only: remove the egress rules`},
		{"a host endpoint", `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec:
  interfaceName: an-interface-name-too-long
  expectedIPs: [192.0.2.0/24]
  profiles: [kns.ok, .fun]
  ports: [{name: x, protocol: ICMP, port: 0}]
`, `4: spec.node: is missing: expected the name of the host
5: spec.interfaceName: "an-interface-name-too-long" is no interface's name: expected at most 15 characters without white space, '/' and ':', or "*" for all interfaces
6: spec.expectedIPs[0]: "192.0.2.0/24" holds more than one address: expected a single one, such as "192.0.2.0/32"
7: spec.profiles[1]: ".fun" is no name of a profile: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit
8: spec.ports[0].port: 0 is no port: expected a number from 1 to 65535
8: spec.ports[0].protocol: "ICMP" has no ports: expected TCP, UDP or SCTP`},
		{"a host endpoint of no interface", `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {node: n}
`, `4: spec: interfaceName or expectedIPs is needed: give the interface's name, "*" for all interfaces of the host, or its addresses`},
		{"a host endpoint of the loopback interface", `apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {node: n, interfaceName: lo}
`, `4: spec.interfaceName: lo is never governed: a host always reaches itself`},
		{"a network set", `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: s, labels: {projectcalico.org/namespace: x}}
spec:
  nets: [10.0.0.0/8, x]
  allowedEgressDomains: ["*", b.example]
`, `3: metadata.labels.projectcalico.org/namespace: is set by the system: remove it
5: spec.nets[1]: "x" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
6: spec.allowedEgressDomains[0]: "*" is every name there is: a rule without domains allows that`},
		{"a workload endpoint", `apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: w, labels: {"a b": c, d: "e f"}}
spec:
  ipNetworks: [10.0.0.0/24, x]
  ports: [{name: "a b", protocol: ICMP, port: 0}]
`, `3: metadata.labels.a b: "a b" is no valid label: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63
3: metadata.labels.d: "e f" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63
4: spec.node: is missing: expected the name of the host that the workload runs on
5: spec.ipNetworks[0]: "10.0.0.0/24" holds more than one address: expected a single one, such as "10.0.0.0/32"
5: spec.ipNetworks[1]: "x" is no address: expected one such as "192.0.2.1" or "192.0.2.1/32"
6: spec.ports[0].name: "a b" is no port's name: expected letters, digits, '-', '_' and '.'
6: spec.ports[0].port: 0 is no port: expected a number from 1 to 65535
6: spec.ports[0].protocol: "ICMP" has no ports: expected TCP, UDP or SCTP`},
		{"a pod", `apiVersion: v1
kind: Pod
metadata: {name: p, namespace: Web}
spec: {containers: [{name: c, ports: [{name: x, containerPort: 70000, protocol: tcp}]}]}
status: {podIP: 10.0.0.256}
`, `3: metadata.namespace: "Web" is no valid name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
4: spec.containers[0].ports[0].containerPort: 70000 is no port: expected a number from 1 to 65535
4: spec.containers[0].ports[0].protocol: "tcp" has no ports: expected TCP, UDP or SCTP; did you mean "TCP"?
5: status.podIP: "10.0.0.256" is no address: expected one such as "192.0.2.1" or "192.0.2.1/32"`},
		{"a template", `apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec: {schedule: x, jobTemplate: {spec: {template: {metadata: {labels: {a: "-"}}, spec: {containers: []}}}}}
`, `4: spec.jobTemplate.spec.template.metadata.labels.a: "-" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63`},
		{"a Kubernetes policy", `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p}
spec:
  policyTypes: [ingress, Egress, Egress]
  podSelector: {matchExpressions: [{key: a, operator: In}, {key: "b c", operator: Exists, values: [x]}, {key: d, operator: Equals, values: ["x y"]}]}
  ingress:
  - from:
    - {}
    - {ipBlock: {cidr: x}, podSelector: {}}
    - ipBlock: {cidr: 10.0.0.1, except: [y]}
    - ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16, 10.0.0.0/8, "::/0", x]}
    ports:
    - {protocol: ICMP}
    - {port: 80, endPort: 70}
    - {port: 0}
    - {port: "80"}
    - {port: Http, endPort: 90}
    - {endPort: 90}
`, `5: spec.policyTypes[0]: "ingress": expected Ingress or Egress; did you mean "Ingress"?
5: spec.policyTypes[2]: Egress is given twice: remove one
6: spec.podSelector.matchExpressions[0].values: In needs at least one value
6: spec.podSelector.matchExpressions[1].key: "b c" is no valid label
6: spec.podSelector.matchExpressions[1].values: Exists takes no values: remove them
6: spec.podSelector.matchExpressions[2].operator: "Equals": expected In, NotIn, Exists or DoesNotExist
6: spec.podSelector.matchExpressions[2].values[0]: "x y" is no valid value of a label
9: spec.ingress[0].from[0]: is empty: expected a podSelector, a namespaceSelector, both or an ipBlock
10: spec.ingress[0].from[1]: ipBlock cannot be combined with podSelector or namespaceSelector: make them items of their own
10: spec.ingress[0].from[1].ipBlock.cidr: "x" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
11: spec.ingress[0].from[2].ipBlock.cidr: "10.0.0.1" is no CIDR; did you mean "10.0.0.1/32"?
11: spec.ingress[0].from[2].ipBlock.except[0]: "y" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
12: spec.ingress[0].from[3].ipBlock.except[0]: 11.0.0.0/16 is no part of 10.0.0.0/8: expected a smaller block inside it
12: spec.ingress[0].from[3].ipBlock.except[1]: 10.0.0.0/8 is no part of 10.0.0.0/8: expected a smaller block inside it
12: spec.ingress[0].from[3].ipBlock.except[2]: ::/0 is no part of 10.0.0.0/8: expected a smaller block inside it
12: spec.ingress[0].from[3].ipBlock.except[3]: "x" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
14: spec.ingress[0].ports[0].protocol: "ICMP" has no ports: expected TCP, UDP or SCTP
15: spec.ingress[0].ports[1].endPort: 70 is less than port 80: the range ends before it begins
16: spec.ingress[0].ports[2].port: 0 is no port: expected a number from 1 to 65535
17: spec.ingress[0].ports[3].port: "80" is a number in quotes: write it without them
18: spec.ingress[0].ports[4].endPort: needs a numeric port, but port is "Http"
18: spec.ingress[0].ports[4].port: "Http" is no port's name: expected at most 15 lower case letters, digits and '-', a letter among them
19: spec.ingress[0].ports[5].endPort: needs port, which says where the range begins`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := findings(t, tt.yaml)
			diff(t, "findings", strings.Split(tt.want, "\n"), got)
			// What is invalid is not in the model, and what is said once is said again.
			resources := read(t, tt.yaml)
			m := translate.Load(resources, nil, translate.Options{Offline: true}).Model
			if len(m.Policies)+len(m.Endpoints)+len(m.Sets) > 0 || len(m.Tiers) != 3 {
				t.Errorf("the invalid object is in the model: %+v", m)
			}
		})
	}
}

// TestMirroredNames checks that Kubernetes' own policies can be read as Calico's
// tools list them.
func TestMirroredNames(t *testing.T) {
	if got := findings(t, `{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: knp.default.a.b}}`); len(got) > 0 {
		t.Error(got)
	}
}
