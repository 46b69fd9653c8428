package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// shape is what a network plugin makes of a node: how its pods are joined to it. Each is made here as the plugin makes
// it, by the commands of ip, so that whoever has a node of the kind can compare.
type shape struct {
	// interfaces is how the plugin names the node's ends of the pods' links, with %d for the pod.
	interfaces string
	bridge     string
	// node is what is done to the node for all pods; pod and link what is done in each pod and, for each, to the node.
	// ADDR and LINK stand for the pod's address and the node's end of its link. A line "set FILE VALUE" writes below /proc/sys/net.
	node, link, pod string
	// apart says that the node's own packets for its pods go out into the world, and come back from there.
	apart bool
}

// shapes have pods 10.244.1.2 to 10.244.1.4, and the way out by eth9, behind which is 192.0.2.1.
var shapes = map[string]shape{
	// A route for each pod, and a gateway that is nobody's address: the node answers for it.
	"Calico": {
		interfaces: "cali0123456789%d",
		node:       "route add blackhole 10.244.1.0/26 proto 80",
		link:       "set ipv4/conf/LINK/proxy_arp 1\nset ipv4/neigh/LINK/proxy_delay 0\nset ipv4/conf/LINK/rp_filter 1",
		pod: `neigh del 169.254.1.1 dev eth0
route del default
route add 169.254.1.1 dev eth0 scope link
route add default via 169.254.1.1 dev eth0`,
	},
	// A bridge, and another way to the pods of other nodes.
	"Flannel": {
		interfaces: "veth0123456%d", bridge: "cni0",
		node: `link add flannel.1 type vxlan id 1 local 172.31.255.1 dstport 8472 nolearning
link set flannel.1 up
route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink
set bridge/bridge-nf-call-iptables 1`,
	},
	// Of ptp: every link has the same gateway, as an address of the node, and the pod a route to it alone.
	"kindnet": {
		interfaces: "veth76543210%d",
		link:       "addr add 10.244.1.1/32 dev LINK\nroute replace ADDR dev LINK scope host",
		pod: `neigh del 169.254.1.1 dev eth0
addr flush dev eth0
addr add ADDR/24 dev eth0
route del 10.244.1.0/24 dev eth0
route add 10.244.1.1 dev eth0 scope link src ADDR
route add 10.244.1.0/24 via 10.244.1.1 dev eth0 src ADDR
route replace default via 10.244.1.1 dev eth0`,
	},
	// What is for a pod is in the main table; what comes from it leaves by the table of its network interface.
	"AWS VPC CNI": {
		interfaces: "eni0123456789%d",
		node:       "route add default via 192.0.2.1 dev eth9 onlink table 2",
		link:       "rule add to ADDR table main priority 512\nrule add from ADDR table 2 priority 1536",
	},
	// A pod with security groups: its way is in the table of its branch interface only, which nothing leads to but what comes from there.
	"AWS VPC CNI, branch interfaces": {
		interfaces: "vlan0123456789%d",
		node:       "route add default via 192.0.2.1 dev eth9 onlink table 101\nrule add iif eth9 table 101 priority 10",
		link:       "route del ADDR dev LINK\nroute add ADDR dev LINK scope link table 101\nrule add iif LINK table 101 priority 10",
		apart:      true,
	},
}

const shapePods = `
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: shop, labels: {app: %[1]s}}
spec: {nodeName: here, containers: [{name: c, image: i}]}
status: {podIP: %s}
---
`

