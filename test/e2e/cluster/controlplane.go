package cluster

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	apiServerURL = "https://" + controlPlaneIP + ":6443"
	etcdURL      = "http://127.0.0.1:2379"
	masters      = "system:masters" // the group that may do everything
)

// startControlPlane starts the daemons of the control plane, and returns when the
// API server is ready.
func (c *Cluster) startControlPlane(ctx context.Context) error {
	if err := c.controlPlaneUsers(); err != nil {
		return err
	}
	// The order is that of their start.
	etcd := c.cp.addDaemon(c.answers("http://127.0.0.1:2379/health"), "etcd",
		"etcd", "--name=e2e", "--data-dir="+filepath.Join(c.dir, "etcd"), "--log-level=warn",
		"--unsafe-no-fsync", // it need not survive the machine
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=e2e=http://127.0.0.1:2380")
	api := c.cp.addDaemon(c.apiReady, "kube-apiserver", c.apiServer()...)
	controllers := c.cp.addDaemon(nil, "kube-controller-manager", c.controllerManager()...)
	daemons := []*Daemon{etcd, api, controllers}
	if c.options.Nodes > 0 {
		daemons = append(daemons, c.cp.addDaemon(nil, "kube-scheduler", c.scheduler()...))
	}
	for _, d := range daemons {
		if err := d.Start(ctx); err != nil {
			return err
		}
	}
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-kube-proxy"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "system:kube-proxy"}},
	}, metav1.CreateOptions{})
	return err
}

func (c *Cluster) controlPlaneUsers() error {
	p := c.pki
	const kubernetes = "kubernetes.default.svc.cluster.local"
	err := p.certify(p.ca, "apiserver", pkix.Name{CommonName: "kube-apiserver"},
		controlPlaneIP, "10.96.0.1", "127.0.0.1", "fd00:96::1", "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", kubernetes)
	if err != nil {
		return err
	}
	if err := p.certify(p.ca, "apiserver-kubelet-client", pkix.Name{CommonName: "kube-apiserver", Organization: []string{masters}}); err != nil {
		return err
	}
	if err := p.certify(p.frontend, "front-proxy-client", pkix.Name{CommonName: "front-proxy-client"}); err != nil {
		return err
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if err := p.user(name, pkix.Name{CommonName: "system:" + name}); err != nil {
			return err
		}
	}
	return nil
}

// nets returns those of the families that the cluster has.
func (o Options) nets(v4, v6 string) string {
	if o.DualStack {
		return v4 + "," + v6
	}
	return v4
}

func (c *Cluster) apiServer() []string {
	p := c.pki
	return []string{
		"kube-apiserver",
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + controlPlaneIP,
		"--tls-cert-file=" + p.path("apiserver.crt"), "--tls-private-key-file=" + p.path("apiserver.key"),
		"--client-ca-file=" + p.path("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-cluster-ip-range=" + c.options.nets(servicesNet4, servicesNet6),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + p.path("service-accounts.pub"),
		"--service-account-signing-key-file=" + p.path("service-accounts.key"),
		"--kubelet-certificate-authority=" + p.path("ca.crt"),
		"--kubelet-client-certificate=" + p.path("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + p.path("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		// Extensions are reached at the addresses of their pods: there is no kube-proxy here.
		"--enable-aggregator-routing=true",
		"--proxy-client-cert-file=" + p.path("front-proxy-client.crt"), "--proxy-client-key-file=" + p.path("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + p.path("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
	}
}

func (c *Cluster) controllerManager() []string {
	p := c.pki
	kubeconfig := p.path("kube-controller-manager.kubeconfig")
	return []string{
		"kube-controller-manager",
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file=" + p.path("service-accounts.key"), "--root-ca-file=" + p.path("ca.crt"),
		"--cluster-signing-cert-file=" + p.path("ca.crt"), "--cluster-signing-key-file=" + p.path("ca.key"),
		"--allocate-node-cidrs=false", "--cluster-cidr=" + c.options.nets(podsNet4, podsNet6),
	}
}

func (c *Cluster) scheduler() []string {
	kubeconfig := c.pki.path("kube-scheduler.kubeconfig")
	return []string{
		"kube-scheduler",
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
	}
}

// answers asks for a page inside the control plane.
func (c *Cluster) answers(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DialContext: c.dial, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, answer.Status)
		}
		return nil
	}
}

func (c *Cluster) apiReady(ctx context.Context) error {
	return c.client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}
