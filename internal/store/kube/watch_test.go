package kube

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func TestFirstStateAndChanges(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(tiers, tier("security", "1"))
	api.put(global, globalPolicy("security", "deny", "1"))
	api.put(kubeNP, kubePolicy("web", "db", "1"))
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n1", "1")})
	api.put(accounts, &corev1.ServiceAccount{ObjectMeta: meta("web", "default", "1")})
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.has("Namespace/web=1", "Node/n1=1", "web/ServiceAccount/default=1", "Tier/security=1", "GlobalNetworkPolicy/deny=1",
		"web/KubernetesNetworkPolicy/db=1", "web/Pod/a=1")
	r.says()

	api.put(pods, pod("web", "b", "1"))
	api.put(pods, pod("web", "a", "2"))
	api.remove(kubeNP, "web", "db")
	api.put(global, globalPolicy("security", "deny", "2"))
	api.remove(nodes, "", "n1")
	r.has("Namespace/web=1", "web/ServiceAccount/default=1", "Tier/security=1", "GlobalNetworkPolicy/deny=2", "web/Pod/a=2", "web/Pod/b=1")
}

// TestFirstStateOfNothing checks that a cluster without anything has a first state.
func TestFirstStateOfNothing(t *testing.T) {
	api := newFakeAPI(t)
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.has()
}

// TestOrder checks that what is referred to comes before what refers to it, and
// that pods come in parts, with the end of the state in the last one.
func TestOrder(t *testing.T) {
	api := newFakeAPI(t)
	const many = 3 * partSize
	api.change(func() {
		for i := range many {
			api.putLocked(pods, pod("web", "p"+string(rune('a'+i%26))+itoa(i), "1"))
		}
	})
	api.put(global, globalPolicy("security", "deny", "1"))
	api.put(tiers, tier("security", "1"))
	api.put(namespaces, namespace("web", "1"))
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.objects) != many+3 {
		t.Errorf("%d objects, want %d", len(r.objects), many+3)
	}
	rank := map[string]int{"Namespace": 1, "Tier": 2, "GlobalNetworkPolicy": 3, "Pod": 4}
	last := 0
	for i, b := range r.batches {
		if want := i < len(r.batches)-1; b.More != want {
			t.Errorf("batch %d of %d: More is %v", i, len(r.batches), b.More)
		}
		if len(b.Updated) > partSize {
			t.Errorf("a batch of %d", len(b.Updated))
		}
		for _, u := range b.Updated {
			if rank[u.Key.Kind] < last {
				t.Fatalf("%s comes too late", u.Key)
			}
			last = rank[u.Key.Kind]
		}
	}
}

// TestNoNews checks that a new version of an object that has nothing new in it
// for us is not delivered.
func TestNoNews(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n1", "1")})
	api.put(globalSets, map[string]any{"metadata": map[string]any{"name": "s"}, "spec": map[string]any{}})
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	p := pod("web", "a", "1")
	p.Annotations = map[string]string{"a": "b"}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
	api.put(pods, p)
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n1", "1"), Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: "Ready"}}}})
	api.put(globalSets, map[string]any{
		"metadata": map[string]any{"name": "s", "managedFields": []any{map[string]any{"manager": "x"}}, "annotations": map[string]any{"a": "b"}},
		"spec":     map[string]any{}, "status": map[string]any{"observedGeneration": 4},
	})
	// What comes on the same streams after them has come with nothing before it.
	api.put(pods, pod("web", "b", "1"))
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n2", "1")})
	api.put(globalSets, map[string]any{"metadata": map[string]any{"name": "t"}, "spec": map[string]any{}})
	r.has("Namespace/web=1", "web/Pod/a=1", "web/Pod/b=1", "Node/n1=1", "Node/n2=1", "GlobalNetworkSet/s", "GlobalNetworkSet/t")
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := 0
	for _, b := range r.batches {
		changes += len(b.Updated)
	}
	if changes != 7 {
		t.Errorf("%d updates, want 7", changes)
	}
}

// TestHold checks that a policy is not seen before a tier that comes just after
// it on another stream, nor a pod before its namespace, and that both are seen
// in the end when what they refer to does not come.
func TestHold(t *testing.T) {
	api := newFakeAPI(t)
	times := quick()
	times.dependency = patience
	r := watchStore(t, api.config(), Options{}, times)
	r.first()
	api.put(global, globalPolicy("new", "p", "1"))
	api.put(pods, pod("late", "a", "1"))
	api.put(global, globalPolicy("default", "q", "1")) // which is not held
	r.has("GlobalNetworkPolicy/q=1")
	api.put(tiers, tier("new", "1"))
	r.has("GlobalNetworkPolicy/q=1", "Tier/new=1", "GlobalNetworkPolicy/p=1")
	api.put(namespaces, namespace("late", "1"))
	r.has("GlobalNetworkPolicy/q=1", "Tier/new=1", "GlobalNetworkPolicy/p=1", "Namespace/late=1", "late/Pod/a=1")
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]int{}
	for i, b := range r.batches {
		for _, u := range b.Updated {
			seen[u.Key.Name] = i
		}
	}
	if seen["p"] < seen["new"] || seen["a"] < seen["late"] {
		t.Errorf("in the order %v", seen)
	}
}

