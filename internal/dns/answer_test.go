package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	miekg "github.com/miekg/dns"
)

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// answer makes a message with another implementation of DNS: a question, and records
// as zone files have them.
func answer(t testing.TB, name string, typ uint16, change func(*miekg.Msg), records ...string) []byte {
	t.Helper()
	q := new(miekg.Msg)
	q.SetQuestion(name, typ)
	m := new(miekg.Msg)
	m.SetReply(q)
	m.Compress = true
	for _, text := range records {
		rr, err := miekg.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func recordOf(name, addr string, seconds int) Record {
	return Record{name, netip.MustParseAddr(addr), time.Duration(seconds) * time.Second}
}

// errAny stands for an error of the library's.
var errAny = errors.New("any")

func TestParseAnswer(t *testing.T) {
	edns := func(m *miekg.Msg) { m.SetEdns0(4096, true) }
	for _, tt := range []struct {
		what    string
		msg     []byte
		want    []Record
		wantErr error // nil: there are facts
	}{
		{"an address", answer(t, "www.example.", miekg.TypeA, edns, "WWW.Example. 60 IN A 192.0.2.1"), []Record{recordOf("www.example", "192.0.2.1", 60)}, nil},
		{"two of IPv6", answer(t, "www.example.", miekg.TypeAAAA, nil, "www.example. 60 IN AAAA 2001:db8::1", "www.example. 30 IN AAAA 2001:db8::2"),
			[]Record{recordOf("www.example", "2001:db8::1", 60), recordOf("www.example", "2001:db8::2", 30)}, nil},
		{"an IPv4 address as IPv6", answer(t, "www.example.", miekg.TypeAAAA, nil, "www.example. 60 IN AAAA ::ffff:192.0.2.1"), []Record{recordOf("www.example", "192.0.2.1", 60)}, nil},
		{"aliases: each holds as long as all behind it", answer(t, "a.example.", miekg.TypeA, edns,
			"a.example. 300 IN CNAME b.example.", "b.example. 20 IN CNAME c.example.", "c.example. 60 IN A 192.0.2.1"),
			[]Record{recordOf("a.example", "192.0.2.1", 20)}, nil},
		{"aliases in any order", answer(t, "a.example.", miekg.TypeA, nil,
			"c.example. 60 IN A 192.0.2.1", "b.example. 300 IN CNAME c.example.", "a.example. 10 IN CNAME b.example."),
			[]Record{recordOf("a.example", "192.0.2.1", 10)}, nil},
		{"an alias into somebody else's domain is nothing about that", answer(t, "evil.tenant.example.", miekg.TypeA, nil,
			"evil.tenant.example. 60 IN CNAME api.customer.example.", "api.customer.example. 60 IN A 192.0.2.66"),
			[]Record{recordOf("evil.tenant.example", "192.0.2.66", 60)}, nil},
		{"and not if its owner is told first, or in other letters", answer(t, "evil.tenant.example.", miekg.TypeA, nil,
			"API.Customer.Example. 60 IN A 192.0.2.66", "evil.TENANT.example. 60 IN CNAME api.customer.EXAMPLE."),
			[]Record{recordOf("evil.tenant.example", "192.0.2.66", 60)}, nil},
		{"and not behind another alias, in a chain that goes on", answer(t, "evil.tenant.example.", miekg.TypeA, nil,
			"evil.tenant.example. 60 IN CNAME api.customer.example.", "api.customer.example. 60 IN CNAME x.tenant.example.", "x.tenant.example. 60 IN A 192.0.2.66"),
			[]Record{recordOf("evil.tenant.example", "192.0.2.66", 60)}, nil},
		{"an alias and addresses beside it: the alias counts", answer(t, "a.example.", miekg.TypeA, nil,
			"a.example. 60 IN A 192.0.2.66", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.1"), []Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"an answer for a name that the alias of another is", answer(t, "b.example.", miekg.TypeA, nil,
			"a.example. 60 IN CNAME b.example.", "a.example. 60 IN A 192.0.2.66", "b.example. 60 IN A 192.0.2.1"), []Record{recordOf("b.example", "192.0.2.1", 60)}, nil},
		{"a subtree that is another's (DNAME), without an alias for the name", answer(t, "a.tenant.example.", miekg.TypeA, nil,
			"tenant.example. 60 IN DNAME customer.example.", "a.customer.example. 60 IN A 192.0.2.66"), nil, ErrNoAnswer},
		{"and with one", answer(t, "a.tenant.example.", miekg.TypeA, nil,
			"tenant.example. 60 IN DNAME customer.example.", "a.tenant.example. 60 IN CNAME a.customer.example.", "a.customer.example. 60 IN A 192.0.2.66"),
			[]Record{recordOf("a.tenant.example", "192.0.2.66", 60)}, nil},
		{"records of another class", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 CH A 192.0.2.66", "a.example. 60 IN A 192.0.2.1"),
			[]Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"no question, as in mDNS", answer(t, "a.local.", miekg.TypeA, func(m *miekg.Msg) { m.Question = nil }, "a.local. 60 IN A 192.0.2.66"), nil, errAny},
		{"a question for a unicast answer, as in mDNS", answer(t, "a.local.", miekg.TypeA, func(m *miekg.Msg) { m.Question[0].Qclass |= 1 << 15 }, "a.local. 60 IN A 192.0.2.66"), nil, ErrNoAnswer},
		{"a record that empties caches, as in mDNS", answer(t, "a.local.", miekg.TypeA, func(m *miekg.Msg) { m.Answer[0].Header().Class |= 1 << 15 }, "a.local. 60 IN A 192.0.2.66"), nil, ErrNoAnswer},
		{"a dot within a label", answer(t, `a\\.customer.example.`, miekg.TypeA, nil, `a\\.customer.example. 60 IN A 192.0.2.66`), nil, errAny},
		{"what was not asked for", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN A 192.0.2.1", "bank.example. 60 IN A 192.0.2.66"),
			[]Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"additional records", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) {
			rr, _ := miekg.NewRR("bank.example. 60 IN A 192.0.2.66")
			m.Extra, m.Ns = append(m.Extra, rr), append(m.Ns, rr)
		}, "a.example. 60 IN A 192.0.2.1"), []Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"other types in between", answer(t, "a.example.", miekg.TypeANY, nil, "a.example. 60 IN TXT \"x\"", "a.example. 60 IN MX 1 m.example.", "a.example. 60 IN A 192.0.2.1"),
			[]Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"a time that is none", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 4294967295 IN A 192.0.2.1"), []Record{recordOf("a.example", "192.0.2.1", 0)}, nil},
		{"truncated", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Truncated = true }, "a.example. 60 IN A 192.0.2.1"), []Record{recordOf("a.example", "192.0.2.1", 60)}, nil},
		{"an alias of itself", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME a.example.", "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"an alias that leads nowhere", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN CNAME b.example."), nil, ErrNoAnswer},
		{"an alias that is no name of a host, and an address beside it", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN CNAME *.example."), nil, ErrNoAnswer},
		{"only the first of two aliases", answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN CNAME \\032.example.", "a.example. 60 IN CNAME b.example.", "b.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"a question", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Response = false }, "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"no such name", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Rcode = miekg.RcodeNameError }, "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"an update", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Opcode = miekg.OpcodeUpdate }, "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"two questions", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }, "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"another type", answer(t, "a.example.", miekg.TypeMX, nil, "a.example. 60 IN MX 1 b.example.", "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"another class", answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }, "a.example. 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
		{"the root", answer(t, ".", miekg.TypeA, nil, ". 60 IN A 192.0.2.1"), nil, ErrNoAnswer},
	} {
		var a Answer
		err := a.Parse(tt.msg)
		if (err == nil) != (tt.wantErr == nil) || errors.Is(tt.wantErr, ErrNoAnswer) && !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.wantErr)
		}
		if d := cmp.Diff(tt.want, slices.Clone(a.Records), compareAddrs); d != "" && tt.wantErr == nil {
			t.Errorf("%s (-want +got):\n%s", tt.what, d)
		}
	}
}

