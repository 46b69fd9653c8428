package cilium_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// stage is a small cluster without policies.
func stage() *reference {
	return &reference{
		namespaces: map[string]map[string]string{"a": {"env": "prod"}, "b": {"env": "test", "team": "x"}},
		pods: []pod{
			{"a", "web", "default", map[string]string{"app": "web"}, map[string]uint16{"http": 80}, addr("10.0.0.1")},
			{"a", "db", "db", map[string]string{"app": "db", "tier": "back"}, map[string]uint16{"sql": 80}, addr("10.0.0.2")},
			{"b", "web", "db", map[string]string{"app": "web", "tier": "front"}, map[string]uint16{"http": 8080}, addr("10.0.0.3")},
			{"b", "six", "default", map[string]string{"tier": "back"}, nil, addr("fd00::1")},
			{"a", "six", "default", map[string]string{"app": "web"}, nil, addr("fd00::2")},
		},
		nodes:   []netip.Addr{addr("192.0.2.1"), addr("fd00:1::1")},
		servers: []netip.Addr{addr("198.51.100.6")},
	}
}

// resources returns the cluster as objects.
func (r *reference) resources() (out []store.Resource) {
	add := func(kind, namespace, name string, o any) {
		out = append(out, store.Resource{Key: policy.Key{Kind: kind, Namespace: namespace, Name: name}, Object: o})
	}
	for name, labels := range r.namespaces {
		add("Namespace", "", name, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	for _, a := range r.nodes {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	add("Node", "", "n", node)
	for _, p := range r.pods {
		o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, Labels: p.labels}}
		o.Spec.ServiceAccountName, o.Status.PodIP = p.account, p.addr.String()
		for name, port := range p.ports {
			o.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: name, ContainerPort: int32(port), Protocol: corev1.ProtocolTCP}}}}
		}
		add(policy.KindPod, p.namespace, p.name, o)
	}
	for _, p := range r.namespaced {
		add(policy.KindCiliumNetworkPolicy, p.Namespace, p.Name, p)
	}
	for _, p := range r.clusterwide {
		add(policy.KindCiliumClusterwideNetworkPolicy, "", p.Name, p)
	}
	return out
}

func sample[T any](t *rapid.T, label string, list ...T) T {
	return rapid.SampledFrom(list).Draw(t, label)
}

func some[T any](t *rapid.T, label string, most int, draw func() T) []T {
	out := []T{}
	for range rapid.IntRange(0, most).Draw(t, label) {
		out = append(out, draw())
	}
	return out
}

func drawSelector(t *rapid.T) metav1.LabelSelector {
	var s metav1.LabelSelector
	switch sample(t, "selector", 0, 1, 2, 3, 4, 5, 6) {
	case 0:
	case 1:
		s.MatchLabels = map[string]string{sample(t, "key", "app", "k8s:tier", "any:app"): sample(t, "value", "web", "db", "back")}
	case 2:
		s.MatchLabels = map[string]string{"k8s:io.kubernetes.pod.namespace": sample(t, "namespace", "a", "b")}
	case 3:
		s.MatchLabels = map[string]string{"io.cilium.k8s.namespace.labels.env": sample(t, "env", "prod", "test")}
	case 4:
		s.MatchLabels = map[string]string{"io.cilium.k8s.policy.serviceaccount": "db"}
	default:
		key := sample(t, "key", "app", "tier", "io.kubernetes.pod.namespace", "io.cilium.k8s.namespace.labels.team")
		e := metav1.LabelSelectorRequirement{Key: key, Operator: sample(t, "operator", metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn)}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = []string{sample(t, "value", "web", "a", "x")}
			if rapid.Bool().Draw(t, "two values") {
				e.Values = append(e.Values, "back")
			}
		}
		s.MatchExpressions = []metav1.LabelSelectorRequirement{e}
	}
	return s
}

func drawCIDR(t *rapid.T) string {
	return sample(t, "cidr", "0.0.0.0/0", "::/0", "192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8", "fd00::/16", "2001:db8::/32")
}

// drawSection draws a rule of either direction; host says that it may name the entity host.
func drawSection(t *rapid.T, host bool) (s section) {
	switch sample(t, "peers", 0, 1, 2, 3, 4) {
	case 1:
		s.endpoints = some(t, "endpoints", 2, func() metav1.LabelSelector { return drawSelector(t) })
	case 2:
		s.cidr = some(t, "cidrs", 2, func() string { return drawCIDR(t) })
	case 3:
		s.cidrSet = some(t, "cidr sets", 2, func() cilium.CIDRRule {
			c := sample(t, "cidr", cilium.CIDRRule{CIDR: "0.0.0.0/0", Except: []string{"198.51.100.0/24", "192.0.2.1/32"}}, cilium.CIDRRule{CIDR: "::/0", Except: []string{"2001:db8::/32"}}, cilium.CIDRRule{CIDR: "198.51.100.0/24"})
			return c
		})
	case 4:
		s.entities = some(t, "entities", 2, func() string {
			if host {
				return sample(t, "entity", "all", "world", "cluster", "remote-node", "host", "none", "kube-apiserver")
			}
			return sample(t, "entity", "all", "world", "cluster", "remote-node", "none", "kube-apiserver")
		})
	}
	switch sample(t, "l4", 0, 0, 1, 1, 2) {
	case 1:
		s.ports = some(t, "ports", 2, func() cilium.PortRule {
			return cilium.PortRule{Ports: append(some(t, "more ports", 1, func() cilium.PortProtocol { return drawPort(t) }), drawPort(t))}
		})
	case 2:
		s.icmps = some(t, "icmps", 1, func() cilium.ICMPRule {
			kind := intstr.FromInt32(sample(t, "type", int32(8), 128, 0))
			return cilium.ICMPRule{Fields: []cilium.ICMPField{{Family: sample(t, "family", "", "IPv4", "IPv6"), Type: &kind}}}
		})
	}
	return s
}

