package translate_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// world is a small cluster, in the types of its APIs.
type world struct {
	namespaces map[string]map[string]string
	pods       []*corev1.Pod
	nodes      []*corev1.Node
	policies   []*v1alpha2.ClusterNetworkPolicy
}

// says reads the API as plainly as it is written: what becomes of a flow.
func (w *world) says(f policy.Flow) bool {
	return f.Src == f.Dst || w.saysAt(f, policy.Egress, f.Src, f.Dst) && w.saysAt(f, policy.Ingress, f.Dst, f.Src)
}

func (w *world) saysAt(f policy.Flow, dir policy.Direction, self, peer netip.Addr) bool {
	pod := w.podAt(self)
	if pod == nil || dir == policy.Ingress && slices.ContainsFunc(w.nodes, func(n *corev1.Node) bool { return n.Name == pod.Spec.NodeName && addrOf(n) == peer }) {
		return true
	}
	for _, tier := range []v1alpha2.Tier{v1alpha2.AdminTier, v1alpha2.BaselineTier} {
		policies := slices.Clone(w.policies)
		slices.SortFunc(policies, func(a, b *v1alpha2.ClusterNetworkPolicy) int {
			return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(a.Name, b.Name))
		})
		switch w.askTier(policies, tier, dir, pod, peer, f) {
		case v1alpha2.ClusterNetworkPolicyRuleActionAccept:
			return true
		case v1alpha2.ClusterNetworkPolicyRuleActionDeny:
			return false
		}
	}
	return true
}

func (w *world) askTier(policies []*v1alpha2.ClusterNetworkPolicy, tier v1alpha2.Tier, dir policy.Direction, pod *corev1.Pod, peer netip.Addr, f policy.Flow) v1alpha2.ClusterNetworkPolicyRuleAction {
	for _, p := range policies {
		if p.Spec.Tier != tier || !w.selects(p.Spec.Subject.Namespaces, p.Spec.Subject.Pods, pod) {
			continue
		}
		for i := range p.Spec.Ingress {
			if r := &p.Spec.Ingress[i]; dir == policy.Ingress && w.port(r.Protocols, pod, f) {
				var peers []v1alpha2.ClusterNetworkPolicyEgressPeer
				for _, from := range r.From {
					peers = append(peers, v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: from.Namespaces, Pods: from.Pods})
				}
				if action := w.askPeers(peers, r.Action, peer); action != "" {
					return action
				}
			}
		}
		for i := range p.Spec.Egress {
			if r := &p.Spec.Egress[i]; dir == policy.Egress && w.port(r.Protocols, w.podAt(peer), f) {
				if action := w.askPeers(r.To, r.Action, peer); action != "" {
					return action
				}
			}
		}
	}
	return v1alpha2.ClusterNetworkPolicyRuleActionPass
}

// askPeers returns the action if a peer is meant. One without any field fails closed.
func (w *world) askPeers(peers []v1alpha2.ClusterNetworkPolicyEgressPeer, action v1alpha2.ClusterNetworkPolicyRuleAction, addr netip.Addr) v1alpha2.ClusterNetworkPolicyRuleAction {
	unknown := false
	for _, p := range peers {
		switch {
		case p.Namespaces != nil || p.Pods != nil:
			if pod := w.podAt(addr); pod != nil && w.selects(p.Namespaces, p.Pods, pod) {
				return action
			}
		case p.Nodes != nil:
			for _, n := range w.nodes {
				if addrOf(n) == addr && meets(p.Nodes, n.Labels) {
					return action
				}
			}
		case p.Networks != nil:
			for _, n := range p.Networks {
				if netip.MustParsePrefix(string(n)).Contains(addr) {
					return action
				}
			}
		default:
			unknown = true
		}
	}
	if unknown && action != v1alpha2.ClusterNetworkPolicyRuleActionAccept {
		return v1alpha2.ClusterNetworkPolicyRuleActionDeny
	}
	return ""
}

