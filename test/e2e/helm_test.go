package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// helm builds Helm, at the version of the tools, and gives a function that runs it
// where the API server can be reached.
func helm(t *testing.T, c *cluster.Cluster) func(args ...string) (string, error) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "helm")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "helm.sh/helm/v3/cmd/helm")
	build.Dir = "../../tools"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build helm: %v\n%s", err, out)
	}
	home := t.TempDir()
	return func(args ...string) (string, error) {
		cmd := c.ControlPlane().Command(t.Context(), binary, append(args, "--kubeconfig", c.Kubeconfig())...)
		cmd.Env = append(cmd.Environ(), "HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return string(out), err
	}
}

const chartDir = "../../charts/tierwall"

// TestHelm installs, upgrades, uninstalls, and installs again with Helm.
func TestHelm(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2})
	ctx := t.Context()
	must(t, c.LoadImage(ctx, stage.Image(t, stage.Dev)))
	run := helm(t, c)
	chart, err := filepath.Abs(chartDir)
	must(t, err)
	before := traces(t, c)
	helmChart := func(command, chart string, more ...string) {
		t.Helper()
		_, err := run(append([]string{command, "tierwall", chart, "-n", stage.SystemNamespace,
			"--set", "image.repository=" + stage.Repository, "--set", "image.tag=" + stage.Dev}, more...)...)
		must(t, err)
	}
	helmRun := func(command string, more ...string) {
		t.Helper()
		helmChart(command, chart, more...)
	}
	helmChart("install", olderChart(t), "--create-namespace", "--wait", "--timeout=3m")
	enforced(t, c)
	_, err = admin(c).Resource(globalNetworkPolicies).Create(ctx, policyIn(globalNetworkPolicies, "", "default", "default.mine"), metav1.CreateOptions{})
	must(t, err)

	// An upgrade brings new definitions too.
	orderIs(t, c, orderBefore)
	helmRun("upgrade", "--wait", "--timeout=3m", "--set", "agent.args={--debug}")
	enforced(t, c)
	orderIs(t, c, orderNow)
	set, err := kubernetes.NewForConfigOrDie(c.Config()).AppsV1().DaemonSets(stage.SystemNamespace).Get(ctx, "tierwall-agent", metav1.GetOptions{})
	must(t, err)
	if args := set.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--debug") {
		t.Errorf("after the upgrade the agent runs with %q", args)
	}

	t.Run("a node that does not answer", func(t *testing.T) { testDeadNode(t, c, run, helmRun) })

	begun := time.Now()
	_, err = run("uninstall", "tierwall", "-n", stage.SystemNamespace, "--wait", "--timeout=5m")
	must(t, err)
	t.Logf("helm uninstall: %s", time.Since(begun).Round(100*time.Millisecond))
	_, err = c.Kubectl(ctx, "delete", "namespace", stage.SystemNamespace)
	must(t, err)
	startsPod(t, c, "without")
	// Policies are left, with their definitions, and nothing else.
	if _, err := admin(c).Resource(globalNetworkPolicies).Get(ctx, "default.mine", metav1.GetOptions{}); err != nil {
		t.Errorf("a policy after helm uninstall: %v", err)
	}
	for what := range traces(t, c) {
		if _, ok := before[what]; !ok && !(strings.HasPrefix(what, "customresourcedefinitions.apiextensions.k8s.io ") && strings.HasSuffix(what, ".projectcalico.org")) {
			t.Errorf("left after helm uninstall: %s", what)
		}
	}

	// The same policies, once more.
	helmRun("install", "--create-namespace", "--wait", "--timeout=3m")
	enforced(t, c)
	_, err = run("uninstall", "tierwall", "-n", stage.SystemNamespace, "--wait", "--timeout=5m")
	must(t, err)
	for _, args := range [][]string{{"delete", "namespace", stage.SystemNamespace}, {"delete", "crd", "-l", "app.kubernetes.io/part-of=tierwall"}} {
		_, err = c.Kubectl(ctx, args...)
		must(t, err)
	}
	gone(t, c, before)
}

// olderChart is the chart as it could have been before: one definition explains a field in other words.
func olderChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tierwall")
	must(t, os.CopyFS(dir, os.DirFS(chartDir)))
	file := filepath.Join(dir, "files/crds/projectcalico.org_globalnetworkpolicies.yaml")
	text, err := os.ReadFile(file)
	must(t, err)
	older := strings.Replace(string(text), orderNow, orderBefore, 1)
	if older == string(text) {
		t.Fatalf("%s does not say %q", file, orderNow)
	}
	must(t, os.WriteFile(file, []byte(older), 0o644))
	return dir
}

// How the definition of global policies begins to explain spec.order.
const orderNow, orderBefore = "Order among the policies", "Place among the policies"

func orderIs(t *testing.T, c *cluster.Cluster, want string) {
	t.Helper()
	got := kubectl(t, c, "get", "crd", "globalnetworkpolicies.projectcalico.org", "-o",
		"jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.order.description}")
	if !strings.HasPrefix(got, want) {
		t.Errorf("the definition says of spec.order %q, expected %q", got, want)
	}
}

