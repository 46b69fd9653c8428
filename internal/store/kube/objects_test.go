package kube

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// TestTrim checks what is left of objects.
func TestTrim(t *testing.T) {
	yes, no := true, false
	always := corev1.ContainerRestartPolicyAlways
	when := metav1.Unix(1_700_000_000, 0)
	full := metav1.ObjectMeta{
		Name: "a", Namespace: "web", UID: "u", ResourceVersion: "7", Generation: 3, Labels: map[string]string{"app": "x"},
		Annotations: map[string]string{"k": "v"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}}, CreationTimestamp: when,
		DeletionTimestamp: &when, Finalizers: []string{"f"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Other", Name: "o", Controller: &no}, {APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "z", Controller: &yes}},
	}
	small := metav1.ObjectMeta{Name: "a", Namespace: "web", UID: "u", Labels: map[string]string{"app": "x"}}
	podMeta := small
	podMeta.CreationTimestamp, podMeta.DeletionTimestamp = when, &when
	podMeta.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", Controller: &yes}}
	typed := func(version, kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: version, Kind: kind} }
	for _, tt := range []struct {
		kind *kind
		full protoObject
		want runtime.Object
	}{
		{namespaces, &corev1.Namespace{ObjectMeta: full, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"x"}}, Status: corev1.NamespaceStatus{Phase: "Active"}},
			&corev1.Namespace{TypeMeta: typed("v1", "Namespace"), ObjectMeta: small}},
		{accounts, &corev1.ServiceAccount{ObjectMeta: full, Secrets: []corev1.ObjectReference{{Name: "s"}}, AutomountServiceAccountToken: &yes},
			&corev1.ServiceAccount{TypeMeta: typed("v1", "ServiceAccount"), ObjectMeta: small}},
		{nodes, &corev1.Node{ObjectMeta: full, Spec: corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24"}, ProviderID: "x"}, Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}, Images: []corev1.ContainerImage{{SizeBytes: 1}}}},
			&corev1.Node{TypeMeta: typed("v1", "Node"), ObjectMeta: small, Spec: corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24"}}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}}}},
		{pods, &corev1.Pod{ObjectMeta: full, Spec: corev1.PodSpec{
			NodeName: "n1", HostNetwork: true, ServiceAccountName: "sa", DeprecatedServiceAccount: "sa", SchedulerName: "s",
			InitContainers: []corev1.Container{{Name: "i", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "p", ContainerPort: 1, HostPort: 2}}}},
			Containers:     []corev1.Container{{Name: "c", Image: "x", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}},
		}, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, HostIP: "192.0.2.1", HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
			StartTime: &when, Conditions: []corev1.PodCondition{{Type: "Ready"}}}},
			&corev1.Pod{TypeMeta: typed("v1", "Pod"), ObjectMeta: podMeta, Spec: corev1.PodSpec{
				NodeName: "n1", HostNetwork: true, ServiceAccountName: "sa", DeprecatedServiceAccount: "sa",
				InitContainers: []corev1.Container{{RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "p", ContainerPort: 1}}}},
			}, Status: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, HostIP: "192.0.2.1", HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}}, StartTime: &when}}},
		{pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{"k": "v", store.AllowedSourcesAnnotation: "[]"}}},
			&corev1.Pod{TypeMeta: typed("v1", "Pod"), ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: map[string]string{store.AllowedSourcesAnnotation: "[]"}}}},
		{pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.PodStatus{Phase: corev1.PodFailed}},
			&corev1.Pod{TypeMeta: typed("v1", "Pod"), ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.PodStatus{Phase: corev1.PodFailed}}},
		{kindNamed("services"), &corev1.Service{ObjectMeta: full,
			Spec:   corev1.ServiceSpec{ClusterIP: "10.96.0.1", Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Name: "x", Port: 80, TargetPort: intstr.FromString("y"), NodePort: 30000}}},
			Status: corev1.ServiceStatus{Conditions: []metav1.Condition{{Type: "x"}}}},
			&corev1.Service{TypeMeta: typed("v1", "Service"), ObjectMeta: small,
				Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Selector: map[string]string{"a": "b"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("y")}}}}},
		{kindNamed("endpointslices.discovery.k8s.io"), &discoveryv1.EndpointSlice{ObjectMeta: full, AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}, NodeName: new("n")}}, Ports: []discoveryv1.EndpointPort{{Name: new("x"), Port: new(int32(80)), Protocol: new(corev1.ProtocolUDP)}}},
			&discoveryv1.EndpointSlice{TypeMeta: typed("discovery.k8s.io/v1", "EndpointSlice"), ObjectMeta: small, AddressType: discoveryv1.AddressTypeIPv4,
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}, Ports: []discoveryv1.EndpointPort{{Port: new(int32(80)), Protocol: new(corev1.ProtocolUDP)}}}},
	} {
		raw := make([]byte, tt.full.Size())
		must(tt.full.MarshalToSizedBuffer(raw))
		d := newDecoder(tt.kind)
		var digests []stamp
		for enc, data := range map[encoding][]byte{protobuf: raw, enveloped: envelope(raw, "v1", tt.kind.Name), jsonText: must(json.Marshal(tt.full))} {
			o, err := d.decode(data, enc)
			if err != nil {
				t.Fatalf("%s: %v", tt.kind.Name, err)
			}
			if got := o.build().object; !cmp.Equal(got, any(tt.want)) {
				t.Errorf("%s: %s", tt.kind.Name, cmp.Diff(any(tt.want), got))
			}
			if o.resourceVersion != tt.full.GetResourceVersion() {
				t.Errorf("%s: resource version %q", tt.kind.Name, o.resourceVersion)
			}
			digests = append(digests, o.digest)
		}
		if digests[0] != digests[1] || digests[0] != digests[2] {
			t.Errorf("%s: digests %x depend on the form", tt.kind.Name, digests)
		}
	}
}

