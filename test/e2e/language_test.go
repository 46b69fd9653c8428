package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// TestPolicyLanguage takes what policy can say to a real cluster, with the chart's defaults: only that agents answer
// proxies is asked for. The cluster has DNS, as pods behind a Service, and an outside.
func TestPolicyLanguage(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 2})
	stage.InstallEdited(t, c, stage.Dev, func(string) string { return stage.ManifestWith(t, stage.Dev, "extAuthz: {enabled: true}") })
	w := newWorld(t, c)
	for _, part := range []struct {
		name string
		f    func(*testing.T, *world)
	}{
		{"domains", testDomains},
		{"hosts", testHosts},
		{"requests", testRequests},
		{"services", testServiceRules},
		{"log", testLog},
		{"staged", testStaged},
		{"articles", testArticles},
		{"examples", testExamples},
	} {
		begun := time.Now()
		t.Run(part.name, func(t *testing.T) {
			part.f(t, w)
			stage.VerifyAgents(t, c)
		})
		t.Logf("%s: %s, load %s", part.name, time.Since(begun).Round(100*time.Millisecond), load())
	}
}

// world is a cluster with DNS, and what is around it.
type world struct {
	t       *testing.T // of the world: what is started with it lasts as long
	c       *cluster.Cluster
	outside *cluster.Node
	names   *stage.Names // what the cluster's DNS knows
	dns     netip.AddrPort
	pods    map[string]*stage.Pod // of examples, by namespace and name
	servers map[netip.AddrPort]*stage.Server
	applied string // the last example's policies
}

// outsideNets are at the control plane's host, which stands for the world.
var outsideNets = []string{"198.51.100.0/24", "203.0.113.0/24", "192.0.2.53/32", "192.168.163.0/24", "192.168.164.0/24"}

// hostResolver is what the nodes' resolv.conf names.
var hostResolver = netip.MustParseAddrPort("192.0.2.53:53")

const dnsService = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns}
spec:
  clusterIP: ` + cluster.DNSServiceIP + `
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, protocol: UDP, port: 53}
  - {name: dns-tcp, protocol: TCP, port: 53}
`

// newWorld returns the cluster DNS, one server on each node, and addresses to the outside.
func newWorld(t *testing.T, c *cluster.Cluster) *world {
	t.Helper()
	w := &world{
		t: t, c: c, outside: c.ControlPlane(), names: stage.NewNames(), dns: netip.AddrPortFrom(netip.MustParseAddr(cluster.DNSServiceIP), 53),
		pods: map[string]*stage.Pod{}, servers: map[netip.AddrPort]*stage.Server{},
	}
	for _, net := range outsideNets {
		_, err := w.outside.Run(t.Context(), "ip", "route", "add", "local", net, "dev", "lo")
		must(t, err)
	}
	system := stage.InSpace(t, c, "kube-system")
	labels := map[string]string{"k8s-app": "kube-dns"}
	system.CreatePod(stage.PodSpec{Name: "dns-1", Node: 1, Labels: labels})
	system.CreatePod(stage.PodSpec{Name: "dns-2", Node: 2, Labels: labels})
	system.Apply(dnsService)
	for _, name := range []string{"dns-1", "dns-2"} {
		p := system.WaitPod(name)
		w.names.Serve(t, p, netip.AddrPortFrom(p.Addr, 53))
	}
	w.names.Serve(t, w.outside, hostResolver)
	return w
}

// at serves at an address outside, for as long as the test lasts.
func (w *world) at(t *testing.T, addr string) *stage.Server {
	t.Helper()
	return stage.Serve(t, w.outside, netip.MustParseAddr(addr), 443)
}