// testDeadNode holds that a node that cannot be cleaned stops the uninstallation, which
// then can be gone back on, with agents that enforce.
func testDeadNode(t *testing.T, c *cluster.Cluster, run func(...string) (string, error), helmRun func(string, ...string)) {
	ctx := t.Context()
	helmRun("upgrade", "--wait", "--timeout=3m", "--set", "cleanup.timeoutSeconds=10")
	must(t, c.Daemon("kubelet-n2").Stop(ctx))
	// Until the cluster knows, it sends pods there, the one that cleans as well.
	eventually(t, "a node known not to answer", func() error {
		n, err := kubernetes.NewForConfigOrDie(c.Config()).CoreV1().Nodes().Get(ctx, "n2", metav1.GetOptions{})
		if err == nil && !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnreachable }) {
			err = fmt.Errorf("its taints: %v", n.Spec.Taints)
		}
		return err
	})
	_, err := run("uninstall", "tierwall", "-n", stage.SystemNamespace, "--timeout=3m")
	if err == nil {
		t.Error("helm uninstall succeeds though a node does not answer")
	}
	logs, err := c.Kubectl(ctx, "-n", stage.SystemNamespace, "logs", "job/tierwall-cleanup")
	must(t, err)
	if !strings.Contains(logs, "1 of 2 nodes could not be cleaned:\n  n2: pod tierwall-agent-") {
		t.Errorf("the cleanup says:\n%s", logs)
	}
	if out, err := c.Node(2).Command(ctx, "nft", "list", "table", "inet", "tierwall").CombinedOutput(); err != nil {
		t.Errorf("the node that does not answer enforces no more: %v: %s", err, out)
	}
	if err := c.Node(1).Command(ctx, "nft", "list", "table", "inet", "tierwall").Run(); err == nil {
		t.Error("the node that answers still enforces")
	}
	must(t, c.Daemon("kubelet-n2").Start(ctx))
	// Helm upgrades no release that it has begun to uninstall, but it rolls back.
	_, err = run("rollback", "tierwall", "3", "-n", stage.SystemNamespace, "--wait", "--timeout=3m")
	must(t, err)
	enforced(t, c)
	set, err := kubernetes.NewForConfigOrDie(c.Config()).AppsV1().DaemonSets(stage.SystemNamespace).Get(ctx, "tierwall-agent", metav1.GetOptions{})
	must(t, err)
	if err := plain(set); err != nil {
		t.Errorf("after going back: %v", err)
	}
}

func plain(set *appsv1.DaemonSet) error {
	pod := set.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.InitContainers) > 0 || pod.Containers[0].Args[0] != "agent" || slices.Contains(pod.Containers[0].Args, "--remove") {
		return fmt.Errorf("the DaemonSet runs %+v", pod.Containers)
	}
	if max := set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.String(); max == "100%" {
		return errors.New("it replaces all agents at once")
	}
	return nil
}

// TestHelmLeavesOthersDefinitions holds that the chart brings no definitions that
// someone else brings.
func TestHelmLeavesOthersDefinitions(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	ctx := t.Context()
	run := helm(t, c)
	chart, err := filepath.Abs(chartDir)
	must(t, err)
	dry := func(more ...string) []string {
		t.Helper()
		out, err := run(append([]string{"install", "tierwall", chart, "-n", "default", "--dry-run=server"}, more...)...)
		must(t, err)
		var names []string
		for _, doc := range strings.Split(out, "\n---\n") {
			if _, rest, ok := strings.Cut(doc, "\nkind: CustomResourceDefinition\n"); ok {
				_, rest, _ = strings.Cut(rest, "\n  name: ")
				name, _, _ := strings.Cut(rest, "\n")
				names = append(names, name)
			}
		}
		return names
	}
	all := dry()
	if len(all) < 5 {
		t.Fatalf("definitions: %v", all)
	}
	// Another installation's definition of one kind.
	other := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "tiers.projectcalico.org"},
		"spec": map[string]any{"group": "projectcalico.org", "scope": "Cluster", "names": map[string]any{"plural": "tiers", "kind": "Tier", "singular": "tier", "listKind": "TierList"},
			"versions": []any{map[string]any{"name": "v3", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}},
	}}
	data, err := other.MarshalJSON()
	must(t, err)
	must(t, c.Apply(ctx, string(data)))
	if got := dry(); slices.Contains(got, "tiers.projectcalico.org") || len(got) != len(all)-1 {
		t.Errorf("beside another's Tier: %v", got)
	}
	if got := dry("--set", "crds.install=never"); len(got) > 0 {
		t.Errorf("crds.install=never: %v", got)
	}
	_, err = c.Kubectl(ctx, "delete", "crd", "tiers.projectcalico.org")
	must(t, err)

	// Another API server for the whole group, as Calico's.
	eventually(t, "another API server", func() error {
		return c.Apply(ctx, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v3.projectcalico.org}
spec: {group: projectcalico.org, version: v3, groupPriorityMinimum: 1500, versionPriority: 200, insecureSkipTLSVerify: true, service: {name: calico-api, namespace: default}}
`)
	})
	if got := dry(); !slices.Equal(got, []string{"nodepolicyreports.policy.tierwall.dev"}) {
		t.Errorf("beside another API server: %v", got)
	}
	if got := dry("--set", "crds.install=always"); len(got) != len(all) {
		t.Errorf("crds.install=always: %v", got)
	}
}
