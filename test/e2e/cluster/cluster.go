package cluster

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Cluster is a cluster that is up.
type Cluster struct {
	options Options
	parts   *Parts
	dir     string // gone when the cluster is
	logs    string
	pki     *pki
	config  *rest.Config
	client  *kubernetes.Clientset
	cp      *Node
	nodes   []*Node
	janitor *janitor
}

// Up builds what is missing, starts a cluster and waits until its nodes are
// ready. The context bounds the start only. Call Stop when done.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	parts, err := Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: o, parts: parts}
	if err := c.place(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w", err), c.Stop())
	}
	return c, nil
}

// start starts everything, side by side where one does not need the other.
func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.pki, err = newPKI(filepath.Join(c.dir, "pki")); err != nil {
		return err
	}
	if err := c.pki.user("admin", pkix.Name{CommonName: "admin", Organization: []string{masters}}); err != nil {
		return err
	}
	if c.config, err = c.adminConfig(); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		return err
	}
	c.cp = &Node{cluster: c, name: "cp"}
	if err := c.cp.boot(); err != nil {
		return err
	}
	for i := 1; i <= c.options.Nodes; i++ {
		c.nodes = append(c.nodes, &Node{cluster: c, name: fmt.Sprintf("n%d", i), index: i})
	}
	apiReady := make(chan struct{})
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		err := c.startControlPlane(ctx)
		if err == nil {
			close(apiReady)
		}
		return err
	})
	for _, n := range c.nodes {
		all.Go(func() error { return c.startNode(ctx, n, apiReady) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	return c.waitServiceAccount(context.WithoutCancel(ctx))
}

func (c *Cluster) startNode(ctx context.Context, n *Node, apiReady <-chan struct{}) error {
	if err := n.boot(); err != nil {
		return err
	}
	if err := n.startRuntime(ctx); err != nil {
		return err
	}
	select {
	case <-apiReady:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := n.startKubelet(ctx); err != nil {
		return err
	}
	return n.waitReady(ctx)
}

// waitServiceAccount waits for what pods of the namespace default need, which the
// controller manager makes.
func (c *Cluster) waitServiceAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, daemonPatience)
	defer cancel()
	return poll(ctx, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// Stop ends the cluster. No process, mount, namespace, control group or file of
// it stays, but for the logs of the daemons in the directory that Logs gives. A second call does nothing.
func (c *Cluster) Stop() error {
	if err := c.janitor.finish(); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, n := range append([]*Node{c.cp}, c.nodes...) {
		n.stopped()
	}
	return nil
}

// Config is how this process reaches the API server as administrator: connections are
// made inside the control plane's network namespace. Each call gives a new copy.
func (c *Cluster) Config() *rest.Config {
	return rest.CopyConfig(c.config)
}

// adminConfig holds what is in the files: clients read those again and again, and they outlive the cluster.
func (c *Cluster) adminConfig() (*rest.Config, error) {
	config := &rest.Config{Host: apiServerURL, Dial: c.dial, QPS: -1} // no limit on this side
	for file, data := range map[string]*[]byte{"ca.crt": &config.CAData, "admin.crt": &config.CertData, "admin.key": &config.KeyData} {
		var err error
		if *data, err = os.ReadFile(c.pki.path(file)); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// dial connects from the control plane. The address must be an IP address with a port.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.cp.Dial(ctx, network, address)
}

// Kubeconfig is the path of the administrator's kubeconfig, for programs that run
// inside the cluster (Node.Command): its server is not reachable from outside.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "pki/admin.kubeconfig") }

// Kubectl runs kubectl as administrator and gives what it printed on its
// standard output. An error has what it printed on standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.cp.Run(ctx, "kubectl", args...)
}

// Apply applies manifests (YAML documents) on the server side, as kubectl does.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	cmd := c.cp.Command(ctx, "kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-")
	cmd.Stdin = bytes.NewBufferString(manifests)
	_, err := cmd.Output()
	return err
}

// ControlPlane is the host of the control plane, named "cp". It is no Kubernetes node: to policy, it is
// the outside world.
func (c *Cluster) ControlPlane() *Node { return c.cp }

// Nodes are the cluster's nodes, named "n1", "n2", ...
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node is node i, counted from 1 as in its name. It panics if there is none.
func (c *Cluster) Node(i int) *Node { return c.nodes[i-1] }

// Logs is the directory with a log for each daemon, NAME.log. It outlives the cluster.
func (c *Cluster) Logs() string { return c.logs }

// Daemon is one of the daemons: "etcd", "kube-apiserver", "kube-controller-manager",
// "kube-scheduler" of the control plane, and for each node "containerd-n1", "kubelet-n1", "kube-proxy-n1".
// It panics if there is none of the name.
func (c *Cluster) Daemon(name string) *Daemon {
	for _, n := range append([]*Node{c.cp}, c.nodes...) {
		for _, d := range n.daemons {
			if d.name == name {
				return d
			}
		}
	}
	panic("cluster: no daemon " + name)
}

// LoadImage imports an OCI or Docker archive on all nodes. Pods that use it must
// not have the tag "latest", or say imagePullPolicy: Never: there is no registry.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		all.Go(func() error { return n.loadImage(ctx, archive) })
	}
	return all.Wait()
}

func (n *Node) loadImage(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	cmd := n.Command(ctx, "ctr", "--namespace=k8s.io", "images", "import", "-")
	cmd.Stdin = f
	_, err = cmd.Output()
	return err
}
