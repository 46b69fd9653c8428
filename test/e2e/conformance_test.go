package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// conformanceImage is the image that the suite's pods run.
const conformanceImage = "registry.k8s.io/e2e-test-images/agnhost:2.45"

// placement puts the suite's pods on nodes: the one on a node's own network that the others
// connect to is alone on its node. Between a node and its own pods no policy acts, and
// the suite leaves it to chance whether they are such.
const placement = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: conformance-placement}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
  - name: of-the-suite
    expression: "object.metadata.namespace.startsWith('network-policy-conformance-')"
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"e2e/place":
        object.metadata.name == "centaur-1" ? "apart" : object.metadata.name.endsWith("-0") ? "first" : "second"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: conformance-placement}
spec: {policyName: conformance-placement}
`

// TestConformance runs the upstream suite for ClusterNetworkPolicy, standard and experimental.
func TestConformance(t *testing.T) {
	c := cluster.Shared(t, cluster.Options{Nodes: 3})
	stage.Install(t, c, stage.Dev)
	installClusterPolicies(t, c)
	if err := c.NameAgnhost(t.Context(), conformanceImage); err != nil {
		t.Fatal(err)
	}
	place(t, c)

	program, report := filepath.Join(t.TempDir(), "conformance.test"), filepath.Join(c.Logs(), "conformance.yaml")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "conformance", "-o", program, "./conformance")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(c.Logs(), "conformance.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	suite := c.ControlPlane().Command(ctx, program, "-test.v", "-test.timeout=30m")
	suite.Env = append(suite.Env, "CONFORMANCE_REPORT="+report)
	var output bytes.Buffer
	suite.Stdout = io.MultiWriter(&output, log)
	suite.Stderr = suite.Stdout
	start := time.Now()
	err = suite.Run()
	_, closing, found := strings.Cut(output.String(), "the suite's report:\n")
	if !found {
		t.Fatalf("the suite did not come to its end (%v); the log is %s", err, log.Name())
	}
	t.Logf("the suite's report:\n%s\n%.0f s in all; the log is %s", closing, time.Since(start).Seconds(), log.Name())
	if err != nil {
		t.Errorf("the suite failed: %v", err)
	}
	if text, err := os.ReadFile(report); err != nil || !allPassed(text) {
		t.Errorf("not all tests of the suite have passed (%v)", err)
	}
	stage.VerifyAgents(t, c)
}

// conformanceTests is how many tests this version of the suite has. Fewer means that some
// were not run.
const conformanceTests = 24

// allPassed reads the suite's report.
func allPassed(text []byte) bool {
	type part struct {
		Result     string
		Statistics struct{ Passed, Failed, Skipped int }
	}
	var r struct {
		Profiles []struct{ Standard, Experimental part }
	}
	if err := yaml.Unmarshal(text, &r); err != nil || len(r.Profiles) != 1 {
		return false
	}
	passed := 0
	for _, p := range []part{r.Profiles[0].Standard, r.Profiles[0].Experimental} {
		if p.Result != "success" || p.Statistics.Failed+p.Statistics.Skipped > 0 {
			return false
		}
		passed += p.Statistics.Passed
	}
	return passed == conformanceTests
}

// installClusterPolicies installs the definitions of policy.networking.k8s.io, with
// experimental fields, for as long as the test lasts.
func installClusterPolicies(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	applyFor(t, c, moduleFiles(t, "sigs.k8s.io/network-policy-api", "config/crd/experimental", "policy.networking.k8s.io_*.yaml"))
	if _, err := c.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout="+stage.Patience.String(),
		"crd/clusternetworkpolicies.policy.networking.k8s.io"); err != nil {
		t.Fatal(err)
	}
}

// moduleFiles returns the manifests in a directory of a module that this one requires.
func moduleFiles(t *testing.T, module, dir, pattern string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("where module %s is: %v", module, err)
	}
	root := os.DirFS(filepath.Join(strings.TrimSpace(string(out)), dir))
	names, err := fs.Glob(root, pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s of %s: %d files (%v)", dir, module, len(names), err)
	}
	var texts []string
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return strings.Join(texts, "\n---\n")
}

// applyFor applies manifests for as long as the test lasts.
func applyFor(t *testing.T, c *cluster.Cluster, manifests string) {
	t.Helper()
	if err := c.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(path, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stage.Patience)
		defer cancel()
		if out, err := c.Kubectl(ctx, "delete", "--ignore-not-found", "-f", path); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// place has the suite's pods placed.
func place(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for i, where := range []string{"first", "second", "apart"} {
		if _, err := c.Kubectl(t.Context(), "label", "--overwrite", "node", c.Node(i+1).Name(), "e2e/place="+where); err != nil {
			t.Fatal(err)
		}
	}
	applyFor(t, c, placement)
	// It acts a moment later.
	clients, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	const namespace = "network-policy-conformance-placement"
	applyFor(t, c, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")
	ctx, cancel := context.WithTimeout(t.Context(), stage.Patience)
	defer cancel()
	probe := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe-0"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: cluster.Agnhost}}},
	}
	err = stage.Eventually(ctx, func(ctx context.Context) error {
		p, err := clients.CoreV1().Pods(namespace).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && p.Spec.NodeSelector["e2e/place"] != "first" {
			err = errors.New("pods are not placed yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