// TestHoldHosts checks that a host endpoint is not seen before a profile that it names, or the
// namespace whose profile that is, nor held for one that is there without an object.
func TestHoldHosts(t *testing.T) {
	api := newFakeAPI(t)
	times := quick()
	times.dependency = patience
	r := watchStore(t, api.config(), Options{}, times)
	r.first()
	host := func(name, profile string) *v3.HostEndpoint {
		return &v3.HostEndpoint{ObjectMeta: meta("", name, "1"), Spec: v3.HostEndpointSpec{Node: "n", InterfaceName: "*", Profiles: []string{profile}}}
	}
	hosts, profiles := kindNamed("hostendpoints.projectcalico.org"), kindNamed("profiles.projectcalico.org")
	api.put(hosts, host("held", "services"))
	api.put(hosts, host("open", policy.DefaultAllowProfile))
	r.has("HostEndpoint/open=1")
	api.put(profiles, &v3.Profile{ObjectMeta: meta("", "services", "1")})
	r.has("HostEndpoint/open=1", "Profile/services=1", "HostEndpoint/held=1")
	api.put(hosts, host("of-namespace", policy.NamespaceProfile("late")))
	api.put(hosts, host("open2", policy.DefaultAllowProfile))
	r.has("HostEndpoint/open=1", "Profile/services=1", "HostEndpoint/held=1", "HostEndpoint/open2=1")
	api.put(namespaces, namespace("late", "1"))
	r.has("HostEndpoint/open=1", "Profile/services=1", "HostEndpoint/held=1", "HostEndpoint/open2=1", "Namespace/late=1", "HostEndpoint/of-namespace=1")
}

func TestHoldEnds(t *testing.T) {
	api := newFakeAPI(t)
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	api.put(global, globalPolicy("none", "p", "1"))
	api.put(pods, pod("none", "a", "1"))
	r.has("GlobalNetworkPolicy/p=1", "none/Pod/a=1")
}

// TestDeliverEnds checks that an error of the reader ends Watch.
func TestDeliverEnds(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	s := must(newSource(api.config(), Options{}, quick()))
	enough := errors.New("enough")
	if err := s.Watch(context.Background(), func(store.Batch) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// TestServices checks that services are read if asked for.
func TestServices(t *testing.T) {
	api := newFakeAPI(t)
	api.put(kindNamed("services"), &corev1.Service{ObjectMeta: meta("web", "s", "1")})
	r := watchStore(t, api.config(), Options{Services: true}, quick())
	r.first()
	r.has("web/Service/s=1")
	without := watchStore(t, api.config(), Options{}, quick())
	without.first()
	without.has()
}

// TestPolicyOnly checks that nothing else is read, not even asked for.
func TestPolicyOnly(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(tiers, tier("t", "1"))
	api.put(kubeNP, kubePolicy("web", "p", "1"))
	api.forbid("pods", "namespaces", "nodes", "serviceaccounts")
	r := watchStore(t, api.config(), Options{PolicyOnly: true}, quick())
	r.first()
	r.has("Tier/t=1", "web/KubernetesNetworkPolicy/p=1")
	api.put(kubeNP, kubePolicy("new", "p", "1"))
	r.has("Tier/t=1", "web/KubernetesNetworkPolicy/p=1", "new/KubernetesNetworkPolicy/p=1")
}

// TestOfNode checks what an agent asks for.
func TestOfNode(t *testing.T) {
	api := newFakeAPI(t)
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n1", "1")})
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n2", "1")})
	api.put(kindNamed("stagednetworkpolicies.projectcalico.org"), map[string]any{"metadata": map[string]any{"namespace": "web", "name": "p"}})
	opts := Options{Node: "n1", Enforced: true}
	r := watchStore(t, api.config(), opts, quick())
	r.first()
	r.has("Node/n1=1")
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n2", "2")})
	api.put(nodes, &corev1.Node{ObjectMeta: meta("", "n1", "2")})
	r.has("Node/n1=2")
	if _, keys, err := list(t, api, opts); err != nil || len(keys) != 1 {
		t.Errorf("listed %v: %v", keys, err)
	}
}

func TestWatchOfNamespace(t *testing.T) {
	s := must(newSource(newFakeAPI(t).config(), Options{Namespace: "web"}, quick()))
	if err := s.Watch(context.Background(), nil); err == nil {
		t.Error("a part of a cluster is watched")
	}
}