// TestParseBrokenAnswers: every beginning of a message, and messages with a byte
// changed, are read without harm.
func TestParseBrokenAnswers(t *testing.T) {
	whole := answer(t, "a.example.", miekg.TypeA, func(m *miekg.Msg) { m.SetEdns0(4096, true) },
		"a.example. 300 IN CNAME b.example.", "b.example. 20 IN CNAME c.example.", "c.example. 60 IN A 192.0.2.1", "c.example. 60 IN A 192.0.2.2")
	var a Answer
	for n := range whole {
		if err := a.Parse(whole[:n]); err == nil && n < 60 {
			t.Errorf("%d bytes are an answer", n)
		}
		for _, b := range []byte{0, 1, 0x3f, 0xc0, 0xff} {
			broken := slices.Clone(whole)
			broken[n] = b
			_ = a.Parse(broken)
			if len(a.Records) > 2 {
				t.Errorf("byte %d as %#x: %d records", n, b, len(a.Records))
			}
		}
	}
	if err := a.Parse(whole); err != nil || len(a.Records) != 2 {
		t.Errorf("afterwards: %v, %v", err, a.Records)
	}
}

// TestCompressionBomb: pointers in a circle, and as many records as fit.
func TestCompressionBomb(t *testing.T) {
	loop := answer(t, "a.example.", miekg.TypeA, nil, "a.example. 60 IN A 192.0.2.1")
	loop[12], loop[13] = 0xc0, 12 // the name that was asked for is itself
	var a Answer
	if err := a.Parse(loop); err == nil {
		t.Error("a name that points to itself is a name")
	}
	var records []string
	for i := range 3500 {
		records = append(records, fmt.Sprintf("%s 60 IN A 192.0.%d.%d", "a.example.", i>>8, i&255))
	}
	if err := a.Parse(answer(t, "a.example.", miekg.TypeA, nil, records...)); err != nil || len(a.Records) != len(records) {
		t.Errorf("a large answer: %v, %d records", err, len(a.Records))
	}
	var chain []string
	for i := range 100 {
		chain = append(chain, fmt.Sprintf("n%d.example. 60 IN CNAME n%d.example.", i, i+1))
	}
	if err := a.Parse(answer(t, "n0.example.", miekg.TypeA, nil, append(chain, "n100.example. 60 IN A 192.0.2.1")...)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("a chain of 100 aliases: %v, %d records", err, len(a.Records))
	}
}

