package dnscmd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/agent/dnslearner"
)

func TestWriteLearned(t *testing.T) {
	until := time.Date(2026, 11, 21, 12, 31, 7, 0, time.Local)
	at := func(addr string) dnslearner.LearnedAddress {
		return dnslearner.LearnedAddress{Address: netip.MustParseAddr(addr), Expires: until, Client: netip.MustParseAddr("10.244.1.17")}
	}
	refused := func(addr, why string, counted bool) dnslearner.LearnedAddress {
		a := at(addr)
		a.Refused, a.Counted = why, counted
		return a
	}
	known := []dnslearner.LearnedName{
		{Name: "api.example.com", Addresses: []dnslearner.LearnedAddress{at("198.51.100.7"), at("2001:db8::7")}},
		{Name: "x.example", Addresses: []dnslearner.LearnedAddress{at("203.0.113.80")}},
	}
	servers := []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	for _, tt := range []struct {
		what     string
		learned  dnslearner.Learned
		filtered bool
		want     string
	}{
		{"all", dnslearner.Learned{Status: dnslearner.Status{Domains: 2, Names: 2, Addresses: 3, Servers: servers}, Known: known}, false, `
domains          2 in policy; 2 names known with 3 addresses
DNS servers      10.96.0.10

NAME             ADDRESS       HOLDS UNTIL          FIRST ASKED BY
api.example.com  198.51.100.7  2026-11-21 12:31:07  10.244.1.17
api.example.com  2001:db8::7   2026-11-21 12:31:07  10.244.1.17
x.example        203.0.113.80  2026-11-21 12:31:07  10.244.1.17
`},
		{"one", dnslearner.Learned{Status: dnslearner.Status{Domains: 2, Servers: servers}, Known: known[1:]}, true, `
NAME       ADDRESS       HOLDS UNTIL          FIRST ASKED BY
x.example  203.0.113.80  2026-11-21 12:31:07  10.244.1.17
`},
		{"what is refused", dnslearner.Learned{
			Status: dnslearner.Status{
				Domains: 1, Names: 1, Addresses: 2, Servers: servers, LimitedStreams: 3, Refused: map[string]uint64{"link-local": 4, "cluster-ip": 1},
				Namespaces: []dnslearner.NamespaceUse{{Namespace: "flood", Addresses: 2, Limited: 7}, {Addresses: 1, Limited: 1}},
			},
			Known: []dnslearner.LearnedName{{Name: "x.example", Addresses: []dnslearner.LearnedAddress{
				at("203.0.113.80"), refused("10.96.0.1", "cluster-ip", true), refused("64:ff9b::a9fe:a9fe", "link-local", false), refused("192.0.2.1", "of a newer agent", false),
			}}},
		}, false, `
domains          1 in policy; 1 name known with 2 addresses
DNS servers      10.96.0.10
streams          answers on 3 connections over TCP were not read to their end: there are too many
shares           namespace flood has 2 addresses; 7 went, or were not learned, for others to have room
shares           the host itself has 1 address; 1 went, or were not learned, for others to have room
refused          addresses in answers that names must not have: cluster-ip 1, link-local 4 (docs/domains.md)

NAME       ADDRESS             HOLDS UNTIL          FIRST ASKED BY  REFUSED
x.example  203.0.113.80        2026-11-21 12:31:07  10.244.1.17
x.example  10.96.0.1           2026-11-21 12:31:07  10.244.1.17     a ClusterIP; some sets allow that
x.example  64:ff9b::a9fe:a9fe  2026-11-21 12:31:07  10.244.1.17     a link-local address, as it carries 169.254.169.254
x.example  192.0.2.1           2026-11-21 12:31:07  10.244.1.17     of a newer agent
`},
		{"aliases", dnslearner.Learned{Aliases: []dnslearner.MissedAlias{{Asked: "www.shop.example", Alias: "api.cdn.example"}}}, true, `
Note: asked as www.shop.example, alias of api.cdn.example, which teaches nothing of api.cdn.example: name www.shop.example
`},
		{"no domains", dnslearner.Learned{}, false, "\ndomains          none in policy\n"},
		{"trouble", dnslearner.Learned{Status: dnslearner.Status{Domains: 2, Failure: "the queue is somebody else's"}}, true,
			"\ndomains          2 in policy, whose addresses are not learned: the queue is somebody else's\n"},
		{"too much", dnslearner.Learned{Status: dnslearner.Status{Domains: 1, Names: 1, Addresses: 1, Servers: servers, Late: 2, Limited: 1, Unsaved: "no space"}}, false, `
domains          1 in policy; 1 name known with 1 address
DNS servers      10.96.0.10
late answers     2 went before their addresses were in the kernel
limits           1 address not learned, or forgotten early: there are too many
restart          what is known is not kept for the next agent: no space
`},
	} {
		var b strings.Builder
		if err := errors.Join(writeLearned(&b, &tt.learned, tt.filtered), writeAliases(&b, tt.learned.Aliases)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), strings.TrimPrefix(b.String(), "\n")); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, d)
		}
	}
}

func TestNameFilter(t *testing.T) {
	name := dnslearner.LearnedName{Name: "www.shop.example", Addresses: []dnslearner.LearnedAddress{{Address: netip.MustParseAddr("192.0.2.1")}}}
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
	alias := dnslearner.MissedAlias{Asked: "www.shop.example", Alias: "api.cdn.example"}
	for args, want := range map[string]bool{"": true, "*.shop.example": true, "api.cdn.example": true, "cdn.example": false, "192.0.2.1": false} {
		f, err := parseNameFilter(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.concerns(alias); got != want {
			t.Errorf("%q concerns the alias: %v, want %v", args, got, want)
		}
	}
	if _, err := parseNameFilter([]string{"a..b"}); err == nil {
		t.Error("a..b is a domain")
	}
}
