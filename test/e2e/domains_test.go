package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// manyNames is how many names are asked for, of which each has an address of its own.
const manyNames = 60

const domainObjects = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web}
spec:
  selector: app == 'web'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {namespaceSelector: kubernetes.io/metadata.name == 'kube-system', selector: k8s-app == 'kube-dns', ports: [53]}}
  - {action: Allow, protocol: TCP, destination: {namespaceSelector: kubernetes.io/metadata.name == 'kube-system', selector: k8s-app == 'kube-dns', ports: [53]}}
  - {action: Allow, protocol: UDP, destination: {nets: [192.0.2.53/32], ports: [53]}}
  - {action: Allow, protocol: UDP, destination: {nets: [10.96.0.10/32], ports: [53]}} # a cache on the node, which is the pod's own node
  - {action: Allow, protocol: UDP, destination: {selector: app == 'rogue', ports: [53]}}
  - {action: Allow, destination: {domains: [api.example.com, "*.shop.example", headless.%NS%.svc.cluster.local, virtual.%NS%.svc.cluster.local]}}
  - {action: Allow, protocol: UDP, destination: {domains: [narrow.example.com], ports: [443]}}
---
apiVersion: v1
kind: Service
metadata: {name: virtual}
spec: {selector: {app: backend}, ports: [{name: udp, protocol: UDP, port: 1001}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: backend}, ports: [{name: udp, protocol: UDP, port: 1001}]}
`

// domains is two clients, one on each node, which may reach names and nothing else.
type domains struct {
	*stage.Space
	w       *world
	clients []*stage.Pod
	rogue   *stage.Pod
	backend *stage.Server // a pod of the cluster
}

// testDomains has pods ask the cluster's DNS service, by its address, and connect to what it answers.
func testDomains(t *testing.T, w *world) {
	s := stage.NewQuickSpace(t, w.c, nil)
	s.Apply(domainObjects)
	for i, name := range []string{"web-1", "web-2"} {
		s.CreatePod(stage.PodSpec{Name: name, Node: i + 1, Labels: map[string]string{"app": "web"}})
	}
	s.CreatePod(stage.PodSpec{Name: "rogue", Node: 2, Labels: map[string]string{"app": "rogue"}})
	s.CreatePod(stage.PodSpec{Name: "backend", Node: 2, Labels: map[string]string{"app": "backend"}})
	d := &domains{Space: s, w: w, clients: []*stage.Pod{s.WaitPod("web-1"), s.WaitPod("web-2")}, rogue: s.WaitPod("rogue")}
	backend := s.WaitPod("backend")
	d.backend = stage.Serve(t, backend, backend.Addr, openPort)

	warm := w.at(t, "198.51.100.240").Addr
	w.names.Set(t, "warm.shop.example", "300 A 198.51.100.240")
	for _, p := range d.clients {
		stage.AwaitDenied(t, p, warm)
		eventually(t, "answers are looked at", func() error { return w.asks(t, p, "warm.shop.example", warm) })
	}
	t.Run("first connection", d.firstConnection)
	t.Run("pod's own resolver", d.ownResolver)
	t.Run("aliases and rotation", d.rotation)
	t.Run("other names", d.otherNames)
	t.Run("names of services", d.serviceNames)
	t.Run("host's resolver", d.hostResolver)
	t.Run("node's cache", d.nodeCache)
	t.Run("untrusted server", d.untrusted)
	t.Run("agent gone", d.agentGone)
}

// open asks for a name and sends one datagram to what must be its address.
func (d *domains) open(t *testing.T, from *stage.Pod, network string, server netip.AddrPort, name string, want netip.AddrPort) error {
	t.Helper()
	addrs, err := stage.Resolve(t.Context(), from, network, server, name)
	if err != nil {
		return err
	}
	if len(addrs) == 0 || addrs[len(addrs)-1] != want.Addr() {
		return fmt.Errorf("%s has the addresses %v, expected %s", name, addrs, want.Addr())
	}
	if err := stage.First(from, want); err != nil {
		return fmt.Errorf("the first packet to %s (%s): %w", name, want, err)
	}
	return nil
}

// mustOpen is open, with no second try.
func (d *domains) mustOpen(t *testing.T, from *stage.Pod, name string, want netip.AddrPort) {
	t.Helper()
	if err := d.open(t, from, "udp", d.w.dns, name, want); err != nil {
		t.Error(err)
	}
}

// firstConnection holds that there is no race: one packet, sent as soon as the answer is there, gets through.
func (d *domains) firstConnection(t *testing.T) {
	for i := range manyNames {
		addr := fmt.Sprintf("198.51.100.%d", i+1)
		server := d.w.at(t, addr)
		name := fmt.Sprintf("n%d.deep.shop.example", i)
		d.w.names.Set(t, name, "300 A "+addr)
		client := d.clients[i%2]
		network := []string{"udp", "tcp"}[i/2%2]
		if i < 4 {
			stage.AwaitDenied(t, client, server.Addr)
		}
		if err := d.open(t, client, network, d.w.dns, name, server.Addr); err != nil {
			t.Errorf("over %s, node %s: %v", network, client.Node.Name(), err)
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if d.w.names.Asked(network, "n0.deep.shop.example")+d.w.names.Asked(network, "n2.deep.shop.example") == 0 {
			t.Errorf("nobody asked over %s", network)
		}
	}
}

// ownResolver has a program in the pod connect to a name: it goes by /etc/resolv.conf, with search domains and ndots, and
// to TCP when an answer is too long.
func (d *domains) ownResolver(t *testing.T) {
	server := d.w.at(t, "198.51.100.101").Addr
	d.w.names.Set(t, "api.example.com", "300 A 198.51.100.101")
	stage.AwaitDenied(t, d.clients[0], server)
	connect := func(name string) error {
		_, err := d.Cluster.Kubectl(t.Context(), "exec", "--namespace", d.Name, "web-1", "--", "/agnhost", "connect", name, "--timeout=10s")
		return err
	}
	must(t, connect("api.example.com:443"))
	for _, suffix := range []string{d.Name + ".svc.cluster.local", "svc.cluster.local", "cluster.local"} {
		if d.w.names.Asked("udp", "api.example.com."+suffix) == 0 {
			t.Errorf("nobody asked for the name below %s: is it the pod's resolver?", suffix)
		}
	}
	// 120 addresses do not fit into a datagram.
	var long []string
	for i := range 120 {
		long = append(long, fmt.Sprintf("300 A 203.0.113.%d", i+1))
		stage.Serve(t, d.w.outside, netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), 443)
	}
	d.w.names.Set(t, "long.shop.example", long...)
	must(t, connect("long.shop.example:443"))
	if d.w.names.Asked("tcp", "long.shop.example") == 0 {
		t.Error("nobody asked over TCP for what is too long for UDP")
	}
	for _, i := range []byte{1, 60, 120} {
		if err := stage.First(d.clients[0], netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, i}), 443)); err != nil {
			t.Errorf("address %d of the long answer: %v", i, err)
		}
	}
	if connect("nobody.example.com:443") == nil {
		t.Error("a name that is not there is reached")
	}
}

// rotation moves a name, behind aliases, from one address to the next.
func (d *domains) rotation(t *testing.T) {
	d.w.names.Set(t, "cdn.shop.example", "5 CNAME edge.cdn.example.")
	d.w.names.Set(t, "edge.cdn.example", "5 CNAME e1.cdn.example.")
	var all []*stage.Server
	for i := range 5 {
		addr := fmt.Sprintf("198.51.100.%d", 110+i)
		all = append(all, d.w.at(t, addr))
		d.w.names.Set(t, "e1.cdn.example", "1 A "+addr)
		d.mustOpen(t, d.clients[0], "cdn.shop.example", all[i].Addr)
	}
	for _, s := range all { // each holds for a minute at least
		if err := stage.First(d.clients[0], s.Addr); err != nil {
			t.Errorf("an address that the name had a moment ago: %v", err)
		}
	}
	stage.AwaitDenied(t, d.clients[1], all[0].Addr) // who has not asked, on another node
}

// otherNames has answers that no rule speaks of.
func (d *domains) otherNames(t *testing.T) {
	for i, name := range []string{"other.example", "shop.example", "x.api.example.com", "e1.cdn.example", "narrow.example.com"} {
		addr := fmt.Sprintf("198.51.100.%d", 120+i)
		server := d.w.at(t, addr)
		d.w.names.Set(t, name, "300 A "+addr)
		if name == "narrow.example.com" {
			d.mustOpen(t, d.clients[0], name, server.Addr)
			if err := stage.Knock(d.clients[0], server.Addr); err != nil {
				t.Errorf("TCP, though the rule for %s is for UDP: %v", name, err)
			}
			continue
		}
		_, err := stage.Resolve(t.Context(), d.clients[0], "udp", d.w.dns, name)
		must(t, err)
		stage.AwaitDenied(t, d.clients[0], server.Addr)
	}
}

// serviceNames asks for names of the cluster itself. Those of a headless service are its pods'; a service's own address is gone
// when a packet is judged, and what is judged is the pod behind it.
func (d *domains) serviceNames(t *testing.T) {
	d.w.names.Set(t, "headless."+d.Name+".svc.cluster.local", "30 A "+d.backend.Addr.Addr().String())
	ip := strings.TrimSpace(kubectl(t, d.Cluster, "get", "service", "--namespace", d.Name, "virtual", "-o", "jsonpath={.spec.clusterIP}"))
	d.w.names.Set(t, "virtual."+d.Name+".svc.cluster.local", "30 A "+ip)
	virtual := netip.AddrPortFrom(netip.MustParseAddr(ip), openPort)

	stage.AwaitAllowed(t, d.rogue, virtual) // whom no policy governs
	_, err := stage.Resolve(t.Context(), d.clients[1], "udp", d.w.dns, "virtual."+d.Name+".svc.cluster.local")
	must(t, err)
	stage.AwaitDenied(t, d.clients[1], virtual)
	d.mustOpen(t, d.clients[1], "headless."+d.Name+".svc.cluster.local", d.backend.Addr)
	stage.AwaitAllowed(t, d.clients[1], virtual) // the pod behind it is allowed now
}

// hostResolver asks the server in the nodes' resolv.conf, as pods with dnsPolicy Default do.
func (d *domains) hostResolver(t *testing.T) {
	server := d.w.at(t, "198.51.100.130").Addr
	d.w.names.Set(t, "host.shop.example", "300 A 198.51.100.130")
	if err := d.open(t, d.clients[0], "udp", hostResolver, "host.shop.example", server); err != nil {
		t.Error(err)
	}
}

// nodeCache puts a cache on node 1 that answers at the DNS service's address and has its packets not tracked, as NodeLocal
// DNSCache does beside kube-proxy.
func (d *domains) nodeCache(t *testing.T) {
	node, address := d.Cluster.Node(1), cluster.DNSServiceIP+"/32"
	run := func(name string, args ...string) func() {
		return func() {
			if _, err := node.Run(context.WithoutCancel(t.Context()), name, args...); err != nil {
				t.Error(err)
			}
		}
	}
	run("ip", "address", "add", address, "dev", "lo")()
	t.Cleanup(run("ip", "address", "delete", address, "dev", "lo"))
	run("nft", `table ip cache {
		chain in { type filter hook prerouting priority raw; ip daddr `+cluster.DNSServiceIP+` udp dport 53 notrack; }
		chain out { type filter hook output priority raw; ip saddr `+cluster.DNSServiceIP+` udp sport 53 notrack; }
	}`)()
	t.Cleanup(run("nft", "delete", "table", "ip", "cache"))
	cache := stage.NewNames() // knows what the pods behind the service do not
	cache.Set(t, "cached.shop.example", "300 A 198.51.100.131")
	cache.Serve(t, node, d.w.dns)
	server := d.w.at(t, "198.51.100.131").Addr
	stage.AwaitDenied(t, d.clients[0], server)
	d.mustOpen(t, d.clients[0], "cached.shop.example", server)
}

// untrusted has a pod answer that is no DNS server of the cluster's.
func (d *domains) untrusted(t *testing.T) {
	lies := stage.NewNames()
	lies.Set(t, "evil.shop.example", "300 A 198.51.100.140")
	at := netip.AddrPortFrom(d.rogue.Addr, 53)
	lies.Serve(t, d.rogue, at)
	server := d.w.at(t, "198.51.100.140").Addr
	for _, p := range d.clients {
		_, err := stage.Resolve(t.Context(), p, "udp", at, "evil.shop.example")
		must(t, err)
		stage.AwaitDenied(t, p, server)
	}
	d.w.names.Set(t, "evil.shop.example", "300 A 198.51.100.140")
	d.mustOpen(t, d.clients[0], "evil.shop.example", server)
}

// agentGone ends the agent of node 1, and has nobody start another: DNS goes on, what was learned holds, and nothing more opens.
func (d *domains) agentGone(t *testing.T) {
	node, client := d.Cluster.Node(1), d.clients[0]
	before, after := d.w.at(t, "198.51.100.150"), d.w.at(t, "198.51.100.151")
	d.w.names.Set(t, "before.shop.example", "1 A 198.51.100.150")
	d.w.names.Set(t, "after.shop.example", "300 A 198.51.100.151")
	d.mustOpen(t, client, "before.shop.example", before.Addr)
	flows := stage.Allowed(t, client, before.Addr)

	resume := pause(t, d.Cluster.Daemon("kubelet-n1"))
	pid, err := stage.AgentProcess(node)
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, "the agent's end", func() error {
		if now, err := stage.AgentProcess(node); err == nil {
			return fmt.Errorf("%d runs", now)
		}
		return nil
	})
	for _, network := range []string{"udp", "tcp"} {
		_, err := stage.Resolve(t.Context(), client, network, d.w.dns, "after.shop.example")
		must(t, err)
	}
	stage.AwaitDenied(t, client, after.Addr)
	stage.Advance(t, flows, 20)

	resume()
	eventually(t, "another agent", func() error {
		_, err := stage.AgentProcess(node)
		return err
	})
	eventually(t, "answers are looked at", func() error { return d.w.asks(t, client, "after.shop.example", after.Addr) })
	stage.Advance(t, flows, 20)
	stage.Stop(t, flows)
	stage.AwaitAgents(t, d.Cluster)
	out, err := stage.InAgent(t, d.Cluster, node, "tierwall", "dns")
	must(t, err)
	for _, want := range []string{"before.shop.example", "198.51.100.150", "after.shop.example", "10.96.0.10", client.Addr.String()} {
		if !strings.Contains(out, want) {
			t.Errorf("tierwall dns says nothing of %s:\n%s", want, out)
		}
	}
}

// pause stops a daemon as it is, until the function is called or the test ends.
func pause(t *testing.T, d *cluster.Daemon) (resume func()) {
	t.Helper()
	pid := d.PID()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	resume = sync.OnceFunc(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(resume)
	return resume
}