func (w *world) selects(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod, pod *corev1.Pod) bool {
	if namespaces != nil {
		return meets(namespaces, w.namespaces[pod.Namespace])
	}
	return meets(&pods.NamespaceSelector, w.namespaces[pod.Namespace]) && meets(&pods.PodSelector, pod.Labels)
}

// port reports whether a rule is about the flow's protocol and port; pod is at its destination.
func (w *world) port(protocols []v1alpha2.ClusterNetworkPolicyProtocol, pod *corev1.Pod, f policy.Flow) bool {
	in := func(p *v1alpha2.Port, protocol policy.Protocol) bool {
		if f.Protocol != protocol {
			return false
		}
		port := int32(f.DstPort)
		return p.Range != nil && p.Range.Start <= port && port <= p.Range.End || p.Range == nil && p.Number == port
	}
	return len(protocols) == 0 || slices.ContainsFunc(protocols, func(p v1alpha2.ClusterNetworkPolicyProtocol) bool {
		switch {
		case p.TCP != nil:
			return in(p.TCP.DestinationPort, policy.TCP)
		case p.UDP != nil:
			return in(p.UDP.DestinationPort, policy.UDP)
		case p.SCTP != nil:
			return in(p.SCTP.DestinationPort, policy.SCTP)
		case pod == nil:
			return false
		}
		return slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool {
			return c.Name == p.DestinationNamedPort && string(c.Protocol) == f.Protocol.String() && c.ContainerPort == int32(f.DstPort)
		})
	})
}

func meets(s *metav1.LabelSelector, of map[string]string) bool {
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		panic(err)
	}
	return sel.Matches(kubelabels.Set(of))
}

func addrOf(n *corev1.Node) netip.Addr { return netip.MustParseAddr(n.Status.Addresses[0].Address) }

func (w *world) podAt(a netip.Addr) *corev1.Pod {
	for _, p := range w.pods {
		if p.Status.PodIP == a.String() {
			return p
		}
	}
	return nil
}

// resources returns the world as a store does.
func (w *world) resources() []store.Resource {
	var out []store.Resource
	for name, l := range w.namespaces {
		out = append(out, store.Resource{Key: policy.Key{Kind: "Namespace", Name: name}, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: l}}})
	}
	for _, p := range w.pods {
		out = append(out, store.Resource{Key: policy.Key{Kind: policy.KindPod, Namespace: p.Namespace, Name: p.Name}, Object: p})
	}
	for _, n := range w.nodes {
		out = append(out, store.Resource{Key: policy.Key{Kind: policy.KindNode, Name: n.Name}, Object: n})
	}
	for _, p := range w.policies {
		out = append(out, store.Resource{Key: policy.Key{Kind: policy.KindClusterNetworkPolicy, Name: p.Name}, Object: p})
	}
	return out
}

// The vocabulary of worlds: few words, so that they meet.
var (
	worldKeys   = []string{"a", "b"}
	worldValues = []string{"1", "2"}
	worldPorts  = []int32{1, 80, 81, 8080, 65535}
	worldNets   = []v1alpha2.CIDR{"10.1.0.0/16", "10.1.0.2/32", "10.0.0.0/8", "192.0.2.0/24", "0.0.0.0/0", "::/0"}
	worldNames  = []string{"web", "dns"}
)

func drawWorld(t *rapid.T) *world {
	w := &world{namespaces: map[string]map[string]string{}}
	for _, name := range []string{"x", "y"} {
		w.namespaces[name] = drawLabels(t)
	}
	for i := range 2 {
		w.nodes = append(w.nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i), Labels: drawLabels(t)},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i)}}},
		})
	}
	for i := range 4 {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: []string{"x", "y"}[i%2], Labels: drawLabels(t)}}
		p.Spec.NodeName = rapid.SampledFrom([]string{"n0", "n1"}).Draw(t, "node")
		p.Status.PodIP = fmt.Sprintf("10.1.0.%d", i)
		p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{
			Name: rapid.SampledFrom(worldNames).Draw(t, "name"), ContainerPort: rapid.SampledFrom(worldPorts).Draw(t, "named port"),
			Protocol: rapid.SampledFrom([]corev1.Protocol{"TCP", "UDP"}).Draw(t, "protocol"),
		}}}}
		w.pods = append(w.pods, p)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
		w.policies = append(w.policies, drawClusterPolicy(t, fmt.Sprintf("c%d", i)))
	}
	return w
}