// FuzzParseAnswer: whatever a server sends, it is facts about names in normal form,
// or an error; and what another implementation reads of it does not contradict.
func FuzzParseAnswer(f *testing.F) {
	f.Add(answer(f, "www.example.", miekg.TypeA, nil, "www.example. 60 IN A 192.0.2.1"))
	f.Add(answer(f, "a.example.", miekg.TypeAAAA, func(m *miekg.Msg) { m.SetEdns0(1232, true) }, "a.example. 300 IN CNAME b.example.", "b.example. 60 IN AAAA 2001:db8::1"))
	f.Add([]byte(strings.Repeat("\xc0\x0c", 40)))
	var a Answer
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 1<<16 || a.Parse(msg) != nil {
			return
		}
		for _, fact := range a.Records {
			if d, err := ParseDomain(fact.Name); err != nil && !strings.Contains(err.Error(), "'-'") || err == nil && d.Name != fact.Name {
				t.Errorf("%q is no name in normal form: %v", fact.Name, err)
			}
			if !fact.Addr.IsValid() || fact.Addr.Is4In6() || fact.TTL < 0 {
				t.Errorf("%v is no fact", fact)
			}
		}
		m := new(miekg.Msg)
		if m.Unpack(msg) != nil {
			return // it is stricter here and there
		}
		for _, fact := range a.Records {
			if !slices.ContainsFunc(m.Answer, func(rr miekg.RR) bool {
				switch r := rr.(type) {
				case *miekg.A:
					b, _ := netip.AddrFromSlice(r.A)
					return b.Unmap() == fact.Addr
				case *miekg.AAAA:
					b, _ := netip.AddrFromSlice(r.AAAA)
					return b.Unmap() == fact.Addr
				}
				return false
			}) {
				t.Errorf("%v is in no record", fact)
			}
		}
	})
}

func BenchmarkParseAnswer(b *testing.B) {
	msg := answer(b, "www.shop.example.", miekg.TypeA, func(m *miekg.Msg) { m.SetEdns0(1232, false) },
		"www.shop.example. 300 IN CNAME edge.cdn.example.", "edge.cdn.example. 60 IN A 192.0.2.1", "edge.cdn.example. 60 IN A 192.0.2.2")
	var a Answer
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Parse(msg); err != nil {
			b.Fatal(err)
		}
	}
}
