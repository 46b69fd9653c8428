package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	names "github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/lab"
)

// dnsVariable names the DNS servers that an agent of the tests trusts; none: it has
// nothing to do with domains.
const dnsVariable = "DNS_SERVERS"

// dnsLimitVariable is how many addresses an agent learns at most.
const dnsLimitVariable = "DNS_LIMIT"

// findServers has an agent find the servers by itself.
const findServers = "found"

func testDNS() *dnslearner.Config {
	text, ok := os.LookupEnv(dnsVariable)
	if !ok {
		return nil
	}
	cfg := &dnslearner.Config{}
	if n, err := strconv.Atoi(os.Getenv(dnsLimitVariable)); err == nil {
		cfg.Limits = names.Limits{PerName: 1000, PerClient: n, Total: n, Least: time.Minute, Most: time.Hour}
	}
	if text == findServers {
		cfg.ResolvConf = []string{}
		return cfg
	}
	for s := range strings.FieldsSeq(text) {
		cfg.Servers = append(cfg.Servers, netip.MustParseAddr(s))
	}
	return cfg
}

// The cluster of the tests of domains: a pod that may go to names below
// shop.example, and to one name of another domain, and no further.
const domainsYAML = `apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: app, labels: {app: web}}
spec: {nodeName: here, containers: [{name: c}]}
status: {podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {set: partners}}
spec: {allowedEgressDomains: [api.partner.example]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: app}
spec:
  selector: app == 'web'
  types: [Egress]
  egress:
  - {action: Allow, protocol: UDP, destination: {ports: [53, 5353]}}
  - {action: Allow, protocol: TCP, destination: {ports: [53]}}
  - {action: Allow, protocol: UDP, destination: {domains: ["*.shop.example"], ports: [443]}}
  - {action: Allow, protocol: UDP, destination: {selector: set == 'partners', namespaceSelector: global(), ports: [444]}}
`

const (
	trusted   = "192.0.2.53"
	trusted6  = "2001:db8:53::53"
	untrusted = "192.0.2.54"
	clusterIP = "10.96.0.10"    // a service before the untrusted server
	nodeLocal = "169.254.20.10" // on the node itself
	untracked = "192.0.2.55"    // a trusted one
)

// dnsHost is a lab with DNS servers, and a world whose hosts have names.
type dnsHost struct {
	*host
	server, world *lab.Host
	asked         atomic.Int64
	ports         atomic.Int64
}

// zone answers as the servers of the tests do: n17.shop.example is 198.18.0.17, and
// so on, alias-n17.shop.example is an alias of it in another domain; steal-n17, of
// whatever domain, is one of n17.shop.example.
func (h *dnsHost) zone(w dns.ResponseWriter, q *dns.Msg) {
	h.asked.Add(1)
	m := new(dns.Msg)
	m.SetReply(q)
	m.Compress = true
	name := q.Question[0].Name
	head, _, _ := strings.Cut(strings.ToLower(name), ".")
	add := func(rr string) {
		r, err := dns.NewRR(rr)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, r)
	}
	owner := name
	head, large := strings.CutPrefix(head, "large-")
	if rest, ok := strings.CutPrefix(head, "alias-"); ok {
		head = rest
		add(fmt.Sprintf("%s 300 IN CNAME edge-%s.cdn.example.", name, head))
		add(fmt.Sprintf("edge-%s.cdn.example. 300 IN CNAME node.cdn.example.", head))
		owner = "node.cdn.example."
	}
	if rest, ok := strings.CutPrefix(head, "steal-"); ok {
		head, owner = rest, rest+".shop.example."
		add(fmt.Sprintf("%s 300 IN CNAME %s", name, owner))
	}
	var n int
	_, _ = fmt.Sscanf(head, "n%d", &n)
	if q.Question[0].Qtype == dns.TypeAAAA {
		add(fmt.Sprintf("%s 300 IN AAAA fd01::%x", owner, n))
	} else {
		add(fmt.Sprintf("%s 300 IN A 198.18.%d.%d", owner, n>>8, n&255))
	}
	if large { // more than a packet of the link, or a segment, can hold
		n := 200
		if w.RemoteAddr().Network() == "tcp" {
			n = 900
		}
		for i := range n {
			add(fmt.Sprintf("%s 300 IN A 198.19.%d.%d", owner, i>>8, i&255))
		}
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(4096)
	m.Extra = append(m.Extra, opt)
	_ = w.WriteMsg(m)
}

