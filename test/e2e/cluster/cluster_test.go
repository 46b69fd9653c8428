package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// deadline bounds what a test waits for, on a machine that is busy.
func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// nothingStays checks that a cluster that has ended is gone.
func nothingStays(t *testing.T, c *Cluster) {
	t.Helper()
	if exists(c.dir) {
		t.Errorf("%s is still there", c.dir)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/"} {
		if groups, _ := filepath.Glob(pattern + keeper.GroupName(c.dir)); len(groups) > 0 {
			t.Errorf("control groups are still there: %s", groups)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), c.dir) {
		t.Errorf("mounts are still there:\n%s", mounts)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range commands {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), c.dir) {
			t.Errorf("%s is still there: %q", f, b)
		}
	}
}

func TestControlPlane(t *testing.T) {
	c := Start(t, Options{})
	ctx := deadline(t, 5*time.Minute)
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := client.Discovery().ServerVersion(); err != nil || !strings.HasPrefix(v.GitVersion, "v1.") {
		t.Fatalf("version %v, %v", v, err)
	}
	if err := c.Apply(ctx, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\n"); err != nil {
		t.Fatal(err)
	}

	// The API server goes and comes back, with what it knew.
	api := c.Daemon("kube-apiserver")
	if err := api.Kill(); err != nil {
		t.Fatal(err)
	}
	if pid := api.PID(); pid != 0 {
		t.Errorf("PID %d after Kill", pid)
	}
	if _, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		t.Error("a dead API server answers")
	}
	if err := api.Kill(); err == nil {
		t.Error("Kill of a dead daemon has no error")
	}
	if err := api.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if out, err := c.Kubectl(ctx, "get", "configmap", "kept", "-o", "name"); err != nil || strings.TrimSpace(out) != "configmap/kept" {
		t.Errorf("kubectl: %q, %v", out, err)
	}
	if _, err := c.Kubectl(ctx, "get", "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("kubectl get nonsense: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	nothingStays(t, c)
}

// runPod makes a pod that serves on port 8080, and waits until it is ready.
func runPod(ctx context.Context, t *testing.T, client kubernetes.Interface, name, node string) *corev1.Pod {
	t.Helper()
	pods := client.CoreV1().Pods("default")
	_, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			TerminationGracePeriodSeconds: new(int64),
			Containers:                    []corev1.Container{{Name: "main", Image: Agnhost, Args: []string{"netexec"}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return waitPod(ctx, t, client, name)
}

func waitPod(ctx context.Context, t *testing.T, client kubernetes.Interface, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	err := poll(ctx, func(ctx context.Context) (err error) {
		pod, err = client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return apierrors.NewTimeoutError("not ready: "+pod.Status.Message, 1)
	})
	if err != nil {
		t.Fatalf("pod %s: %v", name, err)
	}
	return pod
}

func TestNodes(t *testing.T) {
	c := Start(t, Options{Nodes: 2, DualStack: true})
	ctx := deadline(t, 5*time.Minute)
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	a, b := runPod(ctx, t, client, "a", "n1"), runPod(ctx, t, client, "b", "n2")
	for i, ip := range b.Status.PodIPs {
		if !c.Node(2).PodNets()[i].Contains(netipOf(t, ip.IP)) {
			t.Errorf("pod b has address %s, not of %s", ip.IP, c.Node(2).PodNets()[i])
		}
	}
	connect(ctx, t, c, "a", b)
	if _, err := c.Node(1).Run(ctx, "nft", "list", "table", "ip", "kube-proxy"); err != nil {
		t.Error(err)
	}

	// A node loses power. Its pod comes back; the other node's does not notice.
	old := c.Node(2).PID()
	if err := c.Node(2).Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if c.Node(2).PID() == old {
		t.Error("the node has the PID that it had before")
	}
	restarted := func(ctx context.Context) error {
		pod, err := client.CoreV1().Pods("default").Get(ctx, "b", metav1.GetOptions{})
		if err == nil && pod.Status.ContainerStatuses[0].RestartCount == 0 {
			err = apierrors.NewTimeoutError("pod b has not restarted", 1)
		}
		return err
	}
	if err := poll(ctx, restarted); err != nil {
		t.Fatal(err)
	}
	connect(ctx, t, c, "a", waitPod(ctx, t, client, "b"))
	if a.Status.PodIP != waitPod(ctx, t, client, "a").Status.PodIP {
		t.Error("pod a has another address")
	}

	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	nothingStays(t, c)
}

// connect checks that a pod reaches all addresses of another.
func connect(ctx context.Context, t *testing.T, c *Cluster, from string, to *corev1.Pod) {
	t.Helper()
	for _, ip := range to.Status.PodIPs {
		target := netipOf(t, ip.IP).String()
		if strings.Contains(target, ":") {
			target = "[" + target + "]"
		}
		if _, err := c.Kubectl(ctx, "exec", from, "--", "/agnhost", "connect", target+":8080", "--timeout=10s"); err != nil {
			t.Errorf("%s to %s: %v", from, target, err)
		}
	}
}

// child, in the environment, makes the test below start a cluster and wait to be killed.
const child = "TIERWALL_E2E_TEST_CHILD"

// A process that is killed leaves nothing either.
func TestKilled(t *testing.T) {
	if os.Getenv(child) != "" {
		c := Start(t, Options{Nodes: 1})
		if _, err := os.Stdout.WriteString("UP " + c.dir + "\n"); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	if err := requirements(); err != nil && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	buffer := make([]byte, 4096)
	for text := ""; dir == ""; {
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatalf("the child printed %q and ended: %v", text, cmd.Wait())
		}
		text += string(buffer[:n])
		if _, after, ok := strings.Cut(text, "UP "); ok && strings.Contains(after, "\n") {
			dir, _, _ = strings.Cut(after, "\n")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	// The janitor removes the directory last.
	gone := func(context.Context) error {
		if exists(dir) {
			return apierrors.NewTimeoutError(dir+" is still there", 1)
		}
		return nil
	}
	if err := poll(deadline(t, time.Minute), gone); err != nil {
		t.Fatal(err)
	}
	nothingStays(t, &Cluster{dir: dir})
}
