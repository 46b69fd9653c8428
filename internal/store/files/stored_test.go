package files_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
)

const storedPolicies = `apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {name: default.a, namespace: x}
---
apiVersion: crd.projectcalico.org/v1
kind: NetworkPolicy
metadata: {name: knp.default.b, namespace: x}
spec: {tier: default}
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkPolicyList
items:
- metadata: {name: security.c}
  spec: {tier: security}
- metadata: {name: default.d}
  spec: {tier: security}
- metadata: {name: security.e, annotations: {projectcalico.org/metadata: '{"name":"security.e"}'}}
  spec: {tier: security}
---
apiVersion: crd.projectcalico.org/v1
kind: Tier
metadata: {name: security}
spec: {order: 1}
---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkSet
metadata:
  name: default.f
  labels: {own: "1"}
  annotations:
    mine: "2"
    projectcalico.org/metadata: '{"uid":"0b7c","labels":{"own":"0","stored":"3"},"annotations":{"note":"4"}}'
`

// TestStored reads what Calico stores as what users know it by.
func TestStored(t *testing.T) {
	resources, findings := load(t, storedPolicies)
	diff(t, "findings", []string(nil), texts(findings, ""))
	diff(t, "objects", []string{"x/NetworkPolicy/a", "x/NetworkPolicy/b", "GlobalNetworkPolicy/c", "GlobalNetworkPolicy/default.d",
		"GlobalNetworkPolicy/security.e", "Tier/security", "GlobalNetworkSet/default.f"}, keysOf(resources))
	first := resources[0].Object.(*v3.NetworkPolicy)
	diff(t, "name", "a", first.Name)
	diff(t, "type", metav1.TypeMeta{APIVersion: "projectcalico.org/v3", Kind: "NetworkPolicy"}, first.TypeMeta)
	set := resources[len(resources)-1].Object.(*v3.GlobalNetworkSet)
	diff(t, "labels", map[string]string{"own": "1", "stored": "3"}, set.Labels)
	diff(t, "annotations", map[string]string{"mine": "2", "note": "4"}, set.Annotations)
}

// TestStoredTwice reads dumps that have objects in both groups.
func TestStoredTwice(t *testing.T) {
	object := func(apiVersion, kind, name string) string {
		return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n---\n"
	}
	const stored, original = "crd.projectcalico.org/v1", "projectcalico.org/v3"
	for _, tt := range []struct {
		name, text     string
		want, findings []string
	}{
		{"the stored form first", object(stored, "Tier", "t") + object(original, "Tier", "t"), []string{"Tier/t"},
			[]string{"note: 3: Tier t: metadata.name: is the stored form (crd.projectcalico.org/v1) of the Tier at <stdin>:5, which counts"}},
		{"under its full name", object(original, "GlobalNetworkPolicy", "default.p") + object(stored, "GlobalNetworkPolicy", "default.p"), []string{"GlobalNetworkPolicy/default.p"},
			[]string{"note: 7: GlobalNetworkPolicy p: metadata.name: is the stored form (crd.projectcalico.org/v1) of the GlobalNetworkPolicy at <stdin>:1, which counts"}},
		{"under its own name", object(original, "GlobalNetworkPolicy", "p") + object(stored, "GlobalNetworkPolicy", "default.p"), []string{"GlobalNetworkPolicy/p"},
			[]string{"note: 7: GlobalNetworkPolicy p: metadata.name: is the stored form (crd.projectcalico.org/v1) of the GlobalNetworkPolicy at <stdin>:1, which counts"}},
		{"stored twice", object(stored, "Tier", "t") + object(stored, "Tier", "t"), []string{"Tier/t"},
			[]string{"7: Tier t: metadata.name: is already the name of the Tier at <stdin>:1: remove one of them, or rename it"}},
		{"a namesake of Kubernetes", object("networking.k8s.io/v1", "NetworkPolicy", "p") + object(stored, "NetworkPolicy", "default.p"),
			[]string{"default/KubernetesNetworkPolicy/p", "default/NetworkPolicy/p"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, findings := load(t, tt.text)
			diff(t, "objects", tt.want, keysOf(resources))
			diff(t, "findings", tt.findings, texts(findings, ""))
		})
	}
}

func TestStoredMetadataGarbled(t *testing.T) {
	_, findings := load(t, "apiVersion: crd.projectcalico.org/v1\nkind: Tier\nmetadata:\n  name: t\n  annotations:\n    projectcalico.org/metadata: '{'\n")
	diff(t, "findings", []string{"6: Tier t: metadata.annotations.projectcalico.org/metadata: is not the metadata of an object, as JSON: unexpected end of JSON input"}, texts(findings, ""))
}

// TestUnknownFields: what newer clusters have beside is no mistake in what is no policy.
func TestUnknownFields(t *testing.T) {
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", lables: {a: b}}\nspec: {containers: [{name: a, novel: 1}, {name: b, novel: 2}]}\n---\n"
	}
	resources, findings := load(t, pod("a")+pod("b")+"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {trafficShape: x}\n")
	diff(t, "objects", []string{"default/Pod/a", "default/Pod/b", "default/Service/s"}, keysOf(resources))
	diff(t, "findings", []string{
		`note: 3: Pod default/a: metadata.lables: unknown field, passed over; did you mean "labels"? (and in 1 more)`,
		`note: 4: Pod default/a: spec.containers[0].novel: unknown field, passed over (and in 1 more)`,
		`note: 14: Service default/s: spec.trafficShape: unknown field, passed over`,
	}, texts(findings, ""))
}
