package agent

import (
	"os/exec"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/lab"
)

// stagedYAML holds staged policies of all kinds that would turn everything around.
const stagedYAML = `
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: kube-admin.deny-all}
spec:
  tier: kube-admin
  order: 1
  types: [Ingress, Egress]
  ingress: [{action: Deny, source: {nets: [192.0.2.0/24]}}, {action: Deny, source: {selector: "all()"}}]
  egress: [{action: Deny, destination: {services: {name: db, namespace: shop}}}, {action: Deny}]
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: names, namespace: shop}
spec: {egress: [{action: Allow, destination: {domains: ["*.example.com"]}}]}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: nothing, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: db, namespace: shop}
spec: {stagedAction: Delete}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {}, ports: [{port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}]
endpoints: [{addresses: [10.0.0.1]}]
`

// TestStagedLeavesNothingInTheKernel checks that what the kernel holds is the same,
// to the letter, with staged policies and without.
func TestStagedLeavesNothingInTheKernel(t *testing.T) {
	nft := lab.RequireProgram(t, "nft")
	var dumps [2][]byte
	links := regexp.MustCompile(`"tw\d+"`)
	for i, name := range []string{"without", "with"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if name == "with" {
				h.write("staged.yaml", stagedYAML)
			}
			h.startAgent()
			if err := h.lab.Node().Do(func() (err error) {
				dumps[i], err = exec.Command(nft, "list", "ruleset").CombinedOutput()
				dumps[i] = links.ReplaceAll(dumps[i], []byte("LINK")) // numbered as they come
				return err
			}); err != nil {
				t.Fatalf("%v: %s", err, dumps[i])
			}
		})
	}
	if len(dumps[0]) == 0 {
		t.Fatal("the kernel holds nothing")
	}
	if d := cmp.Diff(string(dumps[0]), string(dumps[1])); d != "" {
		t.Errorf("the kernel holds something else with staged policies (-without +with):\n%s", d)
	}
}
