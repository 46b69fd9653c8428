package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// TestClusterNetworkPolicy installs the definitions while everything runs, takes a
// policy through what becomes of it, writes one that this version does not understand,
// and removes the definitions.
func TestClusterNetworkPolicy(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	client, stranger := s.client, s.strangers[0]

	removed := t.Run("installed", func(t *testing.T) {
		// A later version of the API, whose peers can be something else.
		definition := strings.Replace(moduleFiles(t, "sigs.k8s.io/network-policy-api", "config/crd/experimental", "policy.networking.k8s.io_*.yaml"),
			ingressPeer, strings.Replace(ingressPeer, "properties:\n", "properties:\n                          clusters: {type: object}\n", 1), 1)
		applyFor(t, c, definition)
		kubectl(t, c, "wait", "--for=condition=Established", "--timeout="+stage.Patience.String(), "crd/clusternetworkpolicies.policy.networking.k8s.io")

		must(t, c.Apply(t.Context(), clusterPolicy(s.Name, "guests", 10, `{action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: stranger}}}}], protocols: [{udp: {destinationPort: {number: 1001}}}]}`)))
		stage.AwaitAllowed(t, stranger, s.open.Addr) // whatever the namespace's own policy says
		stage.AwaitDenied(t, stranger, s.closed.Addr)
		says(t, c, "guests", "Accepted=True Valid Programmed=True InForce")

		must(t, c.Apply(t.Context(), clusterPolicy(s.Name, "guests", 10, `{action: Deny, from: [{namespaces: {}}]}`)))
		stage.AwaitDenied(t, stranger, s.open.Addr)
		stage.AwaitDenied(t, client, s.open.Addr) // though the namespace's own policy allows it
		kubectl(t, c, "delete", "cnp", "guests")
		stage.AwaitAllowed(t, client, s.open.Addr)

		must(t, c.Apply(t.Context(), clusterPolicy(s.Name, "unknown", 10, `{action: Deny, from: [{clusters: {}}]}`)))
		stage.AwaitDenied(t, client, s.open.Addr)
		says(t, c, "unknown", "Accepted=False Invalid Programmed=True InForce")
		stage.VerifyAgents(t, c)
	})
	if !removed {
		return
	}
	stage.AwaitAllowed(t, client, s.open.Addr) // the policy went with its definition
	stage.AwaitDenied(t, stranger, s.open.Addr)
	s.open.Forget()
	s.closed.Forget()
}

// ingressPeer is where the definition says what a peer of an ingress rule can be.
const ingressPeer = `                        maxProperties: 1
                        minProperties: 1
                        properties:
                          namespaces:
`

// clusterPolicy is a policy of tier Admin for the pods of a namespace, with one rule for ingress.
func clusterPolicy(namespace, name string, priority int, rule string) string {
	return fmt.Sprintf(`
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: %s}
spec:
  tier: Admin
  priority: %d
  subject: {pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}, podSelector: {matchLabels: {app: server}}}}
  ingress: [%s]
`, name, priority, namespace, rule)
}

// says waits until the conditions of a ClusterNetworkPolicy are these.
func says(t *testing.T, c *cluster.Cluster, name, want string) {
	t.Helper()
	eventually(t, name, func() error {
		got := strings.TrimSpace(kubectl(t, c, "get", "cnp", name, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status} {.reason} {end}`))
		if got != want {
			return fmt.Errorf("its status says %q, want %q", got, want)
		}
		return nil
	})
}
