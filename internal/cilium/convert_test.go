package cilium_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// cnp writes a CiliumNetworkPolicy of namespace a with a spec.
func cnp(name, spec string) string {
	return "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: " + name + ", namespace: a}\nspec: {" + spec + "}\n---\n"
}

// ccnp writes a CiliumClusterwideNetworkPolicy with a spec.
func ccnp(name, spec string) string {
	return "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n---\n"
}

// convert converts manifests, which must parse, on the stage.
func convert(t testing.TB, manifests string) (cilium.Result, *policy.Model) {
	t.Helper()
	resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifests)})
	for _, f := range findings {
		if !f.Note {
			t.Fatal(f)
		}
	}
	r := stage()
	all := r.resources()
	result := cilium.Convert(append(slices.Clone(all), resources...), cilium.Options{})
	for i := range resources {
		if !cilium.Is(&resources[i]) {
			all = append(all, resources[i])
		}
	}
	loaded := translate.Load(append(all, result.Resources...), nil, translate.Options{Offline: true})
	for _, f := range loaded.Findings {
		if !f.Note {
			t.Errorf("what it is converted to is not valid: %v", f)
		}
	}
	return result, loaded.Model
}

// TestMeaning checks what Cilium's documentation says of policies.
func TestMeaning(t *testing.T) {
	const web, db, other, node, outside = "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.0.2.1", "203.0.113.1" // a/web, a/db, b/web
	all := []string{web, db, other, node, outside}
	tests := []struct {
		name, policies, to string // to: the destination, TCP port 80; or "from X" of what X may reach
		want               []string
	}{
		{"no policy", "", web, []string{db, other, node, outside}},
		{"an empty rule denies by default", cnp("p", `endpointSelector: {}, ingress: [{}]`), web, nil},
		{"a default deny without a section does nothing", cnp("p", `endpointSelector: {}, enableDefaultDeny: {ingress: true}, egress: [{toEntities: [all]}]`), web, []string{db, other, node, outside}},
		{"rules of requests that are given and empty demand nothing", cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: []}}]}]`), web, []string{db, other, node, outside}},
		{"the other direction stays open", cnp("p", `endpointSelector: {}, egress: [{}]`), web, []string{other, node, outside}}, // db is in a, too
		{"who is not selected stays open", cnp("p", `endpointSelector: {matchLabels: {app: db}}, ingress: [{}]`), web, []string{db, other, node, outside}},
		{"an empty selector is the policy's namespace", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]`), web, []string{db}},
		{"of a clusterwide one it is all pods", ccnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]`), web, []string{db, other}},
		{"the API server is of the cluster", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [cluster]}]`) +
			"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}\naddressType: IPv4\nendpoints: [{addresses: [203.0.113.1]}]\n", web, all[1:]},
		{"no selectors are nobody", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: []}]`), web, nil},
		{"ports without peers are for all", cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "80"}]}]}]`), web, []string{db, other, node, outside}},
		{"a range", cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "70", endPort: 90, protocol: TCP}]}]}]`), web, []string{db, other, node, outside}},
		{"another port", cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "81"}]}]}]`), web, nil},
		{"a port's name", cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: http, protocol: TCP}]}]}]`), web, []string{db, other, node, outside}},
		{"another namespace by name", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": b}}]}]`), web, []string{other}},
		{"by label", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: x}}]}]`), web, []string{other}},
		{"by service account", ccnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.serviceaccount: db}}]}]`), web, []string{db, other}},
		{"all namespaces", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: Exists}]}]}]`), web, []string{db, other}},
		{"CIDRs are not pods", cnp("p", `endpointSelector: {}, ingress: [{fromCIDR: [0.0.0.0/0]}]`), web, []string{outside}},
		{"exceptions", cnp("p", `endpointSelector: {}, ingress: [{fromCIDRSet: [{cidr: 0.0.0.0/0, except: [203.0.113.0/24]}]}]`), web, nil},
		{"the world is not nodes", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [world]}]`), web, []string{outside}},
		{"the cluster is", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [cluster]}]`), web, []string{db, other, node}},
		{"other nodes", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [remote-node]}]`), web, []string{node}},
		{"all", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [all]}]`), web, []string{db, other, node, outside}},
		{"a reserved label is an entity", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {"reserved:world": ""}}]}]`), web, []string{outside}},
		{"what denies comes first", cnp("allow", `endpointSelector: {}, ingress: [{fromEntities: [all]}]`) +
			ccnp("deny", `endpointSelector: {}, ingressDeny: [{fromEndpoints: [{matchLabels: {tier: front}}]}]`), web, []string{db, node, outside}},
		{"what only denies denies the rest", ccnp("deny", `endpointSelector: {}, ingressDeny: [{fromEndpoints: [{matchLabels: {tier: front}}]}]`), web, nil},
		{"unless it says so", ccnp("deny", `endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEndpoints: [{matchLabels: {tier: front}}]}]`), web, []string{db, node, outside}},
		{"then another one may", ccnp("deny", `endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEntities: [remote-node]}]`) +
			cnp("deny", `endpointSelector: {}, ingress: [{fromEndpoints: [{}]}]`), web, []string{db, node}},
		{"with Kubernetes' own", cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [world]}]`) +
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: a}\nspec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}\n", web, []string{db, outside}},
		{"denied whatever Kubernetes' own say", cnp("p", `endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromEntities: [cluster]}]`) +
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: k, namespace: a}\nspec: {podSelector: {}, ingress: [{}]}\n", web, []string{outside}},
		{"several specs", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\nspecs:\n- {endpointSelector: {}, ingress: [{fromEntities: [world]}]}\n- {endpointSelector: {}, ingressDeny: [{fromCIDR: [203.0.113.1/32]}]}\n", web, nil},
		{"egress", cnp("p", `endpointSelector: {matchLabels: {app: web}}, egress: [{toEndpoints: [{matchLabels: {app: db}}]}, {toCIDR: [203.0.113.0/24]}]`), "from " + web, []string{db, outside}},
		{"a port's name of egress is a number of the cluster", cnp("p", `endpointSelector: {}, egress: [{toPorts: [{ports: [{port: sql}]}]}]`), "from " + web, []string{db, other, node, outside}},
		{"unless it is several", cnp("p", `endpointSelector: {}, egress: [{toPorts: [{ports: [{port: http, protocol: TCP}]}]}]`), "from " + web, nil},
		{"or none, of the protocol", cnp("p", `endpointSelector: {}, egress: [{toPorts: [{ports: [{port: sql, protocol: UDP}]}]}]`), "from " + web, nil},
		{"nobody is denied a name that is several numbers", cnp("p", `endpointSelector: {}, enableDefaultDeny: {egress: false}, egressDeny: [{toPorts: [{ports: [{port: http}]}]}]`), "from " + web, []string{db, other, node, outside}},
		{"a request is judged where it is known", cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {http: [{method: GET, path: /public/.*}]}}]}]`), web, []string{db}},
		{"all names may be looked up", cnp("p", `endpointSelector: {}, egress: [{toEntities: [world], toPorts: [{ports: [{port: "80"}], rules: {dns: [{matchPattern: "*"}]}}]}]`), "from " + web, []string{outside}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			result, m := convert(t, tt.policies)
			if len(result.Lost)+len(result.Invalid) > 0 {
				t.Fatal(result.Lost, result.Invalid)
			}
			judge := evaluate.New(m)
			self, isSource := strings.CutPrefix(tt.to, "from ")
			var got []string
			for _, peer := range all {
				f := policy.Flow{Src: addr(peer), Dst: addr(self), Protocol: policy.TCP, SrcPort: 50000, DstPort: 80}
				if isSource {
					f.Src, f.Dst = f.Dst, f.Src
				}
				if peer != self && judge.Evaluate(f).Verdict == policy.Allow {
					got = append(got, peer)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("who gets through (-want +got):\n%s", d)
			}
		})
	}
}

