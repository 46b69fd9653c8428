package crdtest_test

import (
	"strings"
	"testing"
)

// TestTable asks about one thing at a time. "-" as what the definition says is
// nothing, "-" as what translate says is nothing.
func TestTable(t *testing.T) {
	kinds := load(t)
	for _, tt := range []struct{ object, definition, translate string }{
		{gnp(`{}`), "-", "-"},
		{gnp(`{selector: "a == 'b'", types: [Ingress, Egress], order: 1.5, performanceHints: [AssumeNeededOnEveryNode]}`), "-", "-"},
		{gnp(`{types: []}`), "-", "-"},
		{gnp(`{types: [Ingress, Ingress]}`), "spec.types[1]: Duplicate value", "given twice"},
		{gnp(`{types: [ingress]}`), "Unsupported value", "did you mean"},
		{gnp(`{order: first}`), "must be of type number", "expected a number"},
		{gnp(`{performanceHints: [Fast]}`), "Unsupported value", "expected AssumeNeededOnEveryNode"},
		{gnp(`{selector: "a = 'b'"}`), "-", "column 3"},
		{gnp(`{namespaceSelector: "global()"}`), "-", "global() can only be used"},
		{gnp(`{tier: nosuch}`), "-", "does not exist"},
		{gnp(`{slector: all()}`), "unknown field", `did you mean "selector"`},
		{gnp(`{doNotTrack: true}`), "doNotTrack and preDNAT need applyOnForward", "needs applyOnForward"},
		{gnp(`{doNotTrack: true, preDNAT: true, applyOnForward: true}`), "exclude each other", "exclude each other"},
		{gnp(`{preDNAT: true, applyOnForward: true, egress: [{action: Allow}]}`), "preDNAT is for ingress only: remove the egress rules", "preDNAT is for ingress only: remove the egress rules"},
		{gnp(`{preDNAT: true, applyOnForward: true, types: [Egress]}`), "preDNAT is for ingress only: remove Egress", "preDNAT is for ingress only: remove Egress"},
		{gnp(`{preDNAT: true, applyOnForward: true, ingress: [{action: Allow}]}`), "-", "-"},
		{gnp(`{doNotTrack: true, applyOnForward: true, egress: [{action: Allow}]}`), "-", "-"},

		{rule(`{action: Allow}`), "-", "-"},
		{rule(`{protocol: TCP}`), "spec.ingress[0].action: Required value", "action: is missing"},
		{rule(`{action: allow}`), `supported values: "Allow", "Deny", "Log", "Pass"`, "did you mean"},
		{rule(`{action: Allow, ipVersion: 5}`), "spec.ingress[0].ipVersion: Unsupported value: 5", "no IP version"},
		{rule(`{action: Allow, protocol: tcp}`), "spec.ingress[0].protocol", "did you mean"},
		{rule(`{action: Allow, protocol: 0}`), "greater than or equal to 1", "no protocol"},
		{rule(`{action: Allow, protocol: 256}`), "less than or equal to 255", "no protocol"},
		{rule(`{action: Allow, protocol: "47"}`), "-", "-"},
		{rule(`{action: Allow, notProtocol: UDPLite}`), "-", "-"},
		{rule(`{action: Allow, notProtocol: 300}`), "less than or equal to 255", "no protocol"},
		{rule(`{action: Allow, ipVersion: 6, protocol: ICMP}`), "ipVersion is the other one", "expected ICMPv6"},
		{rule(`{action: Allow, ipVersion: 4, notProtocol: 58}`), "ipVersion is the other one", "expected ICMP"},
		{rule(`{action: Allow, ipVersion: 6, protocol: ICMPv6}`), "-", "-"},

		{rule(`{action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}}`), "-", "-"},
		{rule(`{action: Allow, protocol: "58", notICMP: {type: 128}}`), "-", "-"},
		{rule(`{action: Allow, icmp: {type: 8}}`), "need protocol: ICMP or ICMPv6", "needs protocol: ICMP or ICMPv6"},
		{rule(`{action: Allow, protocol: TCP, notICMP: {type: 8}}`), "need protocol: ICMP or ICMPv6", "needs protocol: ICMP or ICMPv6"},
		{rule(`{action: Allow, protocol: ICMP, icmp: {code: 1}}`), "code needs a type as well", "needs a type as well"},
		{rule(`{action: Allow, protocol: ICMP, icmp: {type: 255}}`), "less than or equal to 254", "out of range"},
		{rule(`{action: Allow, protocol: ICMP, icmp: {type: 1, code: 256}}`), "less than or equal to 255", "out of range"},

		{rule(`{action: Allow, protocol: TCP, destination: {ports: [1, 65535, "80", "8000:8080", http, "a.b-c_d", "80-", 8http]}}`), "-", "-"},
		{rule(`{action: Allow, protocol: 132, source: {notPorts: [1]}}`), "-", "-"},
		{rule(`{action: Allow, protocol: "17", source: {notPorts: [1]}}`), "-", "-"},
		{rule(`{action: Allow, destination: {ports: []}}`), "-", "-"},
		{rule(`{action: Allow, destination: {ports: [80]}}`), "spec.ingress[0].destination.ports[0] in body should be less than or equal to 0", "need protocol"},
		{rule(`{action: Allow, destination: {ports: [http, "80:90"]}}`), "must validate at least one schema", "only named ports go without"},
		{rule(`{action: Allow, destination: {ports: [http]}, source: {notPorts: [a.b]}}`), "-", "-"},
		{rule(`{action: Allow, protocol: ICMP, source: {notPorts: [80]}}`), "spec.ingress[0].source: Invalid value: ports and notPorts need protocol", "need protocol"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: [0]}}`), "greater than or equal to 1", "out of range"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: [65536]}}`), "less than or equal to 65535", "out of range"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["65536"]}}`), "destination.ports[0]", "out of range"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["0:100"]}}`), "destination.ports[0]", "out of range"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["70-80"]}}`), "destination.ports[0]", "did you mean"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["-1"]}}`), "destination.ports[0]", "out of range"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["a b"]}}`), "destination.ports[0]", "is no port"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: [""]}}`), "destination.ports[0]", "is no port"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: [80.5]}}`), "destination.ports[0]", "expected a port number"},
		{rule(`{action: Allow, protocol: TCP, destination: {ports: ["90:80"]}}`), "-", "ends before it begins"},

		{rule(`{action: Allow, source: {nets: [10.0.0.0/8, 0.0.0.0/0]}, destination: {notNets: [10.0.0.1/32]}}`), "-", "-"},
		{rule(`{action: Allow, ipVersion: 6, source: {nets: ["fd00::/8", "::/0"]}}`), "-", "-"},
		{rule(`{action: Allow, source: {nets: [10.0.0.0/8, 10.0.0.0/8]}}`), "-", "-"},
		{rule(`{action: Allow, source: {nets: [10.0.0.1]}}`), "must be of type cidr", "did you mean"},
		{rule(`{action: Allow, source: {nets: [10.0.0.0/33]}}`), "must be of type cidr", "no CIDR"},
		{rule(`{action: Allow, source: {notNets: [nonsense]}}`), "must be of type cidr", "no CIDR"},
		{rule(`{action: Allow, source: {nets: ["::ffff:10.0.0.0/104"]}}`), "-", "written as IPv6"},
		{rule(`{action: Allow, source: {notNets: [0.0.0.0/0]}}`), "spec.ingress[0].source.notNets[0]", "would match nothing"},
		{rule(`{action: Allow, source: {nets: [10.0.0.0/8, "fd00::/8"]}}`), "spec.ingress[0].source.nets[1]", "write a rule for each"},
		{rule(`{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {notNets: ["fd00::/8"]}}`), "spec.ingress[0]", "write a rule for each"},
		{rule(`{action: Allow, ipVersion: 4, source: {nets: ["fd00::/8"]}}`), "spec.ingress[0]", "the rule's ipVersion is 4"},

		{rule(`{action: Allow, source: {selector: "global()"}}`), "-", "global() can only be used"},
		{rule(`{action: Allow, source: {namespaceSelector: "global()", notSelector: "has(a)"}}`), "-", "-"},
		{rule(`{action: Allow, source: {selector: "label == 'global('"}}`), "-", "-"},
		{rule(`{action: Allow, source: {serviceAccounts: {names: [a, b.c, a], selector: "has(a)"}}}`), "-", "-"},
		{rule(`{action: Allow, source: {serviceAccounts: {names: [A]}}}`), "names[0]", "no name of a service account"},
		{rule(`{action: Allow, metadata: {annotations: {a: b}}}`), "-", "-"},

		{rule(`{action: Allow, http: {methods: [GET], paths: [{exact: /a}, {prefix: /b}]}}`), "-", "-"},
		{rule(`{action: Deny, http: {methods: [GET]}}`), "http is for Allow rules only", "http is for Allow rules only"},
		{rule(`{action: Allow, protocol: UDP, http: {}}`), "http needs protocol: TCP, or none", "HTTP is spoken over TCP"},
		{rule(`{action: Allow, protocol: 6, http: {methods: ["*", GET, get-it]}}`), "-", "-"},
		{rule(`{action: Allow, http: {methods: ["A B"]}}`), "methods[0]", "is no method"},
		{rule(`{action: Allow, http: {methods: [get]}}`), "-", "told apart by case"},
		{rule(`{action: Allow, http: {paths: [{exact: a}]}}`), "paths[0].exact", "is no path"},
		{rule(`{action: Allow, http: {paths: [{exact: /a/../b}]}}`), "-", "in several ways"},
		{rule(`{action: Allow, http: {paths: [{exact: /a, prefix: /b}]}}`), "expected either exact or prefix", "expected either exact or prefix"},
		{egress(`{action: Allow, http: {methods: [GET]}}`), "http is for ingress rules only", "http is for ingress rules only"},
		{egress(`{action: Allow, destination: {domains: [a.example, "*.b.example", c.example.]}}`), "-", "-"},
		{egress(`{action: Allow, destination: {domains: ["*"]}}`), "domains[0]", "every name"},
		{egress(`{action: Allow, destination: {domains: ["a.*.example"]}}`), "domains[0]", "only at its beginning"},
		{egress(`{action: Allow, destination: {domains: [10.0.0.1]}}`), "-", "is an address, no name"},
		{egress(`{action: Allow, destination: {domains: [a.example], selector: all()}}`), "-", "cannot stand beside domains"},
		{egress(`{action: Allow, destination: {domains: ["a b"]}}`), "domains[0]", "has the character"},
		{egress(`{action: Deny, destination: {domains: [a.example]}}`), "domains are for Allow rules only", "domains are for Allow rules only"},
		{egress(`{action: Allow, source: {domains: [a.example]}}`), "domains are for the destination of egress rules only", "domains are for the destination of egress rules only"},
		{rule(`{action: Allow, destination: {domains: [a.example]}}`), "domains are for the destination of egress rules only", "domains are for the destination of egress rules only"},
		{egress(`{action: Allow, destination: {services: {name: a, namespace: b}}}`), "-", "-"},
		{egress(`{action: Allow, destination: {services: {name: a}}}`), "-", "needs a namespace"},
		{egress(`{action: Allow, destination: {services: {name: A, namespace: b}}}`), "services.name", "is no name of a service"},
		{egress(`{action: Allow, destination: {services: {name: a, namespace: B}}}`), "services.namespace", "is no name of a namespace"},
		{egress(`{action: Allow, destination: {services: {name: a, namespace: b}, nets: [10.0.0.0/8]}}`), "-", "cannot stand beside services"},
		{rule(`{action: Allow, source: {services: {name: a, namespace: b}}}`), "-", "-"},
		{rule(`{action: Allow, destination: {services: {name: a, namespace: b}}}`), "-", "services are for the source"},
		{egress(`{action: Allow, destination: {services: {namespace: b}}}`), "services.name: Required value", "needs the name"},

		{object("Tier", "a", `{order: 5, defaultAction: Pass}`), "-", "-"},
		{object("Tier", "a", `{}`), "-", "-"},
		{object("Tier", "a.b", `{}`), "a tier's name has", "no valid name of a tier"},
		{object("Tier", strings.Repeat("a", 64), `{}`), "a tier's name has", "no valid name of a tier"},
		{object("Tier", strings.Repeat("a", 63), `{}`), "-", "-"},
		{object("Tier", "a", `{defaultAction: Allow}`), `spec.defaultAction: Invalid value: "Allow": expected Deny or Pass`, "expected Deny or Pass"},
		{object("Tier", "default", `{order: 1000000, defaultAction: Deny}`), "-", "-"},
		{object("Tier", "default", `{defaultAction: Pass}`), "tier default always has order 1000000 and defaultAction Deny", "always has Deny"},
		{object("Tier", "default", `{order: 1}`), "tier default always has", "always has order"},
		{object("Tier", "kube-admin", `{}`), "-", "-"},
		{object("Tier", "kube-admin", `{order: 1000, defaultAction: Pass}`), "-", "-"},
		{object("Tier", "kube-admin", `{defaultAction: Deny}`), "tier kube-admin always has", "always has Pass"},
		{object("Tier", "kube-baseline", `{order: 5}`), "tier kube-baseline always has", "always has order"},

		{object("GlobalNetworkSet", "a", `{nets: [10.0.0.0/8, "fd00::/8", 10.0.0.1, "::1", 10.0.0.1]}`), "-", "-"},
		{object("GlobalNetworkSet", "a", `{nets: [x]}`), "spec.nets[0]", "no CIDR"},
		{object("NetworkSet", "a", `{nets: ["10.0.0.0/8 "]}`), "spec.nets[0]", "no CIDR"},
		{object("NetworkSet", "a", `{allowedEgressDomains: ["*.example.com"]}`), "-", "-"},
		{object("NetworkSet", "a", `{allowedEgressDomains: ["a..b"]}`), "allowedEgressDomains[0]", "an empty part"},
		{"apiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: a, labels: {projectcalico.org/namespace: b}}\n", "-", "set by the system"},
		{object("NetworkPolicy", "A", `{}`), "metadata.name", "no valid name"},

		{object("HostEndpoint", "a", `{node: node-1, interfaceName: eth0, ports: [{name: a, protocol: TCP, port: 1}]}`), "-", "-"},
		{object("HostEndpoint", "a", `{node: node-1, interfaceName: lo}`), "-", "lo is never governed"},
		{object("HostEndpoint", "a", `{node: node-1, interfaceName: "eth*"}`), "-", "no pattern"},
		{object("HostEndpoint", "a", `{node: node-1}`), "interfaceName or expectedIPs is needed", "interfaceName or expectedIPs is needed"},
		{object("HostEndpoint", "a", `{interfaceName: "*"}`), "spec.node", "spec.node: is missing"},
		{object("Profile", "a", `{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}], egress: [{action: Pass}], labelsToApply: {role: web}}`), "", ""},
		{object("Profile", "a", `{ingress: [{action: Allow, destination: {ports: [80]}}]}`), "ports[0]", "protocol"},
		{object("Profile", "a", `{egress: [{action: Allow, protocol: TCP, http: {methods: [GET]}}]}`), "http is for ingress rules only", "http"},
		{object("Profile", "a", `{labelsToApply: {"a b": c}}`), "-", "no valid label"},
		{object("HostEndpoint", "a", `{node: node-1, expectedIPs: [x]}`), "expectedIPs[0]", "is no address"},
		{object("HostEndpoint", "a", `{node: node-1, interfaceName: eth0, ports: [{name: a, protocol: ICMP, port: 1}]}`), "has no ports", "has no ports"},

		{object("StagedNetworkPolicy", "a", `{stagedAction: Delete}`), "-", "-"},
		{object("StagedNetworkPolicy", "a", `{stagedAction: delete}`), "Unsupported value", "did you mean"},
		{object("StagedGlobalNetworkPolicy", "a", `{ingress: [{action: Allow, destination: {ports: [80]}}]}`), "ports[0]", "need protocol"},
		{object("StagedGlobalNetworkPolicy", "a", `{preDNAT: true}`), "need applyOnForward", "needs applyOnForward"},

		{staged(`{}`), "-", "-"},
		{staged(`{from: [{podSelector: {}, namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}, {port: http, protocol: UDP}, {protocol: SCTP}]}`), "-", "-"},
		{staged(`{from: [{}]}`), "expected a podSelector", "is empty"},
		{staged(`{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}`), "expected a podSelector", "cannot be combined"},
		{staged(`{from: [{ipBlock: {cidr: x}}]}`), "must be of type cidr", "no CIDR"},
		{staged(`{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [x]}}]}`), "must be of type cidr", "no CIDR"},
		{staged(`{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}`), "-", "is no part of"},
		{staged(`{from: [{podSelector: {matchExpressions: [{key: a, operator: Equals}]}}]}`), "Unsupported value", "expected In"},
		{staged(`{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}]}`), "-", "needs at least one value"},
		{staged(`{ports: [{protocol: ICMP}]}`), "Unsupported value", "has no ports"},
		{staged(`{ports: [{port: 0}]}`), "greater than or equal to 1", "no port"},
		{staged(`{ports: [{endPort: 90}]}`), "endPort needs port", "needs port"},
		{staged(`{ports: [{port: 90, endPort: 80}]}`), "-", "ends before it begins"},
		{staged(`{ports: [{port: Http}]}`), "ports[0].port", "no port's name"},
		{staged(`{ports: [{port: "80"}]}`), "-", "number in quotes"},
	} {
		t.Run(tt.object, func(t *testing.T) {
			j := judge(t, kinds, tt.object)
			j.check(t, tt.object)
			said := "-"
			for i, f := range j.translate {
				if i == 0 {
					said = ""
				}
				said += f.Error() + "\n"
			}
			if j.definition == "" {
				j.definition = "-"
			}
			if !strings.Contains(j.definition, tt.definition) {
				t.Errorf("the definition says %s\nwant %s", j.definition, tt.definition)
			}
			if !strings.Contains(said, tt.translate) {
				t.Errorf("translate says %s\nwant %s", said, tt.translate)
			}
		})
	}
}

func object(kind, name, spec string) string {
	return "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
}

func gnp(spec string) string    { return object("GlobalNetworkPolicy", "p", spec) }
func rule(text string) string   { return gnp("{ingress: [" + text + "]}") }
func egress(text string) string { return gnp("{egress: [" + text + "]}") }
func staged(text string) string {
	return object("StagedKubernetesNetworkPolicy", "p", "{podSelector: {}, policyTypes: [Ingress], ingress: ["+text+"]}")
}
