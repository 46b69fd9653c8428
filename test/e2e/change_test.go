package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/tierwall/tierwall/test/e2e/stage"
)

// A namespace gets a label that a policy asks for, and loses it again.
func TestNamespaceRelabelled(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	guests := stage.NewSpace(t, c, nil)
	guest := guests.NewPod(stage.PodSpec{Name: "guest", Node: 2})
	s.Apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: guests}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {invited: "yes"}}}]
    ports: [{protocol: UDP, port: 1001}]
`)
	allowed, end := s.play(t)
	for range 3 {
		stage.AwaitDenied(t, guest, s.open.Addr)
		guests.Relabel(map[string]string{"invited": "yes"})
		stage.AwaitAllowed(t, guest, s.open.Addr)
		guests.Relabel(map[string]string{"invited": ""})
	}
	stage.AwaitDenied(t, guest, s.open.Addr)
	stage.Advance(t, allowed, 20)
	end()
}

// A set of nets changes a thousand times. The last one counts, and nobody else notices.
func TestNetworkSetChanges(t *testing.T) {
	const changes = 1000
	c := withTierwall(t)
	s := newTheatre(t, c)
	s.Cleanup("globalnetworksets.projectcalico.org/%NS%")
	s.Apply(`
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: "%NS%", labels: {set: "%NS%"}}
spec: {nets: []}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: default.friends}
spec:
  tier: default
  selector: app == 'server'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: UDP
    source: {selector: "set == '%NS%'", namespaceSelector: global()}
    destination: {ports: [1001]}
`)
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	sets := client.Resource(calico("globalnetworksets"))
	outside := c.ControlPlane() // to policy, an address like any other
	friend := outside.IP().String() + "/32"
	stage.AwaitDenied(t, outside, s.open.Addr)
	allowed, end := s.play(t)
	for last, want := range map[bool]func(testing.TB, stage.Place){
		true:  func(t testing.TB, from stage.Place) { stage.AwaitAllowed(t, from, s.open.Addr) },
		false: func(t testing.TB, from stage.Place) { stage.AwaitDenied(t, from, s.open.Addr) },
	} {
		for i := range changes / 2 {
			nets := []string{fmt.Sprintf("198.51.%d.0/24", i%256), fmt.Sprintf("203.0.113.%d/32", i%256)}
			if i%2 == 0 != last { // the last i is odd
				nets = append(nets, friend)
			}
			patchNets(t, sets, s.Name, nets)
		}
		want(t, outside)
	}
	stage.Advance(t, allowed, 20)
	end()
}

func patchNets(t *testing.T, sets dynamic.ResourceInterface, name string, nets []string) *unstructured.Unstructured {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"nets": nets}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stage.Patience)
	defer cancel()
	set, err := sets.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
