package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// traces is what an installation could leave behind, by where it is.
func traces(t *testing.T, c *cluster.Cluster) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, n := range c.Nodes() {
		tables, err := n.Command(t.Context(), "nft", "list", "tables").Output()
		must(t, err)
		out[n.Name()+" nft"] = string(tables)
		for _, dir := range []string{n.CNIConfigDir(), n.CNIBinDir()} {
			must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				data := []byte("a program")
				if dir == n.CNIConfigDir() {
					if data, err = os.ReadFile(path); err != nil {
						return err
					}
				}
				out[n.Name()+" "+path] = string(data)
				return nil
			}))
		}
		run, err := n.Command(t.Context(), "find", "/run/tierwall", "-mindepth", "1").CombinedOutput()
		if err == nil { // without the directory it is an error
			out[n.Name()+" /run/tierwall"] = string(run)
		} else {
			out[n.Name()+" /run/tierwall"] = ""
		}
	}
	for name := range clusterObjects(t, c) {
		out[name] = "exists"
	}
	return out
}

// clusterObjects lists the objects of the cluster that have tierwall in their
// name, or among their labels, but for Events.
func clusterObjects(t *testing.T, c *cluster.Cluster) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	client := dynamic.NewForConfigOrDie(c.Config())
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(c.Config()).ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		t.Fatal(err)
	}
	for gvr := range must2(discovery.GroupVersionResources(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists)))(t) {
		if gvr.Resource == "events" {
			continue
		}
		list, err := client.Resource(gvr).List(t.Context(), metav1.ListOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue // a definition that has just gone
		}
		must(t, err)
		for _, o := range list.Items {
			if strings.Contains(o.GetName()+o.GetNamespace()+o.GetLabels()["app.kubernetes.io/name"], "tierwall") {
				found[gvr.GroupResource().String()+" "+o.GetNamespace()+"/"+o.GetName()] = true
			}
		}
	}
	return found
}

func must2[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// gone waits until there is nothing but what there was before.
func gone(t *testing.T, c *cluster.Cluster, before map[string]string) {
	t.Helper()
	eventually(t, "nothing is left", func() error {
		if diff := cmp.Diff(before, traces(t, c)); diff != "" {
			return fmt.Errorf("-before +after:\n%s", diff)
		}
		return nil
	})
}

// enforced waits until every node has the table, the plugin and a report.
func enforced(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ctx := t.Context()
	for _, what := range []string{"daemonset/tierwall-agent", "deployment/tierwall-controller"} {
		if out, err := c.Kubectl(ctx, "-n", stage.SystemNamespace, "rollout", "status", "--timeout=120s", what); err != nil {
			pods, _ := c.Kubectl(ctx, "-n", stage.SystemNamespace, "describe", "pods")
			logs, _ := c.Kubectl(ctx, "-n", stage.SystemNamespace, "logs", "--all-containers", "--prefix", "-l", "app.kubernetes.io/name=tierwall")
			t.Fatalf("%v\n%s\n%s\n%s", err, out, pods, logs)
		}
	}
	eventually(t, "enforcement", func() error {
		for _, n := range c.Nodes() {
			if out, err := n.Command(ctx, "nft", "list", "table", "inet", "tierwall").CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", n.Name(), err, out)
			}
			if conf, err := os.ReadFile(filepath.Join(n.CNIConfigDir(), cluster.CNIConfigFile)); err != nil || !strings.Contains(string(conf), "tierwall") {
				return fmt.Errorf("%s: CNI configuration: %w: %s", n.Name(), err, conf)
			}
			if _, err := admin(c).Resource(reports).Get(ctx, n.Name(), metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// startsPod makes a pod on each node and waits until it runs.
func startsPod(t *testing.T, c *cluster.Cluster, name string) {
	t.Helper()
	ctx := t.Context()
	pods := kubernetes.NewForConfigOrDie(c.Config()).CoreV1().Pods("default")
	for _, n := range c.Nodes() {
		none := int64(0)
		pod, err := pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-" + n.Name()},
			Spec: corev1.PodSpec{NodeName: n.Name(), TerminationGracePeriodSeconds: &none,
				Containers: []corev1.Container{{Name: "pause", Image: cluster.Agnhost, Args: []string{"pause"}}}},
		}, metav1.CreateOptions{})
		must(t, err)
		eventually(t, "a pod that starts", func() error {
			p, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
			if err == nil && p.Status.Phase != corev1.PodRunning {
				events, _ := c.Kubectl(ctx, "get", "events", "--field-selector", "involvedObject.name="+pod.Name)
				err = fmt.Errorf("%s is %s\n%s", pod.Name, p.Status.Phase, events)
			}
			return err
		})
		must(t, pods.Delete(ctx, pod.Name, metav1.DeleteOptions{}))
	}
	eventually(t, "pods that end", func() error {
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d pods are left", len(list.Items))
		}
		return err
	})
}

// TestManifest installs with kubectl, restarts, and deletes.
func TestManifest(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2})
	ctx := t.Context()
	must(t, c.LoadImage(ctx, stage.Image(t, stage.Dev)))
	before := traces(t, c)
	manifest := stage.Manifest(t, stage.Dev)
	must(t, c.Apply(ctx, manifest))
	enforced(t, c)
	startsPod(t, c, "with")
	confined(t, c)

	t.Run("restart", func(t *testing.T) { testRestart(t, c, manifest) })
	t.Run("workstation", func(t *testing.T) { testWorkstation(t, c, before, manifest) })

	_, err := admin(c).Resource(globalNetworkPolicies).Create(ctx, policyIn(globalNetworkPolicies, "", "default", "default.deny"), metav1.CreateOptions{})
	must(t, err)
	_, err = admin(c).Resource(calico("tiers")).Create(ctx, tier("default", 1_000_000), metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "install.yaml")
	must(t, os.WriteFile(file, []byte(manifest), 0o644))
	begun := time.Now()
	_, err = c.Kubectl(ctx, "delete", "-f", file, "--timeout=180s")
	must(t, err)
	gone(t, c, before)
	t.Logf("kubectl delete: %s", time.Since(begun).Round(100*time.Millisecond))
	startsPod(t, c, "without")
}

