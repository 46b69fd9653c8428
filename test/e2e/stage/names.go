package stage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Names is what a DNS server answers: whatever the test says, in the cluster's zone and outside. It may be served in
// many places at once, as the pods behind a DNS service are.
type Names struct {
	mu      sync.Mutex
	records map[string][]dns.RR // by the name they are of
	asked   map[string]int      // questions, by "udp name"
}

// NewNames knows no names.
func NewNames() *Names { return &Names{records: map[string][]dns.RR{}, asked: map[string]int{}} }

// Set replaces the records of a name, each as in "60 A 198.51.100.7" or "5 CNAME edge.example.". Without any the name
// is not there any more.
func (n *Names) Set(t testing.TB, name string, records ...string) {
	t.Helper()
	name = dns.CanonicalName(name)
	var all []dns.RR
	for _, text := range records {
		rr, err := dns.NewRR(name + " " + text)
		if err != nil {
			t.Fatalf("record of %s: %v", name, err)
		}
		all = append(all, rr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[name] = all
	if len(all) == 0 {
		delete(n.records, name)
	}
}

// Asked is how often a name was asked for, over "udp" or "tcp".
func (n *Names) Asked(network, name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[network+" "+dns.CanonicalName(name)]
}

// Serve answers in a place, over UDP and TCP, until the test ends.
func (n *Names) Serve(t testing.TB, where Place, at netip.AddrPort) {
	t.Helper()
	var udp, tcp *dns.Server
	err := where.Do(func() (err error) {
		if udp, err = n.server("udp", at); err == nil {
			tcp, err = n.server("tcp", at)
		}
		return err
	})
	if err != nil {
		t.Fatalf("serve names at %s: %v", at, err)
	}
	for _, s := range []*dns.Server{udp, tcp} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = s.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = s.Shutdown() })
	}
}

// server listens, and does not answer yet.
func (n *Names) server(network string, at netip.AddrPort) (*dns.Server, error) {
	s := &dns.Server{Net: network, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { n.answer(network, w, q) })}
	var err error
	if network == "udp" {
		s.PacketConn, err = listenPacket(at)
	} else {
		s.Listener, err = listen(at)
	}
	return s, err
}

func (n *Names) answer(network string, w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	n.fill(network, m)
	size := dns.MinMsgSize
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(1232, false)
		size = int(o.UDPSize())
	}
	if network == "tcp" {
		size = dns.MaxMsgSize
	}
	m.Truncate(size)
	_ = w.WriteMsg(m) // whoever asked asks again
}

// fill writes the records that answer, along aliases.
func (n *Names) fill(network string, m *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := dns.CanonicalName(m.Question[0].Name)
	n.asked[network+" "+name]++
	if len(n.records[name]) == 0 {
		m.Rcode = dns.RcodeNameError
		return
	}
	for range 8 {
		next := ""
		for _, rr := range n.records[name] {
			if alias, ok := rr.(*dns.CNAME); ok {
				next = dns.CanonicalName(alias.Target)
			} else if rr.Header().Rrtype != m.Question[0].Qtype {
				continue
			}
			m.Answer = append(m.Answer, dns.Copy(rr))
		}
		if next == "" {
			return
		}
		name = next
	}
}

// Resolve asks a server for a name's IPv4 addresses, as a stub resolver does: it asks again when no answer comes, and
// by TCP what is too long for UDP. The network is "udp" or "tcp".
func Resolve(ctx context.Context, from Place, network string, server netip.AddrPort, name string) ([]netip.Addr, error) {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeA)
	var errs []error
	for range 4 {
		m, err := ask(ctx, from, network, server, q)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if m.Truncated {
			network = "tcp"
			continue
		}
		if m.Rcode != dns.RcodeSuccess {
			return nil, fmt.Errorf("%s says of %s: %s", server, name, dns.RcodeToString[m.Rcode])
		}
		var addrs []netip.Addr
		for _, rr := range m.Answer {
			if a, ok := rr.(*dns.A); ok {
				addr, _ := netip.AddrFromSlice(a.A)
				addrs = append(addrs, addr.Unmap())
			}
		}
		return addrs, nil
	}
	return nil, fmt.Errorf("%s does not answer for %s: %w", server, strings.TrimSuffix(name, "."), errors.Join(errs...))
}

func ask(ctx context.Context, from Place, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	conn, err := dial(from, network, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	client := dns.Client{Net: network, Timeout: lost / 4}
	m, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn})
	return m, err
}

// First sends one datagram and awaits its answer, and sends it once only: a packet that comes before a door is open is lost.
func First(from Place, to netip.AddrPort) error {
	conn, err := dial(from, "udp", to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return exchange(conn, uint64(time.Now().UnixNano()))
}
