package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// apiObjects opens an API outside to pods of all namespaces that have a label: one global policy, one set.
const apiObjects = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: api-access}
spec:
  selector: api-access == 'true'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {ports: [53]}}
  - {action: Allow, destination: {selector: allowed-apis == 'true'}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: allowed-apis, labels: {allowed-apis: 'true'}}
spec: {allowedEgressDomains: [%s]}
`

// externalObjects name addresses and names side by side: in a set, and in rules of a policy.
const externalObjects = `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: application}
spec: {order: 400}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: external-objects, labels: {gns-external: 'true'}}
spec:
  nets: [198.51.100.8/32, 198.51.100.1/32]
  allowedEgressDomains: [tigera.example, kubernetes.example]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: application.by-set}
spec:
  tier: application
  selector: app == 'by-set'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {ports: [53]}}
  - {action: Allow, destination: {selector: gns-external == "true", namespaceSelector: global()}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: application.by-rule}
spec:
  tier: application
  selector: app == 'by-rule'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {ports: [53]}}
  - {action: Allow, destination: {nets: [198.51.100.8/32, 198.51.100.1/32], domains: [tigera.example, kubernetes.example]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: application.unused}
spec: {tier: application, order: 100, selector: app == "web-4", types: [Egress], egress: [{action: Allow}]}
`

// testArticles has what people write about such policies, with names in the place of addresses; testExamples has the rest.
func testArticles(t *testing.T, w *world) {
	t.Run("one API for all namespaces", func(t *testing.T) { testGlobalAPI(t, w) })
	t.Run("addresses and names", func(t *testing.T) { testExternalObjects(t, w) })
}

func testGlobalAPI(t *testing.T, w *world) {
	var apps []*stage.Pod
	var plain *stage.Pod
	for i := range 3 {
		s := stage.NewQuickSpace(t, w.c, nil)
		name := fmt.Sprintf("app-%d", i+1)
		s.CreatePod(stage.PodSpec{Name: name, Node: i%2 + 1, Labels: map[string]string{"app": name, "api-access": "true"}})
		if i == 0 {
			plain = s.NewPod(stage.PodSpec{Name: "plain", Node: 1})
		}
		apps = append(apps, s.WaitPod(name))
		if i == 0 {
			s.Cleanup("globalnetworkpolicies.projectcalico.org/api-access")
			s.Cleanup("globalnetworksets.projectcalico.org/allowed-apis")
		}
	}
	facts, more := w.at(t, "198.51.100.160").Addr, w.at(t, "198.51.100.161").Addr
	w.names.Set(t, "catfact.example", "60 A 198.51.100.160")
	w.names.Set(t, "dogfact.example", "60 A 198.51.100.161")
	must(t, w.c.Apply(t.Context(), fmt.Sprintf(apiObjects, "catfact.example")))
	for _, p := range apps {
		stage.AwaitDenied(t, p, more)
		eventually(t, "the API", func() error { return w.asks(t, p, "catfact.example", facts) })
		stage.AwaitDenied(t, p, more)
		if w.asks(t, p, "catfact.example", facts) != nil {
			t.Error("the API is not reached a second time")
		}
	}
	stage.AwaitAllowed(t, plain, more) // the policy is for pods with the label

	// One more API is a change of one set.
	must(t, w.c.Apply(t.Context(), fmt.Sprintf(apiObjects, "catfact.example, dogfact.example")))
	for _, p := range apps {
		eventually(t, "the other API", func() error { return w.asks(t, p, "dogfact.example", more) })
	}
	live := stage.Connect(t, apps[2], facts)
	must(t, w.c.Apply(t.Context(), fmt.Sprintf(apiObjects, "dogfact.example")))
	stage.AwaitDenied(t, apps[2], facts)
	live.AwaitEnd(t)
	stage.AwaitAllowed(t, apps[2], more)

	// How many endpoints a policy is in force on, as its status says.
	statusOf(t, w.c, "globalnetworkpolicies.projectcalico.org/api-access", "", "endpoints 3")
}

func testExternalObjects(t *testing.T, w *world) {
	s := stage.NewQuickSpace(t, w.c, nil)
	s.Cleanup("globalnetworksets.projectcalico.org/external-objects")
	s.Apply(externalObjects)
	for i, name := range []string{"by-set", "by-rule"} {
		s.CreatePod(stage.PodSpec{Name: name, Node: i + 1, Labels: map[string]string{"app": name}})
	}
	pods := []*stage.Pod{s.WaitPod("by-set"), s.WaitPod("by-rule")}
	net, named, other := w.at(t, "198.51.100.8").Addr, w.at(t, "198.51.100.170").Addr, w.at(t, "198.51.100.9").Addr
	w.names.Set(t, "tigera.example", "60 A 198.51.100.170")
	for _, p := range pods {
		stage.AwaitDenied(t, p, other)
		stage.AwaitAllowed(t, p, net)
		eventually(t, "a name", func() error { return w.asks(t, p, "tigera.example", named) })
		stage.AwaitDenied(t, p, other)
	}
	statusOf(t, w.c, "networkpolicies.projectcalico.org/application.by-set", s.Name, "endpoints 1")
	statusOf(t, w.c, "networkpolicies.projectcalico.org/application.unused", s.Name, "endpoints 0")
}

// asks has a pod ask the cluster's DNS for a name, and send one datagram to what must be its address.
func (w *world) asks(t *testing.T, from *stage.Pod, name string, want netip.AddrPort) error {
	addrs, err := stage.Resolve(t.Context(), from, "udp", w.dns, name)
	if err != nil {
		return err
	}
	if len(addrs) != 1 || addrs[0] != want.Addr() {
		return fmt.Errorf("%s has the addresses %v, expected %s", name, addrs, want.Addr())
	}
	return stage.Reaches(from, want)
}

// statusOf waits until a policy's status says so.
func statusOf(t *testing.T, c *cluster.Cluster, object, namespace, want string) {
	t.Helper()
	eventually(t, "the status of "+object, func() error {
		out, err := c.Kubectl(t.Context(), "get", object, "--namespace", namespace, "-o", "jsonpath=endpoints {.status.endpoints}")
		if err == nil && strings.TrimSpace(out) != want {
			err = errors.New("it says " + out + ", expected " + want)
		}
		return err
	})
}
