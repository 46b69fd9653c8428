package learn

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// packet is an answer to 10.0.0.2 as it passes: an IPv4 packet.
func packet(t testing.TB, name string, ttl int, addrs ...string) []byte {
	t.Helper()
	q := new(miekg.Msg)
	q.SetQuestion(name, miekg.TypeA)
	m := new(miekg.Msg)
	m.SetReply(q)
	for _, a := range addrs {
		rr, err := miekg.NewRR(fmt.Sprintf("%s %d IN A %s", name, ttl, a))
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 28, 28+len(msg))
	b[0], b[9] = 0x45, 17
	binary.BigEndian.PutUint16(b[2:], uint16(28+len(msg)))
	copy(b[12:], []byte{192, 0, 2, 53, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(b[20:], 53)
	binary.BigEndian.PutUint16(b[22:], 40000)
	binary.BigEndian.PutUint16(b[24:], uint16(8+len(msg)))
	return append(b, msg...)
}

func newLearner(t testing.TB, c *clock, dir string) *Learner {
	t.Helper()
	l := New(Config{Journal: filepath.Join(dir, "learned"), Log: slog.New(slog.DiscardHandler), now: c.now})
	t.Cleanup(func() { _ = l.Close() })
	key := policy.Key{Kind: policy.KindDomains, Name: "shop"}
	l.SetDomains(key, &policy.Set{Key: key, Labels: selector.NewLabels(map[string]string{"rule:domains": "shop"}), Domains: []string{"*.shop.example"}, Internal: true})
	return l
}

// inForce flushes, and gives the addresses of the learned sets.
func inForce(l *Learner, known map[policy.Key][]netip.Prefix) []string {
	l.Flush(func(c policy.Change) {
		if c.Object == nil {
			delete(known, c.Key)
		} else {
			known[c.Key] = c.Object.(*policy.Set).Nets
		}
	})
	l.InForce()
	var out []string
	for _, nets := range known {
		for _, n := range nets {
			out = append(out, n.Addr().String())
		}
	}
	slices.Sort(out)
	return out
}

func (l *Learner) learnPacket(b []byte) (waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	generation, _ := l.learn(b)
	return generation > l.inForce
}

// TestLearnAndForget: what is new waits until it is in force, what is known does
// not; an address holds for its time, for as long as a connection lives to it, and
// over a restart.
func TestLearnAndForget(t *testing.T) {
	c, dir := &clock{time.Unix(1_800_000_000, 0)}, t.TempDir()
	l, known := newLearner(t, c, dir), map[policy.Key][]netip.Prefix{}
	want := func(what string, l *Learner, addrs ...string) {
		t.Helper()
		if got := inForce(l, known); !slices.Equal(got, addrs) {
			t.Errorf("%s: in force are %v, want %v", what, got, addrs)
		}
	}
	none := func(netip.Addr) bool { return false }
	if l.learnPacket(packet(t, "www.other.example.", 300, "192.0.2.9")) {
		t.Error("an answer waits that concerns nobody")
	}
	if !l.learnPacket(packet(t, "a.shop.example.", 300, "192.0.2.1", "192.0.2.2")) || !l.learnPacket(packet(t, "a.shop.example.", 300, "192.0.2.2")) {
		t.Error("an answer does not wait for its addresses")
	}
	want("learned", l, "192.0.2.1", "192.0.2.2")
	if l.learnPacket(packet(t, "a.shop.example.", 300, "192.0.2.1")) {
		t.Error("an answer waits for what is in force")
	}
	if !l.learnPacket(packet(t, "b.shop.example.", 0, "192.0.2.3")) {
		t.Error("an answer does not wait")
	}
	want("with a time of 0", l, "192.0.2.1", "192.0.2.2", "192.0.2.3")
	c.at = c.at.Add(61 * time.Second)
	l.Expire(none, time.Minute)
	want("after a minute", l, "192.0.2.1", "192.0.2.2")
	c.at = c.at.Add(240 * time.Second)
	if !l.Due() || !l.Expire(func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.1") }, time.Minute) {
		t.Error("nothing expires")
	}
	want("a connection lives", l, "192.0.2.1")

	// A new agent, after one that was killed, knows what was in force, before it is
	// told of any answer.
	after, fresh := newLearner(t, c, dir), known
	known = map[policy.Key][]netip.Prefix{}
	if after.Restored() != 1 {
		t.Errorf("%d records restored, want 1", after.Restored())
	}
	want("after a restart", after, "192.0.2.1")
	after.Each(func(ch policy.Change) {
		if _, ok := fresh[ch.Key]; !ok {
			t.Errorf("another set than before: %v", ch.Key)
		}
	})
	c.at = c.at.Add(2 * time.Minute)
	after.Expire(none, time.Minute)
	want("at the end", after)
	if s := l.Stats(); s.Answers != 5 || s.Learned != 3 || s.Malformed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestLearnerOfNonsense: packets that are none, and messages that are none.
func TestLearnerOfNonsense(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	l := newLearner(t, c, t.TempDir())
	whole := packet(t, "a.shop.example.", 300, "192.0.2.1")
	for n := range whole {
		if l.learnPacket(whole[:n]) {
			t.Errorf("the first %d bytes wait", n)
		}
	}
	if s := l.Stats(); s.Records != 0 || s.Malformed != uint64(len(whole)) {
		t.Errorf("%+v", s)
	}
}

// TestEachSaysWhatIsGone: a model that is made anew takes the place of one that others have followed.
func TestEachSaysWhatIsGone(t *testing.T) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	l := New(Config{Log: slog.New(slog.DiscardHandler), now: c.now})
	key := policy.Key{Kind: policy.KindDomains, Name: "d"}
	l.SetDomains(key, &policy.Set{Key: key, Domains: []string{"a.example"}})
	l.table.Learn([]dns.Record{{Name: "a.example", Addr: netip.MustParseAddr("192.0.2.1"), TTL: time.Hour}}, netip.MustParseAddr("10.0.0.2"), c.at)
	known := map[policy.Key]bool{}
	follow := func(c policy.Change) {
		if known[c.Key] = true; c.Object == nil {
			delete(known, c.Key)
		}
	}
	l.Flush(follow)
	if len(known) != 1 {
		t.Fatalf("%d sets, want 1", len(known))
	}
	l.SetDomains(key, nil)
	l.Each(follow)
	if len(known) != 0 {
		t.Errorf("%v is left", known)
	}
}

// BenchmarkLearn10000Domains is one answer with a new address, and its way into the
// learned sets, beside 10,000 domains with 100,000 addresses.
func BenchmarkLearn10000Domains(b *testing.B) {
	c := &clock{time.Unix(1_800_000_000, 0)}
	l := New(Config{Log: slog.New(slog.DiscardHandler), now: c.now, Limits: dns.Limits{
		PerName: 1000, PerClient: 1 << 30, Total: 1 << 30, Least: time.Minute, Most: time.Hour,
	}})
	for i := range 10_000 {
		key := policy.Key{Kind: policy.KindDomains, Name: fmt.Sprint(i)}
		l.SetDomains(key, &policy.Set{Key: key, Labels: selector.NewLabels(map[string]string{"rule:domains": key.Name}), Domains: []string{fmt.Sprintf("n%d.shop.example", i)}, Internal: true})
	}
	for i := range 10_000 {
		var facts []dns.Record
		for j := range 10 {
			n := uint32(i*10 + j)
			facts = append(facts, dns.Record{Name: fmt.Sprintf("n%d.shop.example", i), Addr: netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)}), TTL: time.Hour})
		}
		l.table.Learn(facts, netip.MustParseAddr("10.0.0.2"), c.at)
	}
	l.Flush(func(policy.Change) {})
	l.InForce()
	packets := make([][]byte, 1000)
	for i := range packets {
		packets[i] = packet(b, fmt.Sprintf("n%d.shop.example.", i), 300, fmt.Sprintf("203.0.%d.%d", i>>8, i&255))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.learnPacket(packets[i%len(packets)])
		l.Flush(func(policy.Change) {})
		if i++; i%len(packets) == 0 {
			b.StopTimer()
			c.at = c.at.Add(10 * time.Minute)
			l.Expire(func(a netip.Addr) bool { return a.As4()[0] == 198 }, time.Hour)
			b.StartTimer()
		}
	}
}