func drawLabels(t *rapid.T) map[string]string {
	out := map[string]string{}
	for _, k := range worldKeys {
		if v := rapid.SampledFrom(append([]string{""}, worldValues...)).Draw(t, k); v != "" {
			out[k] = v
		}
	}
	return out
}

func drawLabelSelector(t *rapid.T) metav1.LabelSelector {
	var s metav1.LabelSelector
	key := rapid.SampledFrom(worldKeys)
	switch rapid.IntRange(0, 3).Draw(t, "selector") {
	case 1:
		s.MatchLabels = map[string]string{key.Draw(t, "key"): rapid.SampledFrom(worldValues).Draw(t, "value")}
	case 2, 3:
		op := rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")
		e := metav1.LabelSelectorRequirement{Key: key.Draw(t, "key"), Operator: op}
		if op == "In" || op == "NotIn" {
			e.Values = rapid.SliceOfNDistinct(rapid.SampledFrom(worldValues), 1, 2, rapid.ID).Draw(t, "values")
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

// drawPods draws one of both ways to select pods.
func drawPods(t *rapid.T) (*metav1.LabelSelector, *v1alpha2.NamespacedPod) {
	s := drawLabelSelector(t)
	if rapid.Bool().Draw(t, "namespaces") {
		return &s, nil
	}
	return nil, &v1alpha2.NamespacedPod{NamespaceSelector: s, PodSelector: drawLabelSelector(t)}
}

func drawClusterPolicy(t *rapid.T, name string) *v1alpha2.ClusterNetworkPolicy {
	p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Tier = rapid.SampledFrom([]v1alpha2.Tier{v1alpha2.AdminTier, v1alpha2.BaselineTier}).Draw(t, "tier")
	p.Spec.Priority = rapid.SampledFrom([]int32{0, 0, 1, 1000}).Draw(t, "priority")
	p.Spec.Subject.Namespaces, p.Spec.Subject.Pods = drawPods(t)
	action := rapid.SampledFrom([]v1alpha2.ClusterNetworkPolicyRuleAction{"Accept", "Deny", "Pass"})
	for range rapid.IntRange(0, 3).Draw(t, "ingress rules") {
		r := v1alpha2.ClusterNetworkPolicyIngressRule{Action: action.Draw(t, "action"), Protocols: drawProtocols(t, true)}
		for range rapid.IntRange(1, 2).Draw(t, "peers") {
			var peer v1alpha2.ClusterNetworkPolicyIngressPeer
			if rapid.IntRange(0, 7).Draw(t, "known") > 0 {
				peer.Namespaces, peer.Pods = drawPods(t)
			}
			r.From = append(r.From, peer)
		}
		p.Spec.Ingress = append(p.Spec.Ingress, r)
	}
	for range rapid.IntRange(0, 3).Draw(t, "egress rules") {
		r := v1alpha2.ClusterNetworkPolicyEgressRule{Action: action.Draw(t, "action")}
		pods := true
		for range rapid.IntRange(1, 2).Draw(t, "peers") {
			var peer v1alpha2.ClusterNetworkPolicyEgressPeer
			switch rapid.IntRange(0, 7).Draw(t, "kind of peer") {
			case 0: // unknown
			case 1, 2:
				s := drawLabelSelector(t)
				peer.Nodes, pods = &s, false
			case 3, 4:
				peer.Networks, pods = rapid.SliceOfNDistinct(rapid.SampledFrom(worldNets), 1, 2, rapid.ID).Draw(t, "networks"), false
			default:
				peer.Namespaces, peer.Pods = drawPods(t)
			}
			r.To = append(r.To, peer)
		}
		r.Protocols = drawProtocols(t, pods)
		p.Spec.Egress = append(p.Spec.Egress, r)
	}
	return p
}

func drawProtocols(t *rapid.T, named bool) []v1alpha2.ClusterNetworkPolicyProtocol {
	var out []v1alpha2.ClusterNetworkPolicyProtocol
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "protocols") {
		port := &v1alpha2.Port{Number: rapid.SampledFrom(worldPorts).Draw(t, "port")}
		if rapid.Bool().Draw(t, "range") {
			*port = v1alpha2.Port{Range: &v1alpha2.PortRange{Start: rapid.SampledFrom(worldPorts[:3]).Draw(t, "start"), End: rapid.SampledFrom(worldPorts[3:]).Draw(t, "end")}}
		}
		var p v1alpha2.ClusterNetworkPolicyProtocol
		switch rapid.IntRange(0, 3).Draw(t, "kind of protocol") {
		case 0:
			p.TCP = &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
		case 1:
			p.UDP = &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
		case 2:
			p.SCTP = &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
		default:
			if p.DestinationNamedPort = rapid.SampledFrom(worldNames).Draw(t, "named"); !named {
				p = v1alpha2.ClusterNetworkPolicyProtocol{TCP: &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}
			}
		}
		out = append(out, p)
	}
	return out
}

// TestClusterPolicySaysWhatItReads holds evaluate, and the engine's tables, against a
// plain reading of the API, after all nodes have got other labels.
func TestClusterPolicySaysWhatItReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		tr := translate.New(translate.Options{})
		e, tables := engine.New(nil), dataplane.NewState()
		take := func() {
			result := tr.ApplySorted(store.Batch{Updated: w.resources()})
			for _, s := range result.Statuses {
				if s.State == translate.NotInForce || s.State == translate.LastValid {
					t.Fatalf("%v: %v", s.State, s.Findings)
				}
			}
			e.Apply(result.Changes...)
			if d := e.Flush(); d != nil {
				if err := tables.Apply(d); err != nil {
					t.Fatal(err)
				}
			}
		}
		take()
		for i, n := range w.nodes {
			changed := *n
			changed.Labels = drawLabels(t)
			w.nodes[i] = &changed
		}
		take()
		ev := evaluate.New(tr.Model())
		addr := rapid.SampledFrom([]string{"10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.0.0.0", "10.0.0.1", "192.0.2.1", "198.51.100.1"})
		for range 30 {
			f := policy.Flow{
				Src: netip.MustParseAddr(addr.Draw(t, "src")), Dst: netip.MustParseAddr(addr.Draw(t, "dst")),
				Protocol: rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP}).Draw(t, "protocol"),
			}
			if f.Protocol.HasPorts() {
				f.SrcPort, f.DstPort = 50000, uint16(rapid.SampledFrom(worldPorts).Draw(t, "port"))
			}
			want := w.says(f)
			if got := ev.Evaluate(f); (got.Verdict == policy.Allow) != want {
				t.Fatalf("%+v: allowed by the API is %v, evaluate says %v: %+v", f, want, got.Verdict, got)
			}
			if got := tables.Allows(f); got != want && f.Src != f.Dst && !ownNode(w, f) {
				t.Fatalf("%+v: allowed by the API is %v, the tables say %v", f, want, got)
			}
		}
	})
}

// ownNode reports whether a flow is one between a pod and its own node, which the agent
// lets pass before the tables are asked.
func ownNode(w *world, f policy.Flow) bool {
	for _, ends := range [][2]netip.Addr{{f.Src, f.Dst}, {f.Dst, f.Src}} {
		pod := w.podAt(ends[0])
		for _, n := range w.nodes {
			if pod != nil && pod.Spec.NodeName == n.Name && addrOf(n) == ends[1] {
				return true
			}
		}
	}
	return false
}
