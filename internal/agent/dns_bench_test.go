package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// BenchmarkLearnedAddress is one address more of a name, from the answer to the
// kernel, beside 10,000 domains with 100,000 addresses; in one set, and in 1,000
// rules that name ten each.
func BenchmarkLearnedAddress(b *testing.B) {
	lab.Require(b)
	for _, rules := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d rules", rules), func(b *testing.B) { benchmarkLearned(b, rules, 10_000, 100_000) })
	}
}

func benchmarkLearned(b *testing.B, rules, domains, addrs int) {
	l, err := lab.New(lab.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dp, err := nft.New(nft.Options{NetNS: fmt.Sprintf("/proc/self/fd/%d", l.Node().FD()), CutLater: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = dp.Close() }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e := engine.New(nil)
	for _, t := range policy.FixedTiers() {
		e.Apply(policy.Change{Key: t.ObjectKey(), Object: t})
	}
	ep := &policy.Endpoint{
		Key: policy.Key{Kind: policy.KindPod, Namespace: "a", Name: "a"}, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
		Labels: selector.NewLabels(map[string]string{"a": "a"}), Profiles: []string{"kns.a"},
	}
	e.Apply(policy.Change{Key: ep.Key, Object: ep})
	table := dns.NewTable(dns.Limits{PerName: 1000, PerClient: 1 << 30, Total: 1 << 30, Least: time.Minute, Most: time.Hour})
	p := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}, Tier: "default", Selector: selector.All(), Types: [2]bool{policy.Egress: true},
	}
	tcp := policy.TCP
	for i := range rules {
		key := policy.Key{Kind: policy.KindDomains, Name: fmt.Sprint(i)}
		set := &policy.Set{Key: key, Labels: selector.NewLabels(map[string]string{"rule:domains": key.Name}), Internal: true}
		for d := i; d < domains; d += rules {
			set.Domains = append(set.Domains, fmt.Sprintf("n%d.example", d))
		}
		table.SetDomains(key, set)
		e.Apply(policy.Change{Key: key, Object: set})
		r := policy.Rule{Index: i, Action: policy.Allow, Protocol: &tcp}
		r.Destination.Set = &policy.PeerSet{Selector: selector.Equals("rule:domains", key.Name), DNSLearned: true, Internal: true}
		r.Destination.Ports = &policy.Ports{Ranges: []policy.PortRange{{First: uint16(1 + i%1000), Last: uint16(1 + i%1000)}}}
		p.Rules[policy.Egress] = append(p.Rules[policy.Egress], r)
	}
	e.Apply(policy.Change{Key: p.Key, Object: p})
	now, client := time.Unix(1_800_000_000, 0), netip.MustParseAddr("10.0.0.1")
	for i := range addrs {
		table.Learn([]dns.Record{{Name: fmt.Sprintf("n%d.example", i%domains), Addr: netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)}), TTL: time.Hour}}, client, now)
	}
	step := func() {
		table.Flush(func(c policy.Change) { e.Apply(c) })
		if d := e.Flush(); d != nil {
			if err := dp.Apply(context.Background(), d); err != nil {
				b.Fatal(err)
			}
		}
	}
	step()
	table.Fresh()
	runtime.GC()
	runtime.ReadMemStats(&after)
	dp.Cut(context.Background())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		table.Learn([]dns.Record{{Name: fmt.Sprintf("n%d.example", i%domains), Addr: netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}), TTL: time.Hour}}, client, now)
		step()
	}
	if dp.CutDue() {
		b.Error("an address more is taken for a change that may deny connections")
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(addrs), "heap-B/address")
}

