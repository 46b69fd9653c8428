package modeltest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func (r *resources) tiers(yield func(store.Resource) bool) {
	for i, name := range []string{"security", "platform"} {
		order := float64(100 * (i + 1))
		action := v3.Pass
		t := &v3.Tier{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v3.TierSpec{Order: &order, DefaultAction: &action}}
		if !yield(resource(policy.KindTier, "", name, t)) {
			return
		}
	}
}

// policies gives, in turn for each namespace: a default deny, and one policy for
// each workload in which two others may reach it; every hundredth policy is a
// global one of tier platform.
func (r *resources) policies(yield func(store.Resource) bool) {
	for i := range r.size.Policies {
		if i%100 == 99 {
			p := r.globalPolicy(i / 100)
			if !yield(resource(policy.KindGlobalNetworkPolicy, "", p.Name, p)) {
				return
			}
			continue
		}
		p := r.networkPolicy(i)
		if !yield(resource(policy.KindKubernetesNetworkPolicy, p.Namespace, p.Name, p)) {
			return
		}
	}
}

func (r *resources) networkPolicy(i int) *networkingv1.NetworkPolicy {
	ns, nth := i%r.size.Namespaces, i/r.size.Namespaces
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespaceName(ns)}}
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if nth == 0 {
		p.Name = "default-deny"
		return p
	}
	n := ns + (nth-1)*r.size.Namespaces
	_, workload := r.workload(n)
	p.Name = "allow-" + workload
	p.Spec.PodSelector = instance(workload)
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	port := intstr.FromInt32(int32(parts[n%len(parts)].port))
	dns, https := intstr.FromInt32(53), intstr.FromInt32(443)
	peer := func(k int) networkingv1.NetworkPolicyPeer {
		_, name := r.workload(ns + k*r.size.Namespaces)
		s := instance(name)
		return networkingv1.NetworkPolicyPeer{PodSelector: &s}
	}
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From: []networkingv1.NetworkPolicyPeer{peer(nth), peer(nth + 1), {
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{strings.Clone("team"): strings.Clone(teams[ns%len(teams)])}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{strings.Clone("tier"): strings.Clone("front")}},
		}},
		Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}},
	}}
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{
		{To: []networkingv1.NetworkPolicyPeer{peer(nth + 2)}, Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &port}}},
		{To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}, Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}}},
		{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: fmt.Sprintf("203.0.%d.0/24", nth%113), Except: []string{fmt.Sprintf("203.0.%d.128/28", nth%113)}}}},
			Ports: []networkingv1.NetworkPolicyPort{{Protocol: &tcp, Port: &https}}},
	}
	return p
}

func instance(name string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{strings.Clone("app.kubernetes.io/instance"): strings.Clone(name)}}
}

func (r *resources) globalPolicy(i int) *v3.GlobalNetworkPolicy {
	order := float64(i)
	p := &v3.GlobalNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("platform.team-%d", i)}}
	p.Spec.Tier, p.Spec.Order = "platform", &order
	p.Spec.Selector = fmt.Sprintf("app.kubernetes.io/name == '%s' && tier == 'back'", parts[i%len(parts)].name)
	p.Spec.NamespaceSelector = fmt.Sprintf("team == '%s' && env in {'prod', 'stage'}", teams[i%len(teams)])
	p.Spec.Ingress = []v3.Rule{
		{Action: v3.Deny, Source: v3.EntityRule{Nets: []string{fmt.Sprintf("198.51.%d.0/24", i%256)}}},
		{Action: v3.Pass},
	}
	return p
}
