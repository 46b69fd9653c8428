package e2e

import (
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// The Services of the one server: the same backend behind every kind of address that kube-proxy gives.
const serviceObjects = `
apiVersion: v1
kind: Service
metadata: {name: cluster}
spec:
  type: NodePort
  externalTrafficPolicy: Cluster
  selector: {app: server}
  ports:
  - {name: udp, protocol: UDP, port: 80, targetPort: 1001}
  - {name: tcp, protocol: TCP, port: 80, targetPort: 1001}
  - {name: udp-closed, protocol: UDP, port: 81, targetPort: 1002}
  - {name: tcp-closed, protocol: TCP, port: 81, targetPort: 1002}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: server}
  ports:
  - {name: udp, protocol: UDP, port: 80, targetPort: 1001}
  - {name: tcp, protocol: TCP, port: 80, targetPort: 1001}
`

// servicePolicy governs the server in both directions, so that it may begin nothing itself.
const servicePolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [%FROM%]
    ports: [{protocol: UDP, port: 1001}, {protocol: TCP, port: 1001}]
`

const (
	fromClients = `{podSelector: {matchLabels: {app: client}}}`
	fromOutside = `{ipBlock: {cidr: 172.29.0.1/32}}`
	fromNode2   = `{ipBlock: {cidr: 172.29.0.12/32}}`
)

// TestServices has policy on a backend, and traffic to it by way of Services: whatever address a client uses, what is
// decided is whether it may talk to the pod behind.
func TestServices(t *testing.T) {
	for name, options := range map[string]cluster.Options{
		"nftables": {Nodes: 2}, "iptables": {Nodes: 2, ProxyMode: cluster.IPTables}, "bridge": {Nodes: 2, Bridge: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster.Shared(t, options)
			stage.Install(t, c, stage.Dev)
			newMarket(t, c).run(t)
		})
	}
}

// market is a server behind Services on node 1, and those who want something of it, on both nodes and outside.
type market struct {
	*stage.Space
	server, closed     *stage.Server
	backend            *stage.Pod
	clients, strangers []*stage.Pod // on nodes 1 and 2
	outside            *cluster.Node
	virtual, refused   netip.AddrPort // of the Service; the second is that of a port that nobody may use
	anyNode, sameNode  []netip.AddrPort
}

func newMarket(t *testing.T, c *cluster.Cluster) *market {
	t.Helper()
	m := &market{Space: stage.NewSpace(t, c, nil), outside: c.ControlPlane()}
	m.allow(fromClients, fromOutside)
	names := map[string]stage.PodSpec{
		"server":   {Node: 1, Labels: map[string]string{"app": "server"}},
		"client-1": {Node: 1, Labels: map[string]string{"app": "client"}}, "client-2": {Node: 2, Labels: map[string]string{"app": "client"}},
		"stranger-1": {Node: 1, Labels: map[string]string{"app": "stranger"}}, "stranger-2": {Node: 2, Labels: map[string]string{"app": "stranger"}},
	}
	for name, spec := range names {
		spec.Name = name
		m.CreatePod(spec)
	}
	m.backend = m.WaitPod("server")
	m.clients = []*stage.Pod{m.WaitPod("client-1"), m.WaitPod("client-2")}
	m.strangers = []*stage.Pod{m.WaitPod("stranger-1"), m.WaitPod("stranger-2")}
	m.server = stage.Serve(t, m.backend, m.backend.Addr, openPort)
	m.closed = stage.Serve(t, m.backend, m.backend.Addr, closedPort)
	m.Apply(serviceObjects)
	m.anyNode, m.virtual = m.addresses(t, "cluster")
	m.sameNode, _ = m.addresses(t, "local")
	m.refused = netip.AddrPortFrom(m.virtual.Addr(), 81)
	return m
}

// allow lets peers, and no others, use the server.
func (m *market) allow(peers ...string) {
	m.Apply(strings.ReplaceAll(servicePolicy, "%FROM%", strings.Join(peers, ", ")))
}

// addresses returns a Service's port on each node, and its own. They are the same for UDP and TCP.
func (m *market) addresses(t *testing.T, name string) (nodes []netip.AddrPort, own netip.AddrPort) {
	t.Helper()
	s, err := m.Client.CoreV1().Services(m.Name).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	port := s.Spec.Ports[0].NodePort
	if s.Spec.Ports[1].NodePort != port {
		t.Fatalf("the ports on nodes are not the same: %v", s.Spec.Ports)
	}
	for _, n := range m.Cluster.Nodes() {
		nodes = append(nodes, netip.AddrPortFrom(n.IP(), uint16(port)))
	}
	return nodes, netip.AddrPortFrom(netip.MustParseAddr(s.Spec.ClusterIP), 80)
}

func (m *market) run(t *testing.T) {
	for _, p := range m.clients {
		stage.AwaitAllowed(t, p, m.virtual)
		stage.AwaitDenied(t, p, m.refused)
	}
	for _, p := range m.strangers {
		stage.AwaitDenied(t, p, m.virtual)
	}
	m.server.Forget()
	m.closed.Forget()
	denied := stage.Denied(t, m.clients[1], m.refused)
	for _, p := range m.strangers {
		denied = append(denied, stage.Denied(t, p, m.virtual)...)
	}
	steady := stage.Allowed(t, m.clients[1], m.virtual)

	t.Run("NodePort", m.testNodePort)
	t.Run("hairpin", m.testHairpin)
	t.Run("sessions", m.testSessions)

	stage.Advance(t, steady, 20)
	stage.Advance(t, denied, 20)
	stage.Stop(t, steady)
	stage.Stop(t, denied)
	for from, n := range m.closed.SeenAll() {
		t.Errorf("%d packets from %s got through to the closed port", n, from)
	}
	for _, p := range m.strangers {
		if n := m.server.Seen(p.Addr); n > 0 {
			t.Errorf("%d packets from %s got through", n, p.Name)
		}
	}
	stage.VerifyAgents(t, m.Cluster)
}

// testNodePort comes from outside the cluster. What policy sees is who is at the other end of the packet at the
// backend's node: the client itself where it came in there, the node where it came in elsewhere. The Service decides that, not policy.
func (m *market) testNodePort(t *testing.T) {
	here, there := m.anyNode[0], m.anyNode[1] // where the backend is, and where it is not
	m.allow(fromClients)
	stage.AwaitDenied(t, m.outside, here)
	stage.AwaitDenied(t, m.outside, m.sameNode[0])
	m.allow(fromClients, fromOutside)
	stage.AwaitAllowed(t, m.outside, here)
	m.server.Forget()
	stage.AwaitAllowed(t, m.outside, m.sameNode[0])
	if m.server.Seen(m.outside.IP()) == 0 {
		t.Errorf("with externalTrafficPolicy Local the server sees %v, and not its client", m.server.SeenAll())
	}

	// By way of the other node the client is that node.
	stage.AwaitDenied(t, m.outside, there)
	m.allow(fromClients, fromOutside, fromNode2)
	stage.AwaitAllowed(t, m.outside, there)
	if m.server.Seen(there.Addr()) == 0 {
		t.Errorf("the server sees %v, and not node 2", m.server.SeenAll())
	}
	// Where no backend is, Local has nobody who would answer, whatever policy allows.
	stage.AwaitDenied(t, m.outside, m.sameNode[1])

	// From inside, the nodes' ports are as good as the Service's own.
	stage.AwaitAllowed(t, m.clients[0], here)
	stage.AwaitDenied(t, m.strangers[0], here)
	flows := append(stage.Allowed(t, m.outside, here), stage.Allowed(t, m.outside, m.sameNode[0])...)
	flows = append(flows, stage.Allowed(t, m.outside, there)...)
	stage.Advance(t, flows, 20)
	stage.Stop(t, flows)
}

// testHairpin has the backend talk to itself by way of its own Service. It may send to nobody and be reached by clients
// only, but a pod always reaches itself.
func (m *market) testHairpin(t *testing.T) {
	stage.AwaitAllowed(t, m.backend, m.virtual)
	flows := stage.Allowed(t, m.backend, m.virtual)
	stage.Advance(t, flows, 20)
	stage.Stop(t, flows)
	stage.AwaitDenied(t, m.backend, netip.AddrPortFrom(m.clients[0].Addr, openPort))
}

// testSessions changes policy under connections that go by way of Services. Those that it still allows live on; those that
// it denies end, also where this node's kube-proxy has rewritten their addresses.
func (m *market) testSessions(t *testing.T) {
	m.allow(fromClients, fromOutside, fromNode2)
	stage.AwaitAllowed(t, m.outside, m.anyNode[1])
	stays := map[string]*stage.Session{
		"the same node": stage.Connect(t, m.clients[0], m.virtual),
		"another node":  stage.Connect(t, m.clients[1], m.virtual),
	}
	ends := map[string]*stage.Session{
		"outside, this node":    stage.Connect(t, m.outside, m.anyNode[0]),
		"outside, another node": stage.Connect(t, m.outside, m.anyNode[1]),
		"outside, Local":        stage.Connect(t, m.outside, m.sameNode[0]),
	}
	m.allow(fromClients, fromOutside, fromNode2, `{ipBlock: {cidr: 198.51.100.0/24}}`)
	m.allow(fromClients)
	for from, s := range ends {
		t.Log(from)
		s.AwaitEnd(t)
	}
	for from, s := range stays {
		t.Log(from)
		s.MustLive(t)
	}
	for _, to := range []netip.AddrPort{m.anyNode[0], m.anyNode[1], m.sameNode[0]} {
		stage.AwaitDenied(t, m.outside, to)
	}

	// A client that is one no more, on the node where its addresses are rewritten.
	same := stays["the same node"]
	m.relabel(t, "client-1", "stranger")
	same.AwaitEnd(t)
	stage.AwaitDenied(t, m.clients[0], m.virtual)
	stays["another node"].MustLive(t)
	m.relabel(t, "client-1", "client")
	stage.AwaitAllowed(t, m.clients[0], m.virtual)
	m.allow(fromClients, fromOutside)
}

func (m *market) relabel(t *testing.T, pod, app string) {
	t.Helper()
	_, err := m.Cluster.Kubectl(t.Context(), "label", "--overwrite", "--namespace", m.Name, "pod", pod, "app="+app)
	must(t, err)
}
