package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestFirstConnectionAfterAnswer resolves thousands of names: the first packet to
// each address, sent when the answer is there, must arrive.
func TestFirstConnectionAfterAnswer(t *testing.T) {
	h := newDNSHost(t)
	h.startAgent()
	h.listening()
	if h.reaches(netip.MustParseAddr("198.18.7.7"), 443, wait) {
		t.Error("an address that was not resolved is open")
	}
	names, clients := 2000, 8
	if testing.Short() {
		names = 200
	}
	var denied atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := 1 + c; n <= names; n += clients {
				name := fmt.Sprintf("n%d.shop.example", n)
				addrs, err := h.resolve("udp", trusted, name, dns.TypeA)
				if err != nil || len(addrs) != 1 {
					t.Errorf("%s: %v %v", name, addrs, err)
					return
				}
				if !h.reaches(addrs[0], 443, soon) {
					denied.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if denied.Load() > 0 {
		t.Errorf("%d of %d first connections were denied", denied.Load(), names)
	}
	if k := h.known(); k.Addresses < names || k.Late != 0 {
		t.Errorf("learned %d addresses of %d, %d late", k.Addresses, names, k.Late)
	}
	if code := h.start("verify").wait(t); code != 0 {
		t.Error("the kernel does not decide as policy says of what was learned")
	}
}

// TestWaysOfAnswers: over TCP, by aliases, IPv6, of sets, and what must not count.
func TestWaysOfAnswers(t *testing.T) {
	h := newDNSHost(t)
	h.startAgent()
	h.listening()
	open := func(what string, a netip.Addr, port uint16) {
		t.Helper()
		if !h.reaches(a, port, soon) {
			t.Errorf("%s: %s port %d is closed", what, a, port)
		}
	}
	closed := func(what string, a netip.Addr, port uint16) {
		t.Helper()
		if h.reaches(a, port, wait) {
			t.Errorf("%s: %s port %d is open", what, a, port)
		}
	}
	open("UDP", h.learned("udp", "n1.shop.example", dns.TypeA), 443)
	open("TCP", h.learned("tcp", "n2.shop.example", dns.TypeA), 443)
	open("a large answer over TCP", h.learned("tcp", "large-n901.shop.example", dns.TypeA), 443)
	open("its last address", netip.MustParseAddr("198.19.3.131"), 443)
	open("UDP in fragments", h.learned("udp", "large-n801.shop.example", dns.TypeA), 443)
	open("its last address", netip.MustParseAddr("198.19.0.199"), 443)
	open("IPv6", h.learned("udp", "n3.shop.example", dns.TypeAAAA), 443)
	open("aliases", h.learned("udp", "alias-n4.shop.example", dns.TypeA), 443)
	open("upper case", h.learned("udp", "N5.Shop.EXAMPLE", dns.TypeA), 443)
	open("deeper", h.learned("udp", "n6.a.b.shop.example", dns.TypeA), 443)
	closed("another port", netip.MustParseAddr("198.18.0.1"), 444)

	closed("the domain itself is not below it", h.learned("udp", "shop.example", dns.TypeA), 443)
	closed("another domain", h.learned("udp", "n20.other.example", dns.TypeA), 443)
	closed("a domain that only ends like it", h.learned("udp", "n21.myshop.example", dns.TypeA), 443)
	partner := h.learned("udp", "api.partner.example", dns.TypeA)
	closed("a set's address by another rule", partner, 443)
	if addrs, err := h.resolve("udp", untrusted, "n22.shop.example", dns.TypeA); err != nil || len(addrs) != 1 {
		t.Errorf("a server that is not trusted: %v %v", addrs, err)
	}
	closed("what a server says that is not trusted", netip.MustParseAddr("198.18.0.22"), 443)
	// api.partner.example is n0: 198.18.0.0.
	open("a set", partner, 444)
}

// TestWhoIsAsked: a service before a server that is not trusted itself, a cache on
// the node without connection tracking, servers of IPv6, and answers to nobody.
func TestWhoIsAsked(t *testing.T) {
	h := newDNSHost(t)
	h.onNode("", "ip", "addr", "add", nodeLocal+"/32", "dev", "lo")
	h.serve(h.lab.Node(), nodeLocal+":53")
	h.onNode(`table ip services {
	chain prerouting { type nat hook prerouting priority -100; ip daddr `+clusterIP+` udp dport 53 dnat to `+untrusted+`:5353; }
	chain raw {
		type filter hook prerouting priority -300
		ip daddr `+nodeLocal+` udp dport 53 notrack
		ip saddr `+untracked+` udp sport 53 notrack
		ip daddr `+untracked+` udp dport 53 notrack
	}
	chain out { type filter hook output priority -300; ip saddr `+nodeLocal+` udp sport 53 notrack; }
}
`, "nft", "-f", "-")
	h.startAgent()
	h.listening()
	for i, tt := range []struct {
		server, network string
		want            bool
	}{
		{clusterIP, "udp", true},
		{untrusted, "udp", false},
		{nodeLocal, "udp", true}, // not tracked
		{nodeLocal, "tcp", true}, // tracked
		// Of a server elsewhere whose packets are not tracked nobody knows who has asked it.
		{untracked, "udp", false},
		{trusted6, "udp", true},
		{trusted6, "tcp", true},
	} {
		name := fmt.Sprintf("n%d.shop.example", 100+i)
		addrs, err := h.resolve(tt.network, tt.server, name, dns.TypeA)
		if err != nil || len(addrs) != 1 {
			t.Errorf("%s over %s: %v %v", tt.server, tt.network, addrs, err)
			continue
		}
		patience := wait
		if tt.want {
			patience = soon
		}
		if got := h.reaches(addrs[0], 443, patience); got != tt.want {
			t.Errorf("what %s says over %s: open is %v", tt.server, tt.network, got)
		}
	}

	h.onNode("", "nft", "add rule ip services raw ip daddr "+nodeLocal+" tcp dport 53 notrack")
	h.onNode("", "nft", "add rule ip services out ip saddr "+nodeLocal+" tcp sport 53 notrack")
	for name, at := range map[string]string{"n150.shop.example": "198.18.0.150", "large-n151.shop.example": "198.18.0.151"} {
		if _, err := h.resolve("tcp", nodeLocal, name, dns.TypeA); err != nil {
			t.Errorf("%s over TCP that is not tracked: %v", name, err)
		} else if !h.reaches(netip.MustParseAddr(at), 443, soon) {
			t.Errorf("%s over TCP that is not tracked opens nothing", name)
		}
	}

	// An answer that nobody has asked for, from the address of a trusted server.
	q, m := new(dns.Msg), new(dns.Msg)
	q.SetQuestion("n200.shop.example.", dns.TypeA)
	m.SetReply(q)
	rr, _ := dns.NewRR("n200.shop.example. 300 IN A 198.18.0.200")
	m.Answer = append(m.Answer, rr)
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	to, err := h.web.ListenPacket("udp", "10.0.0.2:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	from, err := h.server.DialFrom(context.Background(), "udp", netip.MustParseAddrPort(trusted+":4053"), netip.MustParseAddrPort("10.0.0.2:4000"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	if _, err := from.Write(packet); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(soon))
	if _, _, err := to.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if h.reaches(netip.MustParseAddr("198.18.0.200"), 443, wait) {
		t.Error("an answer that nobody has asked for opens an address")
	}
}

// TestNodeLocalCacheIsFound: an agent that is not told of any server trusts a cache on its
// node, and nothing else that is there.
func TestNodeLocalCacheIsFound(t *testing.T) {
	const other, silent = "169.254.20.11", "169.254.20.12"
	h := newDNSHost(t)
	t.Setenv(dnsVariable, findServers)
	h.onNode("", "ip", "link", "add", "nodelocaldns", "type", "bridge") // not every kernel has dummy interfaces
	h.onNode("", "ip", "link", "set", "nodelocaldns", "up")
	for _, a := range []string{nodeLocal, silent} {
		h.onNode("", "ip", "addr", "add", a+"/32", "dev", "nodelocaldns")
	}
	h.onNode("", "ip", "addr", "add", other+"/32", "dev", "lo")
	for _, a := range []string{nodeLocal, other} {
		h.serve(h.lab.Node(), a+":53")
	}
	h.onNode(`table ip cache {
	chain in { type filter hook prerouting priority -300; ip daddr 169.254.20.0/24 meta l4proto { tcp, udp } th dport 53 notrack; }
	chain out { type filter hook output priority -300; ip saddr 169.254.20.0/24 meta l4proto { tcp, udp } th sport 53 notrack; }
}
`, "nft", "-f", "-")
	h.startAgent()
	h.eventually("answers are read", func() bool {
		_, err := h.resolve("udp", nodeLocal, "n4999.shop.example", dns.TypeA)
		return err == nil && h.known().Answers > 0
	})
	if got := fmt.Sprint(h.known().Servers); got != "["+nodeLocal+"]" {
		t.Errorf("trusted are %s", got)
	}
	for i, tt := range []struct {
		server, network string
		want            bool
	}{{nodeLocal, "udp", true}, {nodeLocal, "tcp", true}, {other, "udp", false}, {trusted, "udp", false}} {
		addrs, err := h.resolve(tt.network, tt.server, fmt.Sprintf("n%d.shop.example", 500+i), dns.TypeA)
		if err != nil || len(addrs) != 1 {
			t.Errorf("%s over %s: %v %v", tt.server, tt.network, addrs, err)
			continue
		}
		patience := wait
		if tt.want {
			patience = soon
		}
		if got := h.reaches(addrs[0], 443, patience); got != tt.want {
			t.Errorf("what %s says over %s: open is %v", tt.server, tt.network, got)
		}
	}
	if code := h.start("verify").wait(t); code != 0 {
		t.Error("verify finds other servers than the agent")
	}
}

// TestDNSWithoutAgent: an agent that is killed stops nobody's DNS and opens nothing;
// what it has learned stays, and is known to the next.
func TestDNSWithoutAgent(t *testing.T) {
	h := newDNSHost(t)
	agent := h.startAgent()
	h.listening()
	before := h.learned("udp", "n1.shop.example", dns.TypeA)
	if !h.reaches(before, 443, soon) {
		t.Fatal("the first connection was denied")
	}
	_ = agent.cmd.Process.Kill()
	agent.wait(t)
	meanwhile := h.learned("udp", "n2.shop.example", dns.TypeA)
	if !h.reaches(before, 443, soon) {
		t.Error("what was learned is gone with the agent")
	}
	if h.reaches(meanwhile, 443, wait) {
		t.Error("an address is open that nobody has learned")
	}
	h.startAgent()
	if !h.reaches(before, 443, soon) {
		t.Error("what the last agent had learned is closed")
	}
	if h.reaches(meanwhile, 443, wait) {
		t.Error("an address is open that nobody has learned")
	}
	h.listening()
	if a := h.learned("udp", "n2.shop.example", dns.TypeA); !h.reaches(a, 443, soon) {
		t.Error("the next agent does not learn")
	}
}

// TestDNSOfSlowAgent: an agent that does nothing any more, as one that hangs,
// holds up the answers of a few seconds; then they pass without it, and open nothing.
func TestDNSOfSlowAgent(t *testing.T) {
	h := newDNSHost(t)
	agent := h.startAgent()
	h.listening()
	_ = agent.cmd.Process.Signal(syscall.SIGSTOP)
	defer func() { _ = agent.cmd.Process.Signal(syscall.SIGCONT) }()
	h.eventually("the agent stands still", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", agent.cmd.Process.Pid))
		for _, path := range threads {
			if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), "State:\tT") {
				return false
			}
		}
		return len(threads) > 0
	})
	const most = 60 // a client that asks again and again; far fewer than may wait
	for asked := 1; asked <= most; asked++ {
		if _, err := h.resolveWithin("udp", trusted, "n3.shop.example", dns.TypeA, wait); err != nil {
			continue
		}
		t.Logf("answered after %d questions", asked)
		if h.reaches(netip.MustParseAddr("198.18.0.3"), 443, wait) {
			t.Error("an address is open that nobody has learned")
		}
		_ = agent.cmd.Process.Signal(syscall.SIGCONT)
		h.eventually("the agent that goes on learns again", func() bool {
			return h.reaches(h.learned("udp", "n4.shop.example", dns.TypeA), 443, wait)
		})
		return
	}
	t.Error("DNS stands still with an agent that does")
}