// testWorkstation takes tierwall off the nodes by the command at a workstation, and goes back on it.
func testWorkstation(t *testing.T, c *cluster.Cluster, before map[string]string, manifest string) {
	ctx := t.Context()
	uninstall := func(args ...string) (string, error) {
		cmd := c.ControlPlane().Command(ctx, filepath.Join(stage.Binary(t), "tierwall"), append([]string{"uninstall", "--kubeconfig", c.Kubeconfig()}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := uninstall("--timeout=3m")
	if err != nil || !strings.Contains(out, "2 nodes are clean: nothing is enforced any more.") {
		t.Fatalf("tierwall uninstall: %v\n%s", err, out)
	}
	for what, is := range traces(t, c) {
		onNode := strings.HasPrefix(what, "n1 ") || strings.HasPrefix(what, "n2 ")
		if onNode && before[what] != is {
			t.Errorf("on a node that is clean: %s: %s\nbefore: %s", what, is, before[what])
		}
	}
	startsPod(t, c, "cleaned")
	// To have it done again changes nothing, and to install again brings it back.
	if out, err := uninstall("--timeout=3m"); err != nil {
		t.Errorf("once more: %v\n%s", err, out)
	}
	must(t, c.Apply(ctx, manifest))
	enforced(t, c)
	set, err := kubernetes.NewForConfigOrDie(c.Config()).AppsV1().DaemonSets(stage.SystemNamespace).Get(ctx, "tierwall-agent", metav1.GetOptions{})
	must(t, err)
	if err := plain(set); err != nil {
		t.Errorf("after going back: %v", err)
	}
	if out, err := uninstall("--namespace=nowhere"); err != nil || !strings.Contains(out, "there is no agent in namespace nowhere") {
		t.Errorf("where there is none: %v\n%s", err, out)
	}
}

// testRestart ends agents in all the ways in which they end while tierwall is
// installed. A table must be there all the time: the agent's, or the one through
// which it changes hands.
func testRestart(t *testing.T, c *cluster.Cluster, manifest string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	missing := make(chan error, len(c.Nodes()))
	for _, n := range c.Nodes() {
		go func() {
			for ctx.Err() == nil {
				out, err := n.Command(ctx, "nft", "list", "tables").CombinedOutput()
				if ctx.Err() == nil && (err != nil || !strings.Contains(string(out), "tierwall")) {
					missing <- fmt.Errorf("%s: no table (%w): %s", n.Name(), err, out)
					return
				}
			}
			missing <- nil
		}()
	}
	_, err := c.Kubectl(ctx, "-n", stage.SystemNamespace, "delete", "pod", "-l", "app.kubernetes.io/component=agent")
	must(t, err)
	enforced(t, c)
	_, err = c.Kubectl(ctx, "-n", stage.SystemNamespace, "rollout", "restart", "daemonset/tierwall-agent")
	must(t, err)
	enforced(t, c)
	// What looks like the end of tierwall, and is a new beginning.
	file := filepath.Join(t.TempDir(), "agent.yaml")
	for _, doc := range strings.Split(manifest, "\n---\n") {
		if strings.Contains(doc, "\nkind: DaemonSet\n") {
			must(t, os.WriteFile(file, []byte(doc), 0o644))
		}
	}
	_, err = c.Kubectl(ctx, "replace", "--force", "--grace-period=-1", "--cascade=background", "-f", file)
	must(t, err)
	enforced(t, c)
	cancel()
	for range c.Nodes() {
		if err := <-missing; err != nil {
			t.Errorf("while agents restarted: %v", err)
		}
	}
}

// confined holds that an agent has what the manifest gives it, and no more.
func confined(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, n := range c.Nodes() {
		pid, err := stage.AgentProcess(n)
		must(t, err)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		must(t, err)
		got := map[string]string{}
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			got[key] = strings.TrimSpace(value)
		}
		const netAdmin = "0000000000001000"
		for key, want := range map[string]string{"CapEff": netAdmin, "CapPrm": netAdmin, "CapBnd": netAdmin, "NoNewPrivs": "1", "Seccomp": "2"} {
			if got[key] != want {
				t.Errorf("%s: the agent has %s %s, expected %s", n.Name(), key, got[key], want)
			}
		}
	}
}
