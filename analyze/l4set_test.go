package analyze

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// point4 is a point of layer 4 space.
type point4 struct {
	protocol policy.Protocol
	dst, src int
}

// has says by the plainest means whether a set holds a point.
func (s *L4Set) holdsPoint(p point4) bool {
	if s.full.has(p.protocol) {
		return true
	}
	in := func(spans []span, v int) bool {
		return slices.ContainsFunc(spans, func(s span) bool { return s.first <= v && v <= s.last })
	}
	return in(s.portsOf(p.protocol), p.dst) || slices.ContainsFunc(s.typesOf(p.protocol).runs, func(r icmpRun) bool {
		return in([]span{r.types}, p.dst) && in(r.codes, p.src)
	})
}

// randomRow draws the allowing regions of a row, some of which meet.
func randomRow(t *rapid.T) dataplane.Row {
	edges := map[bool][]uint16{false: {0, 1, 80, 81, 443, 65534, 65535}, true: {0, 1, 8, 9, 254, 255}}
	between := func(icmp bool) dataplane.Range {
		a, b := rapid.SampledFrom(edges[icmp]).Draw(t, "edge"), rapid.SampledFrom(edges[icmp]).Draw(t, "edge")
		return dataplane.Range{First: min(a, b), Last: max(a, b)}
	}
	var row dataplane.Row
	for range rapid.IntRange(0, 6).Draw(t, "regions") {
		p := rapid.SampledFrom([]policy.Protocol{policy.TCP, policy.TCP, policy.UDP, policy.ICMP, policy.ICMP, 47, 0, 255}).Draw(t, "protocol")
		r := dataplane.Region{FirstProtocol: p, LastProtocol: p, Dst: dataplane.FullRange, Src: dataplane.FullRange, Allow: true}
		switch {
		case p.HasPorts():
			r.Dst = between(false)
		case p.IsICMP():
			r.Dst, r.Src = between(true), between(true)
		}
		row = append(row, r)
	}
	return row
}

func TestIntersectHoldsWhatBothHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := allowedBy(randomRow(t), lowestEphemeral), allowedBy(randomRow(t), lowestEphemeral)
		c := a.Intersect(b)
		for _, protocol := range []policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, 47, 0, 255} {
			for _, dst := range []int{0, 1, 2, 7, 8, 9, 80, 81, 254, 255, 443, 65534, 65535} {
				for _, src := range []int{0, 1, 8, 9, 254, 255} {
					if protocol.IsICMP() && dst > 255 {
						continue
					}
					p := point4{protocol, dst, src}
					if got, want := c.holdsPoint(p), a.holdsPoint(p) && b.holdsPoint(p); got != want {
						t.Fatalf("%+v: %v, want %v\n%v\n%v\n%v", p, got, want, a.entries(), b.entries(), c.entries())
					}
				}
			}
		}
	})
}