// TestStrict checks that what is not understood is said, with object and field,
// and what servers add is passed over.
func TestStrict(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind *kind
		text string
		want []string
	}{
		{"all that servers add", global, `{"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkPolicy","metadata":{"name":"p","annotations":{"a":"b"},
			"creationTimestamp":"2026-11-21T00:00:00Z","generation":2,"managedFields":[{"manager":"x"}],"resourceVersion":"9","uid":"u","selfLink":"/x","newInSomeVersion":1},
			"spec":{"selector":"all()"},"status":{"conditions":[],"whatever":1}}`, nil},
		{"a field that is unknown", global, `{"metadata":{"name":"p"},"spec":{"selectr":"all()","tier":5}}`, []string{
			`GlobalNetworkPolicy p: spec.selectr: unknown field; did you mean "selector"?`,
			`GlobalNetworkPolicy p: spec.tier: is the number 5: expected a text; write it in quotes: "5"`,
		}},
		{"a field beside spec", tiers, `{"metadata":{"name":"t"},"spec":{},"rules":[]}`, []string{
			`Tier t: rules: unknown field: expected apiVersion, kind, metadata, spec, status`,
		}},
		{"a wrong type", kubeNP, `{"metadata":{"name":"p","namespace":"web"},"spec":"all"}`, []string{
			`NetworkPolicy web/p: spec: is the text "all": expected fields (name: value)`,
		}},
		{"a field of a newer server", kubeNP, `{"metadata":{"name":"p","namespace":"web"},"spec":{"podSelector":{},"action":"Deny"}}`, []string{
			`NetworkPolicy web/p: spec.action: unknown field: expected egress, ingress, podSelector, policyTypes`,
		}},
		{"labels that are none", tiers, `{"metadata":{"name":"t","labels":[1]}}`, []string{
			`Tier t: cannot be read: metadata: json: cannot unmarshal array into Go struct field metaOf.labels of type map[string]string`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := newDecoder(tt.kind).decode([]byte(tt.text), jsonText)
			if err != nil {
				t.Fatal(err)
			}
			b := o.build()
			var got []string
			for _, f := range b.findings {
				got = append(got, f.Error())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			if b.valid() != (tt.want == nil) {
				t.Error("valid is wrong")
			}
			if tt.want == nil {
				want := &v3.GlobalNetworkPolicy{
					TypeMeta:   metav1.TypeMeta{APIVersion: v3.GroupVersion, Kind: "GlobalNetworkPolicy"},
					ObjectMeta: metav1.ObjectMeta{Name: "p", UID: types.UID("u"), Generation: 2}, Spec: v3.GlobalNetworkPolicySpec{Selector: "all()"},
				}
				if d := cmp.Diff(any(want), b.object); d != "" {
					t.Errorf("object (-want +got):\n%s", d)
				}
			}
		})
	}
}

// TestInvalid checks that an object that becomes invalid keeps its last valid
// version and a finding, until it is valid again or gone.
func TestInvalid(t *testing.T) {
	api := newFakeAPI(t)
	bad := func(name string) map[string]any {
		return map[string]any{"metadata": map[string]any{"name": name, "labels": map[string]any{"v": "bad"}}, "spec": map[string]any{"tierr": "x"}}
	}
	api.put(global, bad("never"))
	api.put(global, globalPolicy("default", "p", "1"))
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.has("GlobalNetworkPolicy/p=1")
	r.says("GlobalNetworkPolicy never: spec.tierr: unknown field")
	if key := r.findings[0].Key; key != (policy.Key{Kind: "GlobalNetworkPolicy", Name: "never"}) {
		t.Errorf("the finding is about %v", key)
	}
	api.put(global, bad("p"))
	r.says("GlobalNetworkPolicy never", "GlobalNetworkPolicy p: spec.tierr")
	r.has("GlobalNetworkPolicy/p=1")
	api.put(global, globalPolicy("default", "p", "1")) // as before
	r.says("GlobalNetworkPolicy never")
	r.has("GlobalNetworkPolicy/p=1")
	api.put(global, bad("p"))
	r.says("GlobalNetworkPolicy never", "GlobalNetworkPolicy p")
	api.cut()
	api.expire() // all is read anew
	api.put(global, globalPolicy("default", "q", "1"))
	r.has("GlobalNetworkPolicy/p=1", "GlobalNetworkPolicy/q=1")
	r.says("GlobalNetworkPolicy never", "GlobalNetworkPolicy p")
	api.remove(global, "", "p")
	api.remove(global, "", "never") // which must not be delivered as deleted
	r.has("GlobalNetworkPolicy/q=1")
	r.says()
}

var _ store.Source = (*source)(nil)
