package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/test/e2e/cluster"
	"github.com/tierwall/tierwall/test/e2e/stage"
)

// burstPods is how many pods a node takes, as Kubernetes has it.
const burstPods = 110

// eagerPort is where eager pods listen.
const eagerPort = 8081

// eager is a pod whose first packets are what policy denies it, and which then answers anyone.
func eager(server *theatre) string {
	return fmt.Sprintf(`
/agnhost connect --timeout=200ms --protocol=udp %[2]s
/agnhost connect --timeout=200ms %[2]s
until /agnhost connect --timeout=2s --protocol=udp %[1]s; do :; done
exec /agnhost netexec --http-port=8080 --udp-port=%[3]d
`, server.open.Addr, server.closed.Addr, eagerPort)
}

// eagerPolicy lets eager pods use one port of the server, and nobody use them.
const eagerPolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: eager}
spec:
  podSelector: {matchLabels: {eager: "yes"}}
  policyTypes: [Ingress, Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: server}}}]
    ports: [{protocol: UDP, port: 1001}]
---
# From here on the server takes everything: what the eager pods may not is their own egress.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{}]
`

// sweep sends datagrams to all addresses of a node's pods, over and over, until it is stopped; stop
// gives the addresses that answered.
func sweep(t *testing.T, from stage.Place, n *cluster.Node) (stop func() map[netip.Addr]bool) {
	t.Helper()
	var conn net.PacketConn
	err := from.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", ":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	answered := map[netip.Addr]bool{}
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() {
		buffer := make([]byte, 2048)
		for {
			_, from, err := conn.ReadFrom(buffer)
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				continue // what ICMP says of an address that nobody has
			}
			if at, err := netip.ParseAddrPort(from.String()); err == nil {
				answered[at.Addr()] = true
			}
		}
	})
	both.Go(func() {
		pods := n.PodNets()[0]
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for a := pods.Addr().Next().Next(); ctx.Err() == nil; a = a.Next() {
			if !pods.Contains(a.Next()) {
				a = pods.Addr().Next().Next()
			}
			_, _ = conn.WriteTo([]byte("hostname"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, eagerPort)))
			<-tick.C
		}
	})
	once := sync.OnceValue(func() map[netip.Addr]bool {
		cancel()
		_ = conn.Close()
		both.Wait()
		return answered
	})
	t.Cleanup(func() { once() })
	return once
}

// earlyPods is how many pods of a burst are made while the agent is stopped: what holds them up must be something else
// than that it is quick. TestWithoutPlugin shows that these are seen to send and answer where nothing holds them up.
const earlyPods = 5

// A node gets all its pods at once. Not one packet of any is decided otherwise than policy says, from the first.
func TestBurst(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	leaks := burst(t, s, burstPods, func() {
		// In the time in which others start one after the other, which no plugin holds up, those before them would have started.
		for i := range 3 {
			other := fmt.Sprintf("other-%d", i)
			s.CreatePod(stage.PodSpec{Name: other, Node: 1, HostNetwork: true, Args: []string{"pause"}})
			kubectl(t, c, "wait", "--for=condition=Ready", "--timeout=180s", "--namespace", s.Name, "pod/"+other)
		}
	})
	for _, leak := range leaks {
		t.Error(leak)
	}
}

// burst makes pods on node 1, the first few while the agent does nothing until hold returns, and gives what was decided otherwise
// than policy says.
func burst(t *testing.T, s *theatre, pods int, hold func()) (leaks []string) {
	t.Helper()
	s.Apply(eagerPolicy)
	stage.AwaitAllowed(t, s.client, s.closed.Addr)
	s.open.Forget()
	s.closed.Forget()
	node := s.Cluster.Node(1)
	stop := sweep(t, s.strangers[1], node)

	script := eager(s)
	resume := stage.PauseAgent(t, node)
	for i := range pods {
		if i == earlyPods {
			hold()
			resume()
			awaitEager(t, s, earlyPods)
		}
		s.CreatePod(stage.PodSpec{Name: fmt.Sprintf("eager-%d", i), Node: 1, Labels: map[string]string{"eager": "yes"}, Shell: script})
	}
	addresses := awaitEager(t, s, pods)
	answered := stop()
	for _, a := range addresses {
		if n := s.closed.Seen(a); n > 0 {
			leaks = append(leaks, fmt.Sprintf("%d packets from %s got through to the closed port", n, a))
		}
		if answered[a] {
			leaks = append(leaks, fmt.Sprintf("%s answered, and nobody may reach it", a))
		}
	}
	return leaks
}

// awaitEager waits until that many pods have reached the server's open port, and gives the pods' addresses.
func awaitEager(t *testing.T, s *theatre, pods int) []netip.Addr {
	t.Helper()
	// Two processors start a hundred containers, three programs in each.
	ctx, cancel := context.WithTimeout(t.Context(), 3*stage.Patience)
	defer cancel()
	var addresses []netip.Addr
	err := stage.Eventually(ctx, func(ctx context.Context) error {
		list, err := s.Client.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{LabelSelector: "eager=yes"})
		if err != nil {
			return err
		}
		addresses = nil
		var silent []string
		for _, p := range list.Items {
			a, err := netip.ParseAddr(p.Status.PodIP)
			if err != nil || p.Status.Phase != corev1.PodRunning || s.open.Seen(a) == 0 {
				silent = append(silent, p.Name)
				continue
			}
			addresses = append(addresses, a)
		}
		if len(addresses) != pods {
			return fmt.Errorf("%d of %d pods have reached the server; not yet: %s", len(addresses), pods, strings.Join(silent, " "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return addresses
}

// A node loses power and comes back. What its pods send and get, from their first packet on, is decided by policy; and
// elsewhere policy follows them to their new addresses.
func TestNodeReboot(t *testing.T) {
	c := withTierwall(t)
	s := newTheatre(t, c)
	s.Apply(eagerPolicy)
	stage.AwaitAllowed(t, s.client, s.closed.Addr)
	s.closed.Forget()
	stop := sweep(t, s.strangers[0], c.Node(2))
	const pods = 5
	for i := range pods {
		s.CreatePod(stage.PodSpec{Name: fmt.Sprintf("eager-%d", i), Node: 2, Labels: map[string]string{"eager": "yes"}, Shell: eager(s)})
	}
	before := awaitEager(t, s, pods)

	if err := c.Node(2).Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	stage.AwaitAgents(t, c)
	// Their status has the old addresses until the kubelet has made new pods.
	ctx, cancel := context.WithTimeout(t.Context(), stage.Patience)
	defer cancel()
	err := stage.Eventually(ctx, func(ctx context.Context) error {
		list, err := s.Client.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{LabelSelector: "eager=yes"})
		if err != nil {
			return err
		}
		for _, p := range list.Items {
			if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].RestartCount == 0 {
				return fmt.Errorf("pod %s has not restarted", p.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after := awaitEager(t, s, pods)
	t.Logf("before: %v, after: %v", before, after)
	answered := stop()
	nets := c.Node(2).PodNets()[0]
	for from, n := range s.closed.SeenAll() {
		if nets.Contains(from) {
			t.Errorf("%d packets from %s got through to the closed port", n, from)
		}
	}
	for a := range answered {
		t.Errorf("%s answered, and nobody may reach it", a)
	}
}
