package cluster

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Configuration files of a node.
var (
	//go:embed config/containerd.toml
	containerdConfig string
	//go:embed config/kubelet.yaml
	kubeletConfig string
	//go:embed config/kube-proxy.yaml
	kubeProxyConfig string
	//go:embed config/cni.conflist
	cniConfig string
)

// CNIConfigFile is the name of the file, in Node.CNIConfigDir, that says how pods are
// connected.
const CNIConfigFile = "10-e2e.conflist"

// fill writes a configuration file on the node's disk, and gives its path.
func (n *Node) fill(file, text string) (string, error) {
	t, err := template.New(file).Parse(text)
	if err != nil {
		return "", err
	}
	o := n.cluster.options
	nets := n.PodNets()
	values := map[string]any{
		"Node": n.name, "IP": n.IP().String(), "PKI": n.cluster.pki.dir, "Disk": n.disk(), "Group": "/" + n.group(),
		"Sandbox": sandboxImage, "DNS": DNSServiceIP,
		"Pods4": nets[0].String(), "Pods6": nets[1].String(), "DualStack": o.DualStack, "Bridge": o.Bridge,
		"AllPods": o.nets(podsNet4, podsNet6), "ProxyMode": o.proxyMode(),
	}
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return "", err
	}
	path := filepath.Join(n.disk(), file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, b.Bytes(), 0o644)
}

// startRuntime starts containerd and gives it the images. It needs no control plane.
func (n *Node) startRuntime(ctx context.Context) error {
	config, err := n.fill("containerd.toml", containerdConfig)
	if err != nil {
		return err
	}
	if _, err := n.fill("cni/net.d/"+CNIConfigFile, cniConfig); err != nil {
		return err
	}
	for _, plugin := range []string{"ptp", "bridge", "host-local", "portmap", "loopback"} {
		program, err := os.ReadFile(n.cluster.parts.Program(plugin))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(n.CNIBinDir(), plugin), program, 0o755); err != nil {
			return err
		}
	}
	answers := func(ctx context.Context) error {
		_, err := n.Run(ctx, "ctr", "version")
		return err
	}
	if err := n.addDaemon(answers, "containerd", "containerd", "--config", config).Start(ctx); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(n.cluster.parts.images(), "*.tar"))
	if err != nil {
		return err
	}
	for _, a := range archives {
		if err := n.loadImage(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// startKubelet starts what makes the host a node of the cluster.
func (n *Node) startKubelet(ctx context.Context) error {
	c := n.cluster
	subject := pkix.Name{CommonName: "system:node:" + n.name, Organization: []string{"system:nodes"}}
	if err := c.pki.user("kubelet-"+n.name, subject, n.name, n.IP().String()); err != nil {
		return err
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	config, err := n.fill("kubelet.yaml", kubeletConfig)
	if err != nil {
		return err
	}
	// Names outside the cluster are not resolved: nobody is at this address.
	if err := os.WriteFile(filepath.Join(n.disk(), "resolv.conf"), []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		return err
	}
	err = n.addDaemon(nil, "kubelet", "kubelet", "--config="+config, "--kubeconfig="+c.pki.path("kubelet-"+n.name+".kubeconfig"),
		"--hostname-override="+n.name, "--node-ip="+c.options.nets(n.IP().String(), n.IP6().String()), "--v=2").Start(ctx)
	if err != nil {
		return err
	}
	if config, err = n.fill("kube-proxy.yaml", kubeProxyConfig); err != nil {
		return err
	}
	return n.addDaemon(nil, "kube-proxy", "kube-proxy", "--config="+config).Start(ctx)
}

// register makes the Node object before its kubelet does, with the nets of its pods:
// no controller hands them out.
func (n *Node) register(ctx context.Context) error {
	nets := n.PodNets()
	spec := corev1.NodeSpec{PodCIDR: nets[0].String(), PodCIDRs: []string{nets[0].String()}}
	if n.cluster.options.DualStack {
		spec.PodCIDRs = append(spec.PodCIDRs, nets[1].String())
	}
	_, err := n.cluster.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: map[string]string{corev1.LabelHostname: n.name}},
		Spec:       spec,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// waitReady waits until the node's kubelet says, in this boot, that it is ready.
func (n *Node) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, daemonPatience)
	defer cancel()
	boot := n.bootID()
	err := poll(ctx, func(ctx context.Context) error {
		node, err := n.cluster.client.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if node.Status.NodeInfo.BootID != boot {
			return fmt.Errorf("the kubelet has not said anything")
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				return fmt.Errorf("it is not ready: %s", condition.Message)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w (see %s)", n.name, err, n.cluster.logs)
	}
	return nil
}
