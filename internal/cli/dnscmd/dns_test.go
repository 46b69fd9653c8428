package dnscmd

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/agent"
)

func TestWriteLearned(t *testing.T) {
	until := time.Date(2026, 11, 21, 12, 31, 7, 0, time.Local)
	at := func(addr string) agent.LearnedAddress {
		return agent.LearnedAddress{Address: netip.MustParseAddr(addr), Expires: until, Client: netip.MustParseAddr("10.244.1.17")}
	}
	known := []agent.LearnedName{
		{Name: "api.example.com", Addresses: []agent.LearnedAddress{at("198.51.100.7"), at("2001:db8::7")}},
		{Name: "x.example", Addresses: []agent.LearnedAddress{at("203.0.113.80")}},
	}
	servers := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	for _, tt := range []struct {
		what     string
		learned  agent.Learned
		filtered bool
		want     string
	}{
		{"all", agent.Learned{Status: agent.DNSStatus{Domains: 2, Names: 2, Addresses: 3, Servers: servers}, Known: known}, false, `
domains          2 in policy; 2 names known with 3 addresses
DNS servers      10.96.0.10

NAME             ADDRESS       HOLDS UNTIL          FIRST ASKED BY
api.example.com  198.51.100.7  2026-11-21 12:31:07  10.244.1.17
api.example.com  2001:db8::7   2026-11-21 12:31:07  10.244.1.17
x.example        203.0.113.80  2026-11-21 12:31:07  10.244.1.17
`},
		{"one", agent.Learned{Status: agent.DNSStatus{Domains: 2, Servers: servers}, Known: known[1:]}, true, `
NAME       ADDRESS       HOLDS UNTIL          FIRST ASKED BY
x.example  203.0.113.80  2026-11-21 12:31:07  10.244.1.17
`},
		{"no domains", agent.Learned{}, false, "\ndomains          none in policy\n"},
		{"trouble", agent.Learned{Status: agent.DNSStatus{Domains: 2, Failure: "the queue is somebody else's"}}, true,
			"\ndomains          2 in policy, whose addresses are not learned: the queue is somebody else's\n"},
		{"too much", agent.Learned{Status: agent.DNSStatus{Domains: 1, Names: 1, Addresses: 1, Servers: servers, Late: 2, Limited: 1, Unsaved: "no space"}}, false, `
domains          1 in policy; 1 name known with 1 address
DNS servers      10.96.0.10
late answers     2 went before their addresses were in the kernel
limits           1 address not learned, or forgotten early: there are too many
restart          what is known is not kept for the next agent: no space
`},
	} {
		var b strings.Builder
		if err := writeLearned(&b, &tt.learned, tt.filtered); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, d)
		}
	}
}

func TestNameFilter(t *testing.T) {
	name := agent.LearnedName{Name: "www.shop.example", Addresses: []agent.LearnedAddress{{Address: netip.MustParseAddr("192.0.2.1")}}}
	for args, want := range map[string]bool{
		"": true, "www.shop.example": true, "WWW.Shop.example.": true, "*.shop.example": true, "*.example": true,
		"shop.example": false, "192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": false, "192.0.2.2 *.example": true,
	} {
		f, err := parseNameFilter(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.holds(name); got != want {
			t.Errorf("%q: %v, want %v", args, got, want)
		}
	}
	if _, err := parseNameFilter([]string{"a..b"}); err == nil {
		t.Error("a..b is a domain")
	}
}