// TestLost checks that what cannot be expressed is named, and nothing stands in its place.
func TestLost(t *testing.T) {
	const allowed, denied = ": it is left out, and what it allows is not allowed", ": it is left out, and what it denies is not denied"
	in := func(rule string) string { return cnp("p", `endpointSelector: {}, ingress: [{`+rule+`}]`) }
	out := func(rule string) string { return cnp("p", `endpointSelector: {}, egress: [{`+rule+`}]`) }
	port := `toPorts: [{ports: [{port: "80", protocol: TCP}], `
	tests := []struct{ policy, want string }{
		{in(`authentication: {mode: required}, fromEndpoints: [{}]`), `spec.ingress[0].authentication: that peers authenticate (mode "required") cannot be expressed` + allowed},
		{in(`fromNodes: [{}]`), `spec.ingress[0].fromNodes: nodes by their labels cannot be expressed` + allowed},
		{out(`toGroups: [{aws: {labels: {a: b}}}]`), `spec.egress[0].toGroups: groups of a cloud provider cannot be expressed` + allowed},
		{out(`toServices: [{k8sService: {serviceName: s, namespace: n}}]`), `spec.egress[0].toServices: services without regard to their ports cannot be expressed: name the endpoints behind them` + allowed},
		{in(`fromEntities: [health]`), `spec.ingress[0].fromEntities[0]: entity health cannot be expressed` + allowed},
		{in(`fromEntities: [kube-apiserver]`), `spec.ingress[0].fromEntities[0]: no address of the API server is known: add the EndpointSlice default/kubernetes, or name its addresses with --apiserver-cidr` + allowed},
		{cnp("p", `endpointSelector: {}, ingressDeny: [{fromEntities: [host]}]`), `spec.ingressDeny[0].fromEntities[0]: a node always reaches the pods on it` + denied},
		{out(`toEntities: [host]`), `spec.egress[0].toEntities[0]: the node that a pod is on cannot be told from other nodes: name addresses of nodes instead` + allowed},
		{in(`fromCIDRSet: [{cidrGroupRef: g}]`), `spec.ingress[0].fromCIDRSet[0]: groups of CIDRs cannot be expressed: write the CIDRs themselves` + allowed},
		{out(`toFQDNs: [{matchPattern: "*.example.com"}]`), `spec.egress[0].toFQDNs[0].matchPattern: "*.example.com" cannot be expressed: only **.NAME can, which is all names below NAME` + allowed},
		{in(`fromEndpoints: [{matchLabels: {io.cilium.k8s.policy.cluster: c}}]`), `spec.ingress[0].fromEndpoints[0].matchLabels.io.cilium.k8s.policy.cluster: the cluster of a pod cannot be expressed` + allowed},
		{in(`fromEndpoints: [{matchLabels: {"container:x": c}}]`), `spec.ingress[0].fromEndpoints[0].matchLabels.container:x: labels of source "container" cannot be expressed` + allowed},
		{in(port + `rules: {http: [{path: "/v[0-9]+/.*"}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].path: "/v[0-9]+/.*" cannot be expressed: only a whole path can, or the beginning of one as in /public/.*` + allowed},
		{in(port + `rules: {http: [{path: "/public.*"}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].path: "/public.*" cannot be expressed: only a whole path can, or the beginning of one as in /public/.*` + allowed},
		{in(port + `rules: {http: [{path: "/a%2Fb"}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].path: "/a%2Fb" can be read in several ways: it has an encoded '/', and no request that has such a path matches any rule here` + allowed},
		{in(port + `rules: {http: [{host: x}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].host: the host of requests cannot be expressed` + allowed},
		{in(port + `rules: {http: [{headers: [x]}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].headers: headers of requests cannot be expressed` + allowed},
		{in(port + `rules: {http: [{method: "GE.*"}]}}]`), `spec.ingress[0].toPorts[0].rules.http[0].method: "GE.*" cannot be expressed: only methods can, and several as in GET|HEAD` + allowed},
		{in(port + `rules: {kafka: [{role: produce}]}}]`), `spec.ingress[0].toPorts[0].rules.kafka: what Kafka's messages say cannot be expressed` + allowed},
		{in(port + `rules: {l7proto: x, l7: [{a: b}]}}]`), `spec.ingress[0].toPorts[0].rules.l7proto: protocol "x" of requests cannot be expressed` + allowed},
		{out(port + `rules: {http: [{}]}}]`), `spec.egress[0].toPorts[0].rules.http: what HTTP requests of egress say cannot be expressed: demand it of ingress` + allowed},
		{out(port + `rules: {dns: [{matchName: x.example}]}}]`), `spec.egress[0].toPorts[0].rules.dns: which names may be looked up cannot be expressed, but for all of them (matchPattern: "*")` + allowed},
		{out(port + `serverNames: [x.example]}]`), `spec.egress[0].toPorts[0].serverNames: server names of TLS cannot be expressed` + allowed},
		{out(port + `terminatingTLS: {}}]`), `spec.egress[0].toPorts[0].terminatingTLS: TLS that is ended on the way cannot be expressed` + allowed},
		{in(`icmps: [{fields: [{type: 255}]}]`), `spec.ingress[0].icmps[0].fields[0].type: type 255 cannot be expressed` + allowed},
		{ccnp("p", `nodeSelector: {}, ingress: [{}]`), `spec.nodeSelector: policy of nodes cannot be expressed: write it for host endpoints: all of the rule is left out, what it denies by default as well`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			result, m := convert(t, tt.policy)
			if len(result.Invalid) > 0 {
				t.Fatal(result.Invalid)
			}
			if d := cmp.Diff([]string{tt.want}, messages(result.Lost)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			for _, p := range m.Policies {
				if len(p.Rules[0])+len(p.Rules[1]) > 0 {
					t.Errorf("something stands in its place: %v", p.Rules)
				}
			}
		})
	}
}

func messages(findings []store.Finding) (out []string) {
	for _, f := range findings {
		out = append(out, f.Field+": "+f.Message)
	}
	return out
}

// TestInvalid checks what Cilium would not accept; then nothing of the policy is converted.
func TestInvalid(t *testing.T) {
	in := func(rule string) string { return cnp("p", `endpointSelector: {}, ingress: [{`+rule+`}]`) }
	tests := []struct{ policy, want string }{
		{"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\n", `spec: is missing: a policy has spec or specs`},
		{cnp("p", `endpointSelector: {}, ingress: []`), `spec: has no rules, and Cilium refuses it: to deny by default write an empty one, such as ingress: [{}]`},
		{in(`fromRequires: [{}]`), `spec.ingress[0].fromRequires: is no part of Cilium's API any more, and narrows what other rules allow: add what it demands to fromEndpoints of those rules`},
		{in(`toPorts: [{ports: [{port: "80"}], rules: {http: [{}]}}]`), `spec.ingress[0].toPorts[0].ports[0].protocol: "": rules for requests need TCP`},
		{in(`toPorts: [{ports: [{port: "0", protocol: TCP}], rules: {http: [{}]}}]`), `spec.ingress[0].toPorts[0].ports[0].port: rules for requests need a port that is not 0`},
		{in(`toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}}]`), `spec.ingress[0].toPorts[0].rules.dns: is for egress only`},
		{in(`toPorts: [{ports: [{port: "80", protocol: GRE}]}]`), `spec.ingress[0].toPorts[0].ports[0].port: GRE has no ports: expected 0`},
		{in(`fromCIDRSet: [{cidr: 10.0.0.0/16, except: [10.0.0.0/8]}]`), `spec.ingress[0].fromCIDRSet[0].except[0]: 10.0.0.0/16 does not contain 10.0.0.0/8`},
		{cnp("p", `ingress: [{}]`), `spec: has neither endpointSelector nor nodeSelector: expected one of them`},
		{cnp("p", `nodeSelector: {}, ingress: [{}]`), `spec.nodeSelector: is for CiliumClusterwideNetworkPolicy only`},
		{ccnp("p", `nodeSelector: {}, endpointSelector: {}, ingress: [{}]`), `spec.nodeSelector: cannot stand beside endpointSelector: write a rule for each`},
		{in(`fromEndpoints: [{}], fromCIDR: [0.0.0.0/0]`), `spec.ingress[0].fromCIDR: cannot stand beside fromEndpoints: write a rule for each`},
		{in(`toPorts: [{ports: [{port: "1"}]}], icmps: [{fields: [{type: 8}]}]`), `spec.ingress[0].icmps: cannot stand beside toPorts: write a rule for each`},
		{in(`fromCIDR: [10.0.0.300]`), `spec.ingress[0].fromCIDR[0]: "10.0.0.300" is no CIDR: expected one such as 192.0.2.0/24`},
		{in(`fromCIDRSet: [{cidr: 10.0.0.0/8, except: [192.0.2.0/24]}]`), `spec.ingress[0].fromCIDRSet[0].except[0]: 10.0.0.0/8 does not contain 192.0.2.0/24`},
		{in(`fromEntities: [wrold]`), `spec.ingress[0].fromEntities[0]: "wrold" is no entity: expected all, world, cluster, host, remote-node, kube-apiserver, init, health, unmanaged, ingress or none`},
		{in(`toPorts: [{ports: [{port: "70000"}]}]`), `spec.ingress[0].toPorts[0].ports[0].port: "70000" is no port: expected a number from 0 to 65535, or a name of at most 15 letters`},
		{in(`toPorts: [{ports: [{port: "80", endPort: 70}]}]`), `spec.ingress[0].toPorts[0].ports[0].endPort: 70: expected a number from 80 to 65535`},
		{in(`toPorts: [{ports: [{port: "80", protocol: TPC}]}]`), `spec.ingress[0].toPorts[0].ports[0].protocol: "TPC": expected TCP, UDP, SCTP, VRRP, IGMP, GRE, IPIP, IPV6, ESP, AH or ANY`},
		{in(`icmps: [{fields: [{type: Ping}]}]`), `spec.ingress[0].icmps[0].fields[0].type: "Ping" is no type of ICMP: expected a number from 0 to 255, or a name such as EchoRequest`},
		{in(`fromEndpoints: [{matchExpressions: [{key: a, operator: In}]}]`), `spec.ingress[0].fromEndpoints[0].matchExpressions[0].values: is empty: In needs values`},
		{cnp("p", `endpointSelector: {}, egress: [{toFQDNs: [{}]}]`), `spec.egress[0].toFQDNs[0]: expected either matchName or matchPattern`},
		{cnp("p", `endpointSelector: {}, egressDeny: [{toFQDNs: [{matchName: x.example}]}]`), `spec.egressDeny[0].toFQDNs: are for rules that allow`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			result, _ := convert(t, tt.policy)
			if d := cmp.Diff([]string{tt.want}, messages(result.Invalid)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if len(result.Resources)+len(result.Lost) > 0 {
				t.Errorf("converted all the same: %v %v", result.Resources, result.Lost)
			}
		})
	}
}

// TestNames checks that no two objects get one name, nor one that is taken.
func TestNames(t *testing.T) {
	result, _ := convert(t, cnp("p", `endpointSelector: {}, ingress: [{fromEntities: [world]}], ingressDeny: [{fromEntities: [cluster]}]`)+
		ccnp("a.p", `endpointSelector: {}, ingress: [{}]`)+ccnp("p.deny", `endpointSelector: {}, ingress: [{}]`)+
		"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: q, namespace: a}\nspecs: [{endpointSelector: {}, ingress: [{}]}, {endpointSelector: {}, egress: [{}]}]\n---\n"+
		"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: cilium}\n---\n"+
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: default.cnp-a-p}\n")
	var got []string
	for _, r := range result.Resources {
		got = append(got, fmt.Sprint(r.Key))
	}
	if d := cmp.Diff([]string{
		"Tier/cilium-2", "GlobalNetworkSet/cilium-node", "GlobalNetworkPolicy/cilium-2.cnp-a-p-deny", "GlobalNetworkPolicy/default.ccnp-a-p",
		"GlobalNetworkPolicy/default.ccnp-p-deny", "GlobalNetworkPolicy/default.cnp-a-p-2", "GlobalNetworkPolicy/default.cnp-a-q", "GlobalNetworkPolicy/default.cnp-a-q-2",
	}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// FuzzConvert checks that no manifest makes the conversion panic, or gives objects
// that are not valid.
func FuzzConvert(f *testing.F) {
	f.Add(cnp("p", `endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {a: b}}], toPorts: [{ports: [{port: "80"}]}]}]`))
	f.Add(ccnp("p", `endpointSelector: {}, egress: [{toFQDNs: [{matchName: x.example}, {matchPattern: "**.y.example"}]}, {icmps: [{fields: [{type: EchoRequest}]}]}]`))
	f.Add(cnp("p", `endpointSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}, enableDefaultDeny: {ingress: false}, ingressDeny: [{fromCIDRSet: [{cidr: ::/0, except: [fd00::/8]}]}]`))
	f.Add(cnp("p", `endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: http, protocol: TCP}], rules: {http: [{method: GET, path: "/a\\.b/.*"}]}}]}]`))
	f.Fuzz(func(t *testing.T, manifests string) {
		resources, _ := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifests)})
		result := cilium.Convert(resources, cilium.Options{})
		for _, finding := range translate.Load(result.Resources, nil, translate.Options{Offline: true}).Findings {
			if !finding.Note {
				t.Errorf("what it is converted to is not valid: %v", finding)
			}
		}
	})
}

// TestPortNames: which pods say what number a named port of egress is.
func TestPortNames(t *testing.T) {
	const policies = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: a}
spec: {endpointSelector: {}, egress: [{toPorts: [{ports: [{port: web, protocol: TCP}]}]}]}
---
`
	pod := func(name, ports, more string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: b, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: s, uid: u}]}\nspec: {" + more + "containers: [{ports: [" + ports + "]}]}\n---\n"
	}
	set := func(port string) string {
		return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s, namespace: b}\nspec: {template: {spec: {containers: [{ports: [{name: web, containerPort: " + port + "}]}]}}}\n---\n"
	}
	const at = "<stdin>:4: CiliumNetworkPolicy a/p: spec.egress[0].toPorts[0].ports[0].port: "
	for _, tt := range []struct{ name, others, ports, note, lost string }{
		{"of a pod", pod("x", "{name: web, containerPort: 8080}", ""), "8080", "", ""},
		{"of two", pod("x", "{name: web, containerPort: 8080}", "") + pod("y", "{name: web, containerPort: 8080, protocol: TCP}", ""), "8080", "", ""},
		{"of a workload", set("8080"), "8080", "", ""},
		{"whose pods say otherwise", set("8080") + pod("x", "{name: web, containerPort: 80}", ""), "80", "", ""},
		{"of the host's network", pod("x", "{name: web, containerPort: 8080}", "hostNetwork: true, ") + pod("y", "{name: web, containerPort: 80}", ""), "80", "", ""},
		{"of several numbers", pod("x", "{name: web, containerPort: 8080}, {name: web, containerPort: 80}", ""), "",
			at + `"web" matches nothing: a named port of egress is one number in the whole cluster, and pods have 2 of that name: write the number`, ""},
		{"of nobody", pod("x", "{name: www, containerPort: 8080}", ""), "",
			at + `"web" matches nothing: a named port of egress is one number in the whole cluster, and no pod has a port of that name: write the number`, ""},
		{"without pods", "", "", "",
			at + `a named port of egress is one number in the whole cluster, and no pods are here that say which number "web" is: add the pods, or write the number: it is left out, and what it allows is not allowed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, _ := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(policies + tt.others)})
			result := cilium.Convert(resources, cilium.Options{})
			var ports []string
			for _, r := range result.Resources {
				for _, rule := range r.Object.(*v3.GlobalNetworkPolicy).Spec.Egress {
					for _, p := range rule.Destination.Ports {
						ports = append(ports, string(p))
					}
				}
			}
			var notes, lost []string
			for _, f := range result.Notes {
				notes = append(notes, f.Error())
			}
			for _, f := range result.Lost {
				lost = append(lost, f.Error())
			}
			for _, d := range []struct{ want, got string }{{tt.ports, strings.Join(ports, " ")}, {tt.note, strings.Join(notes, "\n")}, {tt.lost, strings.Join(lost, "\n")}} {
				if d.want != d.got {
					t.Errorf("got %q, want %q", d.got, d.want)
				}
			}
		})
	}
}