// BenchmarkAnswerDelay is the time from question to answer, through an agent, at
// 1,000 answers a second: without a tap, with names that are known, and with a new
// name each time.
func BenchmarkAnswerDelay(b *testing.B) {
	for _, bm := range []struct {
		name  string
		known bool
		tap   bool
	}{{"no domains in use", true, false}, {"known addresses", true, true}, {"new addresses", false, true}} {
		b.Run(bm.name, func(b *testing.B) {
			h := newBenchHost(b, bm.tap)
			const rate, seconds = 1000, 3
			took := h.ask(rate, rate*seconds, bm.known)
			for b.Loop() {
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(rate*seconds-len(took)), "lost")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkAnswers is how many answers with known addresses pass in a second, one
// after the other on each of 16 sockets.
func BenchmarkAnswers(b *testing.B) {
	for _, tap := range []bool{false, true} {
		b.Run(fmt.Sprintf("tap %v", tap), func(b *testing.B) {
			h := newBenchHost(b, tap)
			const sockets, window = 16, 2 * time.Second
			var wg sync.WaitGroup
			var mu sync.Mutex
			total := 0
			for s := range sockets {
				wg.Go(func() {
					conn := h.dial()
					defer func() { _ = conn.Close() }()
					q, buf := question(fmt.Sprintf("n%d.shop.example.", s)), make([]byte, 512)
					n := 0
					for end := time.Now().Add(window); time.Now().Before(end); n++ {
						_ = conn.SetDeadline(time.Now().Add(time.Second))
						if _, err := conn.Write(q); err != nil {
							b.Error(err)
							return
						}
						if _, err := conn.Read(buf); err != nil {
							b.Error(err)
							return
						}
					}
					mu.Lock()
					total += n
					mu.Unlock()
				})
			}
			wg.Wait()
			for b.Loop() {
			}
			b.ReportMetric(float64(total)/window.Seconds(), "answers/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func question(name string) []byte {
	q := new(miekg.Msg)
	q.SetQuestion(name, miekg.TypeA)
	b, err := q.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// benchHost is a pod and a DNS server that does as little as possible.
type benchHost struct {
	*host
	b *testing.B
}

func newBenchHost(b *testing.B, tap bool) *benchHost {
	lab.Require(b)
	l, err := lab.New(lab.Config{Name: "here"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	h := &benchHost{&host{t: b, lab: l, dir: b.TempDir(), run: b.TempDir()}, b}
	h.connect()
	add := func(name, addr string) *lab.Host {
		added, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(addr)}})
		if err != nil {
			b.Fatal(err)
		}
		return added
	}
	h.web = add("web", "10.0.0.2")
	pc, err := add("dns", trusted).ListenPacket("udp", trusted+":53")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = pc.Close() })
	go serveFast(pc)
	yaml := domainsYAML
	if !tap {
		yaml = agenttest.Cluster
	}
	h.write("cluster.yaml", yaml)
	b.Setenv(dnsVariable, trusted)
	h.startAgent()
	return h
}

// serveFast answers n17.shop.example by 198.0.0.17, and so on.
func serveFast(pc net.PacketConn) {
	buf := make([]byte, 512)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		number := 0
		for _, c := range buf[14 : 13+int(buf[12])] {
			number = number*10 + int(c-'0')
		}
		out := append([]byte{}, buf[:n]...)
		out[2], out[3], out[7] = 0x84, 0, 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 198, byte(number>>16), byte(number>>8), byte(number))
		_, _ = pc.WriteTo(out, from)
	}
}

func (h *benchHost) dial() net.Conn {
	conn, err := h.web.DialContext(context.Background(), "udp", trusted+":53")
	if err != nil {
		h.b.Fatal(err)
	}
	return conn
}

// ask asks at a rate, whether or not answers come, and gives how long each took.
func (h *benchHost) ask(rate, count int, known bool) []time.Duration {
	const sockets = 32
	sent := make([]time.Time, count)
	took := make([]time.Duration, count)
	var wg sync.WaitGroup
	conns := make([]net.Conn, sockets)
	for s := range conns {
		conns[s] = h.dial()
		wg.Go(func() {
			buf := make([]byte, 512)
			for {
				_, err := conns[s].Read(buf)
				if err != nil {
					return
				}
				took[int(buf[0])<<8|int(buf[1])] = time.Since(sent[int(buf[0])<<8|int(buf[1])])
			}
		})
	}
	begin := time.Now()
	for i := range count {
		name := i
		if known {
			name = i % 10
		}
		q := question(fmt.Sprintf("n%d.shop.example.", name))
		q[0], q[1] = byte(i>>8), byte(i)
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		sent[i] = time.Now()
		if _, err := conns[i%sockets].Write(q); err != nil {
			h.b.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // for the last answers
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
	return slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 })
}
