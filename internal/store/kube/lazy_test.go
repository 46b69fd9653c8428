package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

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

// policiesWithDomains have names of DNS, each in another place.
func policiesWithDomains() map[string]runtime.Object {
	domain := []string{"www.example.com"}
	rules := []v3.Rule{{Action: v3.Allow}, {Action: v3.Allow, Destination: v3.EntityRule{Domains: domain}}}
	p := globalPolicy("", "p", "1")
	p.Spec.Egress = rules
	staged := &v3.StagedGlobalNetworkPolicy{}
	staged.Spec.Egress = rules
	return map[string]runtime.Object{
		"policy": p, "policy of a namespace": &v3.NetworkPolicy{Spec: v3.NetworkPolicySpec{Egress: rules}}, "staged": staged,
		"set":                &v3.GlobalNetworkSet{Spec: v3.GlobalNetworkSetSpec{AllowedEgressDomains: domain}},
		"set of a namespace": &v3.NetworkSet{Spec: v3.NetworkSetSpec{AllowedEgressDomains: domain}},
		"cluster policy": &v1alpha2.ClusterNetworkPolicy{Spec: v1alpha2.ClusterNetworkPolicySpec{Egress: []v1alpha2.ClusterNetworkPolicyEgressRule{{
			To: []v1alpha2.ClusterNetworkPolicyEgressPeer{{}, {DomainNames: []v1alpha2.DomainName{"www.example.com"}}},
		}}}},
	}
}

// TestServicesForDomains checks that services, and they alone, are read from when
// something names a domain: what their addresses are decides what is learned.
func TestServicesForDomains(t *testing.T) {
	for what, o := range policiesWithDomains() {
		if !namesDomains(o) {
			t.Errorf("a %s with a domain has none", what)
		}
	}
	if namesDomains(globalPolicy("", "p", "1")) || namesDomains(&v3.NetworkSet{}) || namesDomains(&v1alpha2.ClusterNetworkPolicy{}) {
		t.Error("what has no domain has one")
	}
	api := serviceAPI(t)
	api.put(serviceKind, &corev1.Service{ObjectMeta: meta("data", "kube-dns", "1")})
	r := watchStore(t, api.config(), Options{Enforced: true, Service: "kube-dns"}, quick())
	r.first()
	r.has("Namespace/data=1", "data/Service/kube-dns=1")
	api.put(global, policiesWithDomains()["policy"].(*v3.GlobalNetworkPolicy))
	r.has("GlobalNetworkPolicy/p=1", "Namespace/data=1", "data/Service/db=1", "data/Service/kube-dns=1")
	for _, tt := range []struct {
		opts Options
		want int
	}{
		{Options{}, 4}, {Options{Enforced: true, Service: "kube-dns"}, 4}, {Options{Services: true}, 5}, {Options{PolicyOnly: true}, 1},
	} {
		if got := listed(t, api, tt.opts); len(got) != tt.want {
			t.Errorf("%+v: %v, want %d", tt.opts, got, tt.want)
		}
	}
	api.forbid("services")
	if got := listed(t, api, Options{}); len(got) != 2 {
		t.Errorf("without services: %v", got)
	}
}

// TestTrimmedService: of a service's load balancer its addresses are left, and of others
// nothing of what they have.
func TestTrimmedService(t *testing.T) {
	for _, tt := range []struct {
		of   corev1.ServiceType
		want []corev1.LoadBalancerIngress
	}{
		{corev1.ServiceTypeLoadBalancer, []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}},
		{corev1.ServiceTypeClusterIP, nil},
	} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: tt.of, ExternalIPs: []string{"192.0.2.9"}}}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example"}, {IP: "192.0.2.1", Ports: []corev1.PortStatus{{Port: 1}}}}
		trimService(s)
		if d := cmp.Diff(tt.want, s.Status.LoadBalancer.Ingress); d != "" || len(s.Spec.ExternalIPs) > 0 {
			t.Errorf("%s (-want +got):\n%s", tt.of, d)
		}
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