func newDNSHost(t *testing.T) *dnsHost {
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
	h := &dnsHost{host: &host{t: t, lab: l, dir: t.TempDir(), run: t.TempDir()}}
	h.connect()
	add := func(cfg lab.HostConfig) *lab.Host {
		added, err := l.AddHost(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return added
	}
	h.web = add(lab.HostConfig{Name: "web", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")}})
	h.server = add(lab.HostConfig{Name: "dns", Addrs: []netip.Addr{netip.MustParseAddr(trusted), netip.MustParseAddr(untrusted), netip.MustParseAddr(untracked), netip.MustParseAddr(trusted6)}})
	h.world = add(lab.HostConfig{
		Name: "world", Addrs: []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("fd02::1")},
		Nets: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("fd01::/64")},
	})
	for _, addr := range []string{trusted + ":53", untrusted + ":53", untrusted + ":5353", untracked + ":53", "[" + trusted6 + "]:53"} {
		h.serve(h.server, addr)
	}
	for _, port := range []uint16{443, 444} {
		if err := h.world.Serve(17, port); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(dnsVariable, strings.Join([]string{trusted, trusted6, clusterIP, nodeLocal, untracked}, " "))
	h.write("cluster.yaml", domainsYAML)
	return h
}

// serve runs a DNS server, over UDP and TCP.
func (h *dnsHost) serve(on *lab.Host, addr string) {
	h.t.Helper()
	pc, err := on.ListenPacket("udp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	ln, err := on.Listen("tcp", addr)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: dns.HandlerFunc(h.zone)}, {Listener: ln, Handler: dns.HandlerFunc(h.zone)}} {
		go func() { _ = s.ActivateAndServe() }()
		h.t.Cleanup(func() { _ = s.Shutdown() })
	}
}

// onNode runs a program in the node's network namespace.
func (h *dnsHost) onNode(stdin, name string, args ...string) {
	h.t.Helper()
	cmd := exec.Command(lab.RequireProgram(h.t, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out []byte
	err := h.lab.Node().Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		h.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// dial connects from the pod, from a port that no other socket has: the lab's sockets
// share ports, and of two the kernel may give an answer to the one that did not ask.
func (h *dnsHost) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	return h.dialOn(ctx, h.web, network, to)
}

// dialOn is dial from another pod.
func (h *dnsHost) dialOn(ctx context.Context, pod *lab.Host, network string, to netip.AddrPort) (net.Conn, error) {
	from := pod.Addr4()
	if to.Addr().Is6() {
		from = pod.Addr6()
	}
	return pod.DialFrom(ctx, network, netip.AddrPortFrom(from, uint16(20_000+h.ports.Add(1)%28_000)), to) //nolint:gosec // below 65536
}

// resolve asks a server over udp or tcp, once, and gives the addresses.
func (h *dnsHost) resolve(network, server, name string, typ uint16) ([]netip.Addr, error) {
	return h.resolveWithin(network, server, name, typ, 10*time.Second)
}

// resolveWithin asks once, and waits so long for the answer.
func (h *dnsHost) resolveWithin(network, server, name string, typ uint16, within time.Duration) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return h.resolveOn(ctx, h.web, network, server, name, typ)
}

// resolveOn asks once from a pod, and waits for the answer until the context ends.
func (h *dnsHost) resolveOn(ctx context.Context, pod *lab.Host, network, server, name string, typ uint16) ([]netip.Addr, error) {
	conn, err := h.dialOn(ctx, pod, network, netip.AddrPortFrom(netip.MustParseAddr(server), 53))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), typ)
	q.SetEdns0(4096, false)
	c := &dns.Conn{Conn: conn, UDPSize: 4096}
	until, _ := ctx.Deadline()
	_ = conn.SetDeadline(until)
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	m, err := c.ReadMsg()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, rr := range m.Answer {
		switch r := rr.(type) {
		case *dns.A:
			a, _ := netip.AddrFromSlice(r.A.To4())
			out = append(out, a)
		case *dns.AAAA:
			a, _ := netip.AddrFromSlice(r.AAAA)
			out = append(out, a)
		}
	}
	return out, nil
}

// reaches sends one packet, once, and waits for its answer.
func (h *dnsHost) reaches(to netip.Addr, port uint16, patience time.Duration) bool {
	conn, err := h.dial(context.Background(), "udp", netip.AddrPortFrom(to, port))
	if err != nil {
		h.t.Error(err)
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte("x")); err != nil {
		h.t.Error(err)
		return false
	}
	_, err = conn.Read(make([]byte, 512))
	var timeout net.Error
	if err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
		h.t.Error(err)
	}
	return err == nil
}

const (
	soon = 5 * time.Second        // for what must come
	wait = 150 * time.Millisecond // for what must not
)

// learned resolves a name and gives its first address.
func (h *dnsHost) learned(network, name string, typ uint16) netip.Addr {
	h.t.Helper()
	addrs, err := h.resolve(network, trusted, name, typ)
	if err != nil || len(addrs) == 0 {
		h.t.Fatalf("resolve %s over %s: %v %v", name, network, addrs, err)
	}
	return addrs[0]
}

func (h *dnsHost) known() dnslearner.Learned {
	h.t.Helper()
	var l dnslearner.Learned
	h.get("/dns", &l)
	return l
}

// listening waits until answers are read.
func (h *dnsHost) listening() {
	h.t.Helper()
	h.eventually("answers are read", func() bool {
		_, err := h.resolve("udp", trusted, "n4999.shop.example", dns.TypeA)
		return err == nil && h.known().Answers > 0
	})
}