func drawPort(t *rapid.T) cilium.PortProtocol {
	p := cilium.PortProtocol{Protocol: sample(t, "protocol", "", "ANY", "TCP", "UDP", "sctp")}
	p.Port = sample(t, "port", "80", "8080", "0", "http", "sql", "53")
	if p.Port == "53" {
		p.EndPort = 90
	}
	return p
}

func drawRule(t *rapid.T) cilium.Rule {
	sel := drawSelector(t)
	r := cilium.Rule{EndpointSelector: &sel}
	ingress := func(deny bool) (out []cilium.IngressRule) {
		for _, s := range some(t, "ingress", 2, func() section { return drawSection(t, !deny) }) {
			out = append(out, cilium.IngressRule{FromEndpoints: s.endpoints, FromCIDR: s.cidr, FromCIDRSet: s.cidrSet, FromEntities: s.entities, ToPorts: s.ports, ICMPs: s.icmps})
		}
		return out
	}
	egress := func(deny bool) (out []cilium.EgressRule) {
		for _, s := range some(t, "egress", 2, func() section { return drawSection(t, false) }) {
			out = append(out, cilium.EgressRule{ToEndpoints: s.endpoints, ToCIDR: s.cidr, ToCIDRSet: s.cidrSet, ToEntities: s.entities, ToPorts: s.ports, ICMPs: s.icmps})
		}
		return out
	}
	r.Ingress, r.Egress = ingress(false), egress(false)
	if rapid.Bool().Draw(t, "deny") {
		r.IngressDeny, r.EgressDeny = ingress(true), egress(true)
	}
	if len(r.Ingress)+len(r.IngressDeny)+len(r.Egress)+len(r.EgressDeny) == 0 {
		r.Ingress = []cilium.IngressRule{{}} // one that has none is not valid
	}
	for _, to := range []**bool{&r.EnableDefaultDeny.Ingress, &r.EnableDefaultDeny.Egress} {
		if v := sample(t, "default deny", "", "", "true", "false"); v != "" {
			b := v == "true"
			*to = &b
		}
	}
	return r
}

// TestConvertedDecidesTheSame holds evaluate over what policies are converted to
// against the plain reference.
func TestConvertedDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := stage()
		for i := range rapid.IntRange(0, 2).Draw(t, "namespaced") {
			rule := drawRule(t)
			p := &cilium.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: sample(t, "namespace", "a", "b"), Name: fmt.Sprint("p", i)}}
			if rapid.Bool().Draw(t, "several") {
				p.Specs = []cilium.Rule{rule, drawRule(t)}
			} else {
				p.Spec = &rule
			}
			// A selector of another namespace counts for nothing where a policy has one.
			for _, s := range specs(p.Spec, p.Specs) {
				delete(s.EndpointSelector.MatchLabels, "k8s:io.kubernetes.pod.namespace")
			}
			r.namespaced = append(r.namespaced, p)
		}
		for i := range rapid.IntRange(0, 1).Draw(t, "clusterwide") {
			rule := drawRule(t)
			r.clusterwide = append(r.clusterwide, &cilium.ClusterwideNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}, Spec: &rule})
		}
		var servers []netip.Prefix
		for _, a := range r.servers {
			servers = append(servers, netip.PrefixFrom(a, a.BitLen()))
		}
		resources := r.resources()
		converted := cilium.Convert(resources, cilium.Options{APIServer: servers})
		if len(converted.Invalid)+len(converted.Lost) > 0 {
			t.Fatal(converted.Invalid, converted.Lost)
		}
		var all []store.Resource
		for i := range resources {
			if !cilium.Is(&resources[i]) {
				all = append(all, resources[i])
			}
		}
		loaded := translate.Load(append(all, converted.Resources...), nil, translate.Options{Offline: true})
		for _, f := range loaded.Findings {
			if !f.Note {
				t.Fatal(f)
			}
		}
		judge := evaluate.New(loaded.Model)
		addrs := append([]netip.Addr{addr("198.51.100.6"), addr("203.0.113.1"), addr("10.9.0.1"), addr("2001:db8::1"), addr("2001:db9::1")}, r.nodes...)
		for _, p := range r.pods {
			addrs = append(addrs, p.addr)
		}
		for _, src := range addrs {
			for _, dst := range addrs {
				if src.Is4() != dst.Is4() || r.podAt(src) == nil && r.podAt(dst) == nil {
					continue
				}
				for _, f := range []policy.Flow{
					{Protocol: policy.TCP, DstPort: 80}, {Protocol: policy.TCP, DstPort: 8080}, {Protocol: policy.UDP, DstPort: 53}, {Protocol: policy.SCTP, DstPort: 90},
					{Protocol: policy.ICMP, ICMPType: 8}, {Protocol: policy.ICMPv6, ICMPType: 128}, {Protocol: policy.UDPLite}, {Protocol: 47},
				} {
					f.Src, f.Dst, f.SrcPort = src, dst, 50000
					got := judge.Evaluate(f)
					if want := r.allows(f); (got.Verdict == policy.Allow) != want {
						text, _ := json.MarshalIndent(map[string]any{"cilium": []any{r.namespaced, r.clusterwide}}, "", " ")
						t.Fatalf("%+v: allowed %v by the reference, %v converted (egress %v by %+v, ingress %v by %+v)\n%s", f, want, got.Verdict, got.Egress.Verdict, got.Egress.By, got.Ingress.Verdict, got.Ingress.By, text)
					}
				}
			}
		}
	})
}
