package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
)

var (
	serviceKind = kindNamed("services")
	sliceKind   = kindNamed("endpointslices.discovery.k8s.io")
)

// serviceAPI is a server with a service.
func serviceAPI(t *testing.T) *fakeAPI {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("data", "1"))
	api.put(serviceKind, &corev1.Service{ObjectMeta: meta("data", "db", "1")})
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("data", "db-x", "1"), AddressType: discoveryv1.AddressTypeIPv4}
	slice.Labels[discoveryv1.LabelServiceName] = "db"
	api.put(sliceKind, slice)
	return api
}

func policyWithService(name string) *v3.GlobalNetworkPolicy {
	p := globalPolicy("", name, "1")
	p.Spec.Egress = []v3.Rule{{Action: v3.Deny, Destination: v3.EntityRule{Services: &v3.ServiceMatch{Name: "db", Namespace: "data"}}}}
	return p
}

// TestServicesOnDemand checks that services are read from when a policy refers to
// one, and that the policy waits for them.
func TestServicesOnDemand(t *testing.T) {
	api := serviceAPI(t)
	api.forbid("services", "endpointslices.discovery.k8s.io")
	r := watchStore(t, api.config(), Options{Enforced: true}, quick())
	r.first()
	r.has("Namespace/data=1")
	r.says()
	api.put(global, policyWithService("p"))
	api.put(global, globalPolicy("", "q", "1"))
	r.has("GlobalNetworkPolicy/q=1", "Namespace/data=1")
	r.says("services cannot be read", "endpointslices.discovery.k8s.io cannot be read")
	api.forbid()
	r.has("GlobalNetworkPolicy/p=1", "GlobalNetworkPolicy/q=1", "Namespace/data=1", "data/EndpointSlice/db-x=1", "data/Service/db=1")
	r.says()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, b := range r.batches {
		for _, u := range b.Updated {
			seen[u.Key.Kind] = true
			if u.Key.Name == "p" && !(seen["Service"] && seen["EndpointSlice"]) {
				t.Error("the policy came before the endpoints of its service")
			}
		}
	}
}

// TestServicesInFirstState checks that the first state is not complete without
// the services that a policy refers to.
func TestServicesInFirstState(t *testing.T) {
	for range 20 {
		api := serviceAPI(t)
		api.put(global, policyWithService("p"))
		r := watchStore(t, api.config(), Options{Enforced: true}, quick())
		r.first()
		r.mu.Lock()
		got := r.contents()
		r.mu.Unlock()
		if len(got) != 4 {
			t.Fatalf("the first state is %q", got)
		}
	}
}

// TestOneServiceInAnyCase checks that a service of some name is followed, and all as
// soon as a policy refers to one.
func TestOneServiceInAnyCase(t *testing.T) {
	api := serviceAPI(t)
	api.put(serviceKind, &corev1.Service{ObjectMeta: meta("data", "kube-dns", "1")})
	r := watchStore(t, api.config(), Options{Enforced: true, Service: "kube-dns"}, quick())
	r.first()
	r.has("Namespace/data=1", "data/Service/kube-dns=1")
	api.put(global, policyWithService("p"))
	r.has("GlobalNetworkPolicy/p=1", "Namespace/data=1", "data/EndpointSlice/db-x=1", "data/Service/db=1", "data/Service/kube-dns=1")
	api.remove(serviceKind, "data", "kube-dns")
	r.has("GlobalNetworkPolicy/p=1", "Namespace/data=1", "data/EndpointSlice/db-x=1", "data/Service/db=1")
}

// TestServicesOfAList checks that a list has services if a policy refers to one.
func TestServicesOfAList(t *testing.T) {
	api := serviceAPI(t)
	for _, tt := range []struct {
		opts Options
		want int
	}{{Options{}, 1}, {Options{Services: true}, 3}} {
		if got := len(listed(t, api, tt.opts)); got != tt.want {
			t.Errorf("%+v: %d objects, want %d", tt.opts, got, tt.want)
		}
	}
	api.put(global, policyWithService("p"))
	if got := listed(t, api, Options{}); len(got) != 4 {
		t.Errorf("with the policy: %v", got)
	}
	if got := listed(t, api, Options{PolicyOnly: true}); len(got) != 2 {
		t.Errorf("policy only: %v", got)
	}
}

func listed(t *testing.T, api *fakeAPI, opts Options) []string {
	t.Helper()
	s, err := newSource(api.config(), opts, quick())
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range l.Resources {
		out = append(out, r.Key.String())
	}
	return out
}
