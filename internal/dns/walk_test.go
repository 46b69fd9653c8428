package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	miekg "github.com/miekg/dns"
	"pgregory.net/rapid"
)

// walk is what a resolver would make of an answer, as plain as can be: the records of the
// name; if there is an alias, the first one's, and so on.
func walk(m *miekg.Msg) (asked string, addrs []netip.Addr) {
	if len(m.Question) != 1 || !m.Response || m.Rcode != miekg.RcodeSuccess {
		return "", nil
	}
	asked = strings.ToLower(m.Question[0].Name)
	at := asked
	for steps := 0; ; steps++ {
		next := ""
		for _, rr := range m.Answer {
			if c, ok := rr.(*miekg.CNAME); ok && next == "" && strings.EqualFold(c.Hdr.Name, at) {
				next = strings.ToLower(c.Target)
			}
		}
		if next == "" {
			break
		}
		if steps > len(m.Answer) {
			return strings.TrimSuffix(asked, "."), nil // in a circle
		}
		at = next
	}
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, at) {
			continue
		}
		switch r := rr.(type) {
		case *miekg.A:
			a, _ := netip.AddrFromSlice(r.A.To4())
			addrs = append(addrs, a)
		case *miekg.AAAA:
			a, _ := netip.AddrFromSlice(r.AAAA)
			addrs = append(addrs, a.Unmap())
		}
	}
	return strings.TrimSuffix(asked, "."), addrs
}

// drawMessage draws an answer with aliases of few names, in circles too, in any order and
// any letters, with records in all sections.
func drawMessage(t *rapid.T) *miekg.Msg {
	name := rapid.SampledFrom([]string{"a.shop.example.", "b.shop.example.", "evil.example.", "C.Example.", "c.example.", "cdn.example."})
	q := new(miekg.Msg)
	q.SetQuestion(name.Draw(t, "asked"), rapid.SampledFrom([]uint16{miekg.TypeA, miekg.TypeAAAA, miekg.TypeANY}).Draw(t, "type"))
	m := new(miekg.Msg)
	m.SetReply(q)
	m.Compress = rapid.Bool().Draw(t, "compressed")
	records := func(section string) (out []miekg.RR) {
		for i := range rapid.IntRange(0, 6).Draw(t, section) {
			owner := name.Draw(t, "owner")
			var text string
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0, 1:
				text = fmt.Sprintf("%s 60 IN CNAME %s", owner, name.Draw(t, "target"))
			case 2:
				text = fmt.Sprintf("%s 60 IN A 192.0.2.%d", owner, i)
			case 3:
				text = fmt.Sprintf("%s 60 IN AAAA 2001:db8::%d", owner, i)
			case 4:
				text = fmt.Sprintf("%s 60 IN DNAME %s", owner, name.Draw(t, "target"))
			}
			rr, err := miekg.NewRR(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, rr)
		}
		return out
	}
	m.Answer, m.Ns, m.Extra = records("answer"), records("authority"), records("additional")
	if rapid.Bool().Draw(t, "EDNS") {
		m.SetEdns0(1232, true)
	}
	if rapid.IntRange(0, 9).Draw(t, "two questions") == 0 {
		m.Question = append(m.Question, miekg.Question{Name: name.Draw(t, "second"), Qtype: miekg.TypeA, Qclass: miekg.ClassINET})
	}
	return m
}

// TestAnswersTeachWhatWasAskedOnly: whatever an answer says, a domain gets no address but
// those that are reached from the name that was asked for, along its aliases, and only if
// that name is one of the domain's.
func TestAnswersTeachWhatWasAskedOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		msg, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		asked, want := walk(m)
		domains := map[string][]string{"shop": {"*.shop.example"}, "c": {"c.example"}, "cdn": {"cdn.example", "*.cdn.example"}}
		table, known := NewTable(DefaultLimits), model{}
		for name, list := range domains {
			table.SetDomains(setKey(name), setOf(name, list...))
		}
		var a Answer
		if a.Parse(msg) == nil {
			table.NoteAliases(a.Records[0].Name, a.Aliases, someIP, start)
			table.Learn(a.Records, someIP, start)
		}
		known.flush(table)
		slices.SortFunc(want, netip.Addr.Compare)
		want = slices.Compact(want)
		for name, list := range domains {
			var expected []netip.Addr
			if slices.ContainsFunc(list, func(d string) bool { return holds(d, asked) }) {
				expected = want
			}
			if d := cmp.Diff(fmt.Sprint(expected), fmt.Sprint(known.addrs(name))); d != "" {
				t.Errorf("asked for %s: set %s (-want +got):\n%s\n%v", asked, name, d, m)
			}
		}
		for _, missed := range table.MissedAliases() {
			if missed.Asked != asked || len(want) == 0 {
				t.Errorf("asked for %s: noted %v", asked, missed)
			}
		}
	})
}