func TestEntries(t *testing.T) {
	region := func(first, last policy.Protocol, dst, src dataplane.Range) dataplane.Region {
		return dataplane.Region{FirstProtocol: first, LastProtocol: last, Dst: dst, Src: src, Allow: true}
	}
	full := dataplane.FullRange
	one := func(v uint16) dataplane.Range { return dataplane.Range{First: v, Last: v} }
	tests := []struct {
		name string
		row  dataplane.Row
		want []entry
	}{
		{"nothing", nil, nil},
		{"everything", dataplane.Row{region(0, 255, full, full)}, []entry{{Protocol: "All"}}},
		{"everything, in parts", dataplane.Row{
			region(0, 5, full, full), region(6, 6, dataplane.Range{First: 0, Last: 79}, full),
			region(6, 6, dataplane.Range{First: 80, Last: 65535}, full), region(7, 255, full, full),
		}, []entry{{Protocol: "All"}}},
		{"everything but TCP port 80", dataplane.Row{
			region(0, 5, full, full), region(6, 6, dataplane.Range{First: 0, Last: 79}, full),
			region(6, 6, dataplane.Range{First: 81, Last: 65535}, full), region(7, 255, full, full),
		}, []entry{
			{Protocol: "0"}, {Protocol: "ICMP"}, {Protocol: "2-5"}, {Protocol: "TCP", Ports: "0-79,81-65535"}, {Protocol: "7-16"}, {Protocol: "UDP"},
			{Protocol: "18-57"}, {Protocol: "ICMPv6"}, {Protocol: "59-131"}, {Protocol: "SCTP"}, {Protocol: "133-135"}, {Protocol: "UDPLite"}, {Protocol: "137-255"},
		}},
		{"ports of several protocols", dataplane.Row{
			region(6, 6, one(443), full), region(6, 6, dataplane.Range{First: 8000, Last: 9000}, full), region(6, 6, one(80), full),
			region(17, 17, one(53), full), region(132, 132, full, full),
		}, []entry{{Protocol: "TCP", Ports: "80,443,8000-9000"}, {Protocol: "UDP", Ports: "53"}, {Protocol: "SCTP"}}},
		{"a protocol without name", dataplane.Row{region(47, 47, full, full)}, []entry{{Protocol: "47"}}},
		{"ICMP", dataplane.Row{region(1, 1, full, full)}, []entry{{Protocol: "ICMP"}}},
		{"ICMP to the last type", dataplane.Row{region(1, 1, dataplane.Range{First: 0, Last: 255}, full)}, []entry{{Protocol: "ICMP"}}},
		{"ICMP types and codes", dataplane.Row{
			region(1, 1, one(8), full), region(1, 1, one(3), one(1)), region(1, 1, dataplane.Range{First: 10, Last: 12}, dataplane.Range{First: 0, Last: 4}),
		}, []entry{{Protocol: "ICMP", Types: "3/1,8,10-12/0-4"}}},
		{"source ports that no connection has", dataplane.Row{region(6, 6, one(80), dataplane.Range{First: 0, Last: 49151})}, nil},
		{"some ephemeral source ports", dataplane.Row{
			region(6, 6, one(80), dataplane.Range{First: 0, Last: 50000}), region(6, 6, one(81), dataplane.Range{First: 50001, Last: 65535}),
		}, []entry{{Protocol: "TCP", Ports: "80"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := allowedBy(tt.row, lowestEphemeral)
			if diff := cmp.Diff(tt.want, set.entries()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The ranges are disjoint, ascending, hold the whole family, and each address
// is in one with the class of the longest net that holds it.
func TestFlattenIsTheLongestNet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nets := []classNet{{netip.MustParsePrefix("0.0.0.0/0"), 1}}
		seen := map[netip.Prefix]bool{nets[0].prefix: true}
		for i := range rapid.IntRange(0, 8).Draw(t, "nets") {
			top := rapid.SampledFrom([]byte{0, 10, 127, 128, 255}).Draw(t, "address")
			low := rapid.SampledFrom([]byte{0, 1, 2, 3, 127, 254, 255}).Draw(t, "address")
			bits := rapid.SampledFrom([]int{1, 8, 24, 29, 30, 31, 32}).Draw(t, "bits")
			n, _ := netip.AddrFrom4([4]byte{top, top, low, low}).Prefix(bits)
			if !seen[n] {
				seen[n] = true
				nets = append(nets, classNet{n, dataplane.ClassID(i + 2)})
			}
		}
		all := slices.Clone(nets)
		next := netip.MustParseAddr("0.0.0.0")
		for _, x := range flatten(nets) {
			if x.first != next || x.last.Less(x.first) {
				t.Fatalf("after %v comes %v-%v", next, x.first, x.last)
			}
			next = x.last.Next()
			for _, a := range []netip.Addr{x.first, x.last} {
				longest := all[0]
				for _, n := range all {
					if n.prefix.Contains(a) && n.prefix.Bits() > longest.prefix.Bits() {
						longest = n
					}
				}
				if x.class != longest.class {
					t.Fatalf("%v is of class %v, want that of %v", a, x.class, longest.prefix)
				}
			}
		}
		if next.IsValid() {
			t.Fatalf("nothing holds %v", next)
		}
	})
}

// TestTextForPeople: a set of nearly everything is what is not in it.
func TestTextForPeople(t *testing.T) {
	port := func(p policy.Protocol, ports ...int) L4Set {
		var list []span
		for _, n := range ports {
			list = append(list, span{n, n})
		}
		return onPorts(p, list...)
	}
	of := func(sets ...L4Set) (out L4Set) {
		for _, s := range sets {
			out = out.Union(s)
		}
		return out
	}
	tests := []struct {
		set  L4Set
		want string
	}{
		{of(), "nothing"},
		{of().Complement(), "All"},
		{of(port(policy.TCP, 80, 443), port(policy.UDP, 53)), "TCP 80,443; UDP 53"},
		{port(policy.SCTP, 53).Complement(), "All but SCTP 53"},
		{of(port(policy.TCP, 80, 443), port(policy.UDP, 53)).Complement(), "All but TCP 80,443 and UDP 53"},
		{port(policy.TCP).Complement(), "All but TCP"},
		{port(policy.TCP).Subtract(port(policy.TCP, 80)), "TCP 0-79,81-65535"},
		{of(port(47), port(48), port(132)), "47-48; SCTP"},
		{of(port(policy.UDPLite), port(135)), "135; UDPLite"},
	}
	for _, tt := range tests {
		if got := tt.set.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestTextOfGrants: what is open, then what is for some requests, by family.
func TestTextOfGrants(t *testing.T) {
	web := onPorts(policy.TCP, span{8080, 8080})
	var g Grant
	g.add(web, matchOf(&policy.HTTPMatch{Methods: []string{"GET"}, Paths: []policy.HTTPPath{{Prefix: "/a&b"}}}))
	narrow := g
	g.add(web.Complement(), nil)
	full := everythingAllowed()
	for _, tt := range []struct {
		allowed Allowed
		text    string
		json    string
	}{
		{nil, "nothing", `[]`},
		{Allowed{{Grant: &full}}, "All", `[{"protocol":"All"}]`},
		{Allowed{{Grant: &narrow}}, "TCP 8080 (GET /a&b/...)", `[{"protocol":"TCP","ports":"8080","http":[{"methods":["GET"],"paths":[{"prefix":"/a&b"}]}]}]`},
		{Allowed{{Grant: &g}}, "All but TCP 8080; TCP 8080 (GET /a&b/...)", ""},
		{Allowed{{policy.IPv4, &full}, {policy.IPv6, &narrow}}, "IPv4: All; IPv6: TCP 8080 (GET /a&b/...)", ""},
	} {
		if got := tt.allowed.String(); got != tt.text {
			t.Errorf("got %q, want %q", got, tt.text)
		}
		if got, err := tt.allowed.MarshalJSON(); tt.json != "" && strings.TrimSpace(string(got)) != tt.json {
			t.Errorf("%s: JSON %s, %v; want %s", tt.text, got, err, tt.json)
		}
	}
}
