package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/controller"
	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// TestController runs the controller with the rights of its service account as
// shipped, and follows policies through what becomes of them.
func TestController(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	must(t, c.Apply(t.Context(), installManifest(t)))
	kubectl(t, c, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=tierwall")
	must(t, c.Apply(t.Context(), `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: application}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: application.web}
spec: {tier: application, selector: "app == 'web'", ingress: [{action: Allow}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: orphan, namespace: default}
spec: {tier: nosuch}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: later}
spec: {selector: "app = 'web'"}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: addresses}
spec: {nets: [192.0.2.1]}
`))
	writeReport(t, c, "n1", "", 1, 3)
	stopFirst := startController(t, c, "first")

	conditions := func(object string) string {
		return kubectl(t, c, "get", object, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status} {.reason} {end}{.status.endpoints}`)
	}
	says := func(object, want string) {
		t.Helper()
		eventually(t, object, func() error {
			if got := strings.TrimSpace(conditions(object)); got != want {
				return fmt.Errorf("its status says %q, want %q", got, want)
			}
			return nil
		})
	}
	says("tier/application", "Accepted=True Valid")
	says("gnp/application.web", "Accepted=True Valid Programmed=True InForce 3")
	says("caliconetworkpolicy/orphan", "Accepted=False TierNotFound Programmed=False NotAccepted 0")
	says("sgnp/later", "Accepted=False Invalid 0")
	says("gns/addresses", "Accepted=True Valid")
	// The tiers that always exist are objects, and what each tier's end does stands in its column.
	for name, want := range map[string]string{"default": "1000000 Deny True", "kube-admin": "1000 Pass True", "kube-baseline": "10000000 Pass True", "application": "100 Deny True"} {
		eventually(t, "tier "+name, func() error {
			out, err := c.Kubectl(t.Context(), "get", "tier", name, "--no-headers")
			if fields := strings.Fields(out); err == nil && (len(fields) < 4 || strings.Join(fields[1:4], " ") != want) {
				err = fmt.Errorf("%q, want %q", out, want)
			}
			return err
		})
	}

	// What is invalid has an Event each. An API server of this version accepts no
	// NetworkPolicy of networking.k8s.io that is invalid here; a fake one does, in the controller's own tests.
	eventually(t, "Events", func() error {
		out := kubectl(t, c, "get", "events", "-A", "--field-selector", "type=Warning,reportingComponent=policy.tierwall.dev/controller",
			"-o", `jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name}: {.message}{"\n"}{end}`)
		for _, want := range []string{"NetworkPolicy/orphan: spec.tier: ", "StagedGlobalNetworkPolicy/later: spec.selector: "} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("%q is not among\n%s", want, out)
			}
		}
		return nil
	})
	if out := kubectl(t, c, "describe", "caliconetworkpolicy", "orphan"); !strings.Contains(out, "Warning  TierNotFound") {
		t.Errorf("kubectl describe does not say what is wrong:\n%s", out)
	}

	// A change is in force when all nodes say so.
	kubectl(t, c, "patch", "gnp", "application.web", "--type=merge", "-p", `{"spec":{"order":5}}`)
	says("gnp/application.web", "Accepted=True Valid Programmed=False Pending 0")
	writeReport(t, c, "n1", "", 2, 3)
	kubectl(t, c, "wait", "--for=condition=Programmed", "--timeout=60s", "gnp/application.web")
	writeReport(t, c, "n2", "the kernel says no", 1, 4)
	says("gnp/application.web", "Accepted=True Valid Programmed=False NodeError 3")

	// Another controller goes on where the first ends.
	stopSecond := startController(t, c, "second")
	stopFirst()
	kubectl(t, c, "delete", "npr", "n2")
	says("gnp/application.web", "Accepted=True Valid Programmed=True InForce 3")
	if out := kubectl(t, c, "get", "gnp", "application.web", "-o", "jsonpath={.metadata.generation}"); out != "2" {
		t.Errorf("writing status made generation %s, want 2", out)
	}
	stopSecond()
	if out := kubectl(t, c, "get", "lease", "-n", "tierwall-system", "tierwall-controller", "-o", "jsonpath={.spec.holderIdentity}"); out != "" {
		t.Errorf("the Lease is still held by %s", out)
	}
}

// writeReport writes what the agent of a node would.
func writeReport(t *testing.T, c *cluster.Cluster, node, problem string, generation, endpoints int) {
	t.Helper()
	must(t, c.Apply(t.Context(), fmt.Sprintf(`
apiVersion: policy.tierwall.dev/v1alpha1
kind: NodePolicyReport
metadata: {name: %s}
report:
  endpoints: 10
  error: %q
  policies: [{kind: GlobalNetworkPolicy, name: application.web, generation: %d, endpoints: %d}]
`, node, problem, generation, endpoints)))
}

// startController runs a controller in this process, as its service account.
func startController(t *testing.T, c *cluster.Cluster, identity string) (stop func()) {
	t.Helper()
	kube := c.Config()
	kube.Impersonate = rest.ImpersonationConfig{
		UserName: controllerUser,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:tierwall-system", "system:authenticated"},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- controller.Run(ctx, controller.Config{
			Kube: kube, Namespace: "tierwall-system", Identity: identity, StatusQPS: 100,
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("controller", identity),
		})
	}()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("controller %s: %v", identity, err)
		}
	}
	t.Cleanup(stop)
	return stop
}