const shapePolicy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 5432}, {protocol: UDP, port: 5353}]
`

// TestShapes runs an agent on nodes as network plugins make them: it finds by which interface each pod is reached, real
// packets are decided as policy says, and no pod gets through under another's address.
func TestShapes(t *testing.T) {
	lab.RequireProgram(t, "ip")
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) { s.test(t) })
	}
}

func (s shape) test(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{Name: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &host{t: t, lab: l, dir: t.TempDir(), run: t.TempDir()}
	h.client = &http.Client{Transport: &http.Transport{DialContext: l.Node().DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	add := func(cfg lab.HostConfig) *lab.Host {
		t.Helper()
		host, err := l.AddHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return host
	}
	if s.bridge != "" {
		if err := l.AddBridge(lab.BridgeConfig{Name: s.bridge, Gateways: []netip.Prefix{netip.MustParsePrefix("10.244.1.1/24")}}); err != nil {
			t.Fatal(err)
		}
	}
	world := add(lab.HostConfig{Name: "world", Interface: "eth9", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	s.run(t, l.Node(), "route add default via 192.0.2.1 dev eth9 onlink\n"+s.node, nil)
	pods, text := map[string]*lab.Host{}, ""
	for i, name := range []string{"web", "db", "evil"} {
		a := netip.AddrFrom4([4]byte{10, 244, 1, byte(2 + i)})
		p := add(lab.HostConfig{Name: name, Interface: fmt.Sprintf(s.interfaces, i), Bridge: s.bridge, Addrs: []netip.Addr{a}})
		s.run(t, l.Node(), s.link, p)
		s.run(t, p, s.pod, p)
		pods[name] = p
		text += fmt.Sprintf(shapePods, name, a)
	}
	h.write("cluster.yaml", text)
	h.write("policy.yaml", shapePolicy)
	h.startAgent()
	h.eventually("all interfaces are found", func() bool {
		found := 0
		for _, e := range h.status().Endpoints {
			if e.Interface == pods[e.Name].Interface() && e.Bridge == s.bridge {
				found++
			} else if e.Interface != "" {
				t.Fatalf("%s: it is at %q of bridge %q, not at %s of %q", e.Name, e.Interface, e.Bridge, pods[e.Name].Interface(), s.bridge)
			}
		}
		return found == len(pods)
	})
	if left := h.status().NotEnforced; len(left) > 0 {
		t.Errorf("not enforced: %q", left)
	}

	web, db, evil := pods["web"], pods["db"], pods["evil"]
	for _, c := range []struct {
		from *lab.Host
		port uint16
		want lab.Verdict
	}{
		{web, 5432, lab.Allowed},
		{web, 5433, lab.Denied},
		{evil, 5432, lab.Denied},
		{world, 5432, lab.Denied},
		{l.Node(), 5433, lab.Allowed}, // a node reaches its own pods
	} {
		if s.apart && c.from == l.Node() {
			continue
		}
		flow := policy.Flow{Src: c.from.Addr4(), Dst: db.Addr4(), Protocol: policy.TCP, DstPort: c.port}
		if out := l.Probe(context.Background(), flow, 0); out.Verdict != c.want {
			t.Errorf("%s to port %d: %v (%s), want %v", c.from.Name(), c.port, out.Verdict, out.Detail, c.want)
		}
	}
	for _, to := range []*lab.Host{evil, world} { // those without policy
		flow := policy.Flow{Src: db.Addr4(), Dst: to.Addr4(), Protocol: policy.TCP, DstPort: 80}
		if out := l.Probe(context.Background(), flow, 0); out.Verdict != lab.Allowed {
			t.Errorf("to %s: %v (%s)", to.Name(), out.Verdict, out.Detail)
		}
	}
	h.noSpoofing(s, web, db, evil)
}

// noSpoofing lets a pod send under the address of one that is allowed. What comes from that one itself arrives.
func (h *host) noSpoofing(s shape, web, db, evil *lab.Host) {
	h.t.Helper()
	to := netip.AddrPortFrom(db.Addr4(), 5353)
	server, err := db.ListenPacket("udp", to.String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	s.run(h.t, evil, "addr add "+web.Addr4().String()+"/32 dev lo", evil)
	send := func(from *lab.Host, port uint16, text string) {
		h.t.Helper()
		conn, err := from.DialFrom(context.Background(), "udp", netip.AddrPortFrom(web.Addr4(), port), to)
		if err == nil {
			_, err = conn.Write([]byte(text))
			_ = conn.Close()
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	for port := range uint16(5) {
		send(evil, 50000+port, "evil")
	}
	counted := "\ntierwall_spoofed_packets_total 5\n"
	h.eventually("the packets under another's address are counted", func() bool {
		resp, err := h.client.Get("http://127.0.0.1:9098/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), counted)
	})
	send(web, 50010, "honest")
	b := make([]byte, 16)
	_ = server.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _, err := server.ReadFrom(b)
	if err != nil || string(b[:n]) != "honest" {
		h.t.Errorf("%q arrived: %v", b[:n], err)
	}
}

// run runs lines of commands of ip in a host.
func (s shape) run(t testing.TB, where *lab.Host, lines string, pod *lab.Host) {
	t.Helper()
	if pod != nil {
		lines = strings.NewReplacer("ADDR", pod.Addr4().String(), "LINK", pod.Interface()).Replace(lines)
	}
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		err := where.Do(func() error {
			if args[0] == "set" {
				return os.WriteFile(filepath.Join("/proc/sys/net", args[1]), []byte(args[2]), 0)
			}
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s: ip %s: %v", where.Name(), strings.TrimSpace(line), err)
		}
	}
}
