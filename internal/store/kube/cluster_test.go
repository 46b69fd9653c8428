package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

var (
	nodeKind    = kindNamed("nodes")
	clusterKind = kindNamed("clusternetworkpolicies.policy.networking.k8s.io")
)

// clusterPolicyOf is a ClusterNetworkPolicy as JSON, with these egress rules.
func clusterPolicyOf(name, egress string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"metadata": {"name": %q, "labels": {"v": "1"}},
		"spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [%s]}}`, name, egress))
}

// TestClusterPolicies checks policies of a group that is installed while we watch.
func TestClusterPolicies(t *testing.T) {
	api := newFakeAPI(t)
	api.put(clusterKind, clusterPolicyOf("p", `{"action": "Deny", "to": [{"namespaces": {}}]}`))
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.has()
	api.change(func() { api.cluster = map[string][]string{"v1alpha2": {"clusternetworkpolicies"}} })
	r.has("ClusterNetworkPolicy/p=1")
	r.says()
	api.change(func() { api.cluster = nil; api.epoch++ })
	r.has()
}

// TestUnknownPeer checks that a policy is delivered whose peer is not known here, with
// what is wrong, and no other one that is not understood.
func TestUnknownPeer(t *testing.T) {
	api := newFakeAPI(t)
	api.cluster = map[string][]string{"v1alpha2": {"clusternetworkpolicies"}}
	api.put(clusterKind, clusterPolicyOf("closed", `{"action": "Deny", "to": [{"clusters": {}}, {"namespaces": {}}]}`))
	api.put(clusterKind, clusterPolicyOf("unknown", `{"action": "Deny", "until": "noon", "to": [{"namespaces": {}}]}`))
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.has("ClusterNetworkPolicy/closed=1")
	r.says("spec.egress[0].to[0].clusters: unknown field", "spec.egress[0].until: unknown field")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.findings {
		if f.FailClosed != (f.Key.Name == "closed") {
			t.Errorf("%v: closed is %v", f, f.FailClosed)
		}
	}
	p := r.objects[policy.Key{Kind: policy.KindClusterNetworkPolicy, Name: "closed"}].Object.(*v1alpha2.ClusterNetworkPolicy)
	want := []v1alpha2.ClusterNetworkPolicyEgressPeer{{}, {Namespaces: &metav1.LabelSelector{}}}
	if diff := cmp.Diff(want, p.Spec.Egress[0].To); diff != "" {
		t.Error(diff)
	}
}

// TestNodesAsPeers checks that all nodes are followed as soon as a policy selects some,
// and that the first state waits for them.
func TestNodesAsPeers(t *testing.T) {
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: meta("", name, "1")} }
	byNodes := clusterPolicyOf("p", `{"action": "Deny", "to": [{"nodes": {}}]}`)
	begin := func(t *testing.T) *fakeAPI {
		api := newFakeAPI(t)
		api.cluster = map[string][]string{"v1alpha2": {"clusternetworkpolicies"}}
		for _, name := range []string{"n1", "n2", "n3"} {
			api.put(nodeKind, node(name))
		}
		return api
	}
	t.Run("later", func(t *testing.T) {
		api := begin(t)
		r := watchStore(t, api.config(), Options{Node: "n2"}, quick())
		r.first()
		r.has("Node/n2=1")
		api.put(clusterKind, byNodes)
		r.has("ClusterNetworkPolicy/p=1", "Node/n1=1", "Node/n2=1", "Node/n3=1")
		api.put(nodeKind, node("n4"))
		r.has("ClusterNetworkPolicy/p=1", "Node/n1=1", "Node/n2=1", "Node/n3=1", "Node/n4=1")
	})
	t.Run("first", func(t *testing.T) {
		for range 20 {
			api := begin(t)
			api.put(clusterKind, byNodes)
			r := watchStore(t, api.config(), Options{Node: "n2"}, quick())
			r.first()
			r.mu.Lock()
			first := r.batches[:slices.IndexFunc(r.batches, func(b store.Batch) bool { return !b.More })+1]
			n := 0
			for _, b := range first {
				for _, u := range b.Updated {
					if u.Key.Kind == policy.KindNode {
						n++
					}
				}
			}
			r.mu.Unlock()
			if n != 3 {
				t.Fatalf("%d nodes in the first state, want 3", n)
			}
		}
	})
}
