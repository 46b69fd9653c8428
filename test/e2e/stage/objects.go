package stage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// Space is a namespace for a test. It ends with the test, and so does all that is in it.
type Space struct {
	Name    string
	Cluster *cluster.Cluster
	Client  kubernetes.Interface
	t       testing.TB
}

// NewSpace makes a namespace with labels, whose name begins with the test's.
func NewSpace(t testing.TB, c *cluster.Cluster, labels map[string]string) *Space {
	t.Helper()
	s := newSpace(t, c, labels)
	t.Cleanup(s.remove)
	return s
}

func newSpace(t testing.TB, c *cluster.Cluster, labels map[string]string) *Space {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name[:min(len(name), 40)] + "-", Labels: labels},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &Space{Name: ns.Name, Cluster: c, Client: client, t: t}
}

// NewQuickSpace is NewSpace without the wait for its end: what follows must not mind that its pods are still going.
func NewQuickSpace(t testing.TB, c *cluster.Cluster, labels map[string]string) *Space {
	t.Helper()
	s := newSpace(t, c, labels)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := s.Client.CoreV1().Namespaces().Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", s.Name, err)
		}
	})
	return s
}

// InSpace returns a namespace that is there, and stays.
func InSpace(t testing.TB, c *cluster.Cluster, name string) *Space {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &Space{Name: name, Cluster: c, Client: client, t: t}
}

func (s *Space) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	namespaces := s.Client.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
		s.t.Errorf("delete namespace %s: %v", s.Name, err)
		return
	}
	err := Eventually(ctx, func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, s.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("it is still there"), err)
	})
	if err != nil {
		s.t.Errorf("delete namespace %s: %v", s.Name, err)
	}
}

// Relabel sets labels of the namespace; an empty value removes one.
func (s *Space) Relabel(labels map[string]string) {
	s.t.Helper()
	args := []string{"label", "--overwrite", "namespace", s.Name}
	for k, v := range labels {
		if v == "" {
			args = append(args, k+"-")
		} else {
			args = append(args, k+"="+v)
		}
	}
	if _, err := s.Cluster.Kubectl(s.t.Context(), args...); err != nil {
		s.t.Fatal(err)
	}
}

// Pod is a pod that runs, with its network namespace at hand.
type Pod struct {
	*cluster.Namespace
	Name string
	Node *cluster.Node
	Addr netip.Addr

	// Addr6 is the IPv6 address, in a dual-stack cluster.
	Addr6 netip.Addr
}

// PodSpec says what pod to make. Its container does nothing, if no Args say otherwise.
type PodSpec struct {
	Name   string
	Node   int // counted from 1
	Labels map[string]string
	Args   []string // of agnhost
	Shell  string   // a script for /bin/sh, instead of Args

	ServiceAccount string // "default" if it is empty
	Ports          []corev1.ContainerPort

	// HostNetwork has it in the node's network: no network plugin is called for it, and Pod has no namespace for it.
	HostNetwork bool
}

func (p PodSpec) object(namespace string) *corev1.Pod {
	container := corev1.Container{Name: "main", Image: cluster.Agnhost, Args: p.Args, Ports: p.Ports}
	if p.Shell != "" {
		container.Command = []string{"/bin/sh", "-c", p.Shell}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace, Labels: p.Labels},
		Spec: corev1.PodSpec{
			NodeName:                      fmt.Sprintf("n%d", p.Node),
			HostNetwork:                   p.HostNetwork,
			ServiceAccountName:            p.ServiceAccount,
			TerminationGracePeriodSeconds: new(int64),
			EnableServiceLinks:            new(bool),
			AutomountServiceAccountToken:  new(bool),
			Containers:                    []corev1.Container{container},
		},
	}
}

// CreatePod makes a pod and does not wait for it.
func (s *Space) CreatePod(spec PodSpec) {
	s.t.Helper()
	_, err := s.Client.CoreV1().Pods(s.Name).Create(s.t.Context(), spec.object(s.Name), metav1.CreateOptions{})
	if err != nil {
		s.t.Fatalf("pod %s: %v", spec.Name, err)
	}
}

// NewPod makes a pod, and waits until it runs.
func (s *Space) NewPod(spec PodSpec) *Pod {
	s.t.Helper()
	s.CreatePod(spec)
	return s.WaitPod(spec.Name)
}

// WaitPod waits until a pod runs.
func (s *Space) WaitPod(name string) *Pod {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
	defer cancel()
	var found *Pod
	err := Eventually(ctx, func(ctx context.Context) (err error) {
		found, err = s.findPod(ctx, name)
		return err
	})
	if err != nil {
		s.t.Fatalf("pod %s: %v", name, err)
	}
	s.t.Cleanup(func() { _ = found.Close() })
	return found
}

// findPod returns a pod if it runs.
func (s *Space) findPod(ctx context.Context, name string) (*Pod, error) {
	pod, err := s.Client.CoreV1().Pods(s.Name).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" {
		return nil, fmt.Errorf("it is %s %s", pod.Status.Phase, pod.Status.Message)
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Running == nil {
			return nil, fmt.Errorf("its container does not run: %v", c.State)
		}
	}
	found := &Pod{Name: name}
	if found.Addr, err = netip.ParseAddr(pod.Status.PodIP); err != nil {
		return nil, err
	}
	if len(pod.Status.PodIPs) > 1 {
		if found.Addr6, err = netip.ParseAddr(pod.Status.PodIPs[1].IP); err != nil {
			return nil, err
		}
	}
	for _, n := range s.Cluster.Nodes() {
		if n.Name() == pod.Spec.NodeName {
			found.Node = n
			found.Namespace, err = n.PodNamespace(found.Addr)
			return found, err
		}
	}
	return nil, fmt.Errorf("no node %s", pod.Spec.NodeName)
}

// Apply applies manifests, with %NS% replaced by the namespace's name. Objects without a namespace in them are made
// in this one; remove those that are in none with Cleanup.
func (s *Space) Apply(manifests string) {
	s.t.Helper()
	cmd := s.Cluster.ControlPlane().Command(s.t.Context(), "kubectl", "apply", "--server-side", "--force-conflicts", "--namespace", s.Name, "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(manifests, "%NS%", s.Name))
	if _, err := cmd.Output(); err != nil {
		s.t.Fatal(err)
	}
}

// Cleanup deletes an object that is in no namespace at the end of the test: "globalnetworkset/name".
func (s *Space) Cleanup(object string) {
	s.t.Helper()
	object = strings.ReplaceAll(object, "%NS%", s.Name)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if _, err := s.Cluster.Kubectl(ctx, "delete", "--ignore-not-found", object); err != nil {
			s.t.Errorf("delete %s: %v", object, err)
		}
	})
}
