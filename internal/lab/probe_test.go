package lab

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tierwall/tierwall/policy"
)

// flow makes a flow of "10.0.0.1 -> 10.0.0.2 TCP 80".
func flow(t testing.TB, text string) policy.Flow {
	t.Helper()
	words := strings.Fields(text)
	p, err := policy.ParseProtocol(words[3])
	if err != nil {
		t.Fatal(err)
	}
	f := policy.Flow{Src: netip.MustParseAddr(words[0]), Dst: netip.MustParseAddr(words[2]), Protocol: p}
	if len(words) > 4 {
		if _, err := fmt.Sscan(words[4], &f.DstPort); err != nil {
			t.Fatal(err)
		}
	}
	switch p {
	case policy.ICMP:
		f.ICMPType, f.DstPort = 8, 0
	case policy.ICMPv6:
		f.ICMPType, f.DstPort = 128, 0
	}
	return f
}

// flows are of every kind that a probe can make, between every kind of hosts.
var flows = []struct{ flow, server string }{
	{"10.0.1.1 -> 10.0.1.2 TCP 80", "app"},
	{"10.0.1.1 -> 10.0.1.3 TCP 80", "app"},
	{"fd00:1::1 -> fd00:1::2 TCP 80", "app"},
	{"10.0.1.3 -> 10.0.1.1 UDP 53", "web"},
	{"10.0.1.1 -> 10.0.1.3 UDP 53", "app"},
	{"fd00:1::2 -> fd00:1::1 UDP 53", "web"},
	{"10.0.1.1 -> 10.0.1.2 ICMP", "app"},
	{"fd00:1::1 -> fd00:1::2 ICMPv6", "app"},
	{"10.0.1.1 -> 10.0.1.3 47", "app"},
	{"fd00:1::1 -> fd00:1::2 47", "app"},
	{"10.0.1.1 -> 10.0.1.2 SCTP 3868", "app"},
	{"fd00:1::1 -> fd00:1::2 SCTP 3868", "app"},
	{"10.0.1.1 -> 10.0.1.2 UDPLite", "app"},
	{"10.0.1.1 -> 10.0.1.2 58", "app"}, // the number of ICMPv6, in IPv4
	// The outside world, as source and destination, and its ranges.
	{"10.0.1.1 -> 192.0.2.1 TCP 443", "outside"},
	{"10.0.1.1 -> 198.51.100.77 TCP 443", "outside"},
	{"fd00:1::1 -> 2001:db8:1:2::3 TCP 443", "outside"},
	{"10.0.1.1 -> 198.51.100.77 UDP 443", "outside"},
	{"fd00:1::1 -> 2001:db8:1:2::3 UDP 443", "outside"},
	{"10.0.1.1 -> 198.51.100.77 ICMP", "outside"},
	{"fd00:1::1 -> 2001:db8:1:2::3 ICMPv6", "outside"},
	{"fd00:1::1 -> 2001:db8:1:2::3 99", "outside"},
	{"198.51.100.9 -> 10.0.1.1 TCP 8080", "web"},
	{"2001:db8:1::9 -> fd00:1::1 TCP 8080", "web"},
	{"198.51.100.9 -> 10.0.1.1 UDP 8080", "web"},
	{"2001:db8:1::9 -> fd00:1::1 UDP 8080", "web"},
	{"198.51.100.9 -> 10.0.1.1 ICMP", "web"},
	{"2001:db8:1::9 -> fd00:1::1 ICMPv6", "web"},
	{"2001:db8:1::9 -> fd00:1::1 99", "web"},
	// The node.
	{"10.0.1.1 -> 172.31.255.1 TCP 10250", "node"},
	{"fd00:1::1 -> fd00:7769:7265::1 UDP 10250", "node"},
	{"172.31.255.1 -> 10.0.1.1 TCP 8080", "web"},
	{"fd00:7769:7265::1 -> fd00:1::1 UDP 8080", "web"},
	{"172.31.255.1 -> 198.51.100.77 ICMP", "outside"},
	{"10.0.1.1 -> 10.0.1.1 TCP 80", "web"},
}

func TestProbe(t *testing.T) {
	l := world(t)
	var all sync.WaitGroup
	for _, test := range flows {
		all.Go(func() {
			f := flow(t, test.flow)
			o := l.Probe(t.Context(), f, 0)
			if o.Verdict != Allowed || o.Server != test.server || o.Seen.Addr() != f.Src {
				t.Errorf("%s: %s by %q, who saw %s: %s", test.flow, o.Verdict, o.Server, o.Seen, o.Detail)
			}
		})
	}
	all.Wait()
}

func TestProbeSourcePort(t *testing.T) {
	l := world(t)
	for _, text := range []string{
		"10.0.1.1 -> 10.0.1.2 TCP 80", "10.0.1.1 -> 10.0.1.2 UDP 80", "10.0.1.1 -> 10.0.1.2 SCTP 80",
		"fd00:1::1 -> fd00:1::2 TCP 80", "fd00:1::1 -> fd00:1::2 UDP 80",
	} {
		f := flow(t, text)
		for _, port := range []uint16{1000, 1000, 1000, 0} { // one may be used again at once
			f.SrcPort = port
			o := l.Probe(t.Context(), f, 0)
			got := o.Seen.Port()
			if o.Verdict != Allowed || port != 0 && got != port || got == 0 || port == 0 && got < 49152 {
				t.Errorf("%s from port %d: %s from port %d: %s", text, port, o.Verdict, got, o.Detail)
			}
		}
	}
}

func TestProbeICMPTypes(t *testing.T) {
	l := world(t)
	for _, typeCode := range [][2]uint8{{8, 0}, {8, 3}, {13, 0}, {3, 1}, {200, 7}} {
		f := flow(t, "10.0.1.1 -> 10.0.1.2 ICMP")
		f.ICMPType, f.ICMPCode = typeCode[0], typeCode[1]
		if o := l.Probe(t.Context(), f, 0); o.Verdict != Allowed {
			t.Errorf("ICMP %v: %s: %s", typeCode, o.Verdict, o.Detail)
		}
	}
	for _, typeCode := range [][2]uint8{{128, 0}, {1, 4}, {200, 7}} {
		f := flow(t, "fd00:1::1 -> fd00:1::2 ICMPv6")
		f.ICMPType, f.ICMPCode = typeCode[0], typeCode[1]
		if o := l.Probe(t.Context(), f, 0); o.Verdict != Allowed {
			t.Errorf("ICMPv6 %v: %s: %s", typeCode, o.Verdict, o.Detail)
		}
	}
}

// dropAll makes the node drop what it forwards, receives and sends; gone takes the
// rules away again.
func dropAll(t testing.TB, l *Lab) (gone func()) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(l.Node().FD()))
	if err != nil {
		t.Fatal(err)
	}
	table := c.AddTable(&nftables.Table{Name: "wall", Family: nftables.TableFamilyINet})
	drop := nftables.ChainPolicyDrop
	for name, hook := range map[string]*nftables.ChainHook{
		"forward": nftables.ChainHookForward, "input": nftables.ChainHookInput, "output": nftables.ChainHookOutput,
	} {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: table, Hooknum: hook, Type: nftables.ChainTypeFilter,
			Priority: nftables.ChainPriorityFilter, Policy: &drop,
		})
		if name != "forward" { // the node talks to itself
			meta := expr.MetaKeyIIFNAME
			if name == "output" {
				meta = expr.MetaKeyOIFNAME
			}
			lo := make([]byte, 16)
			copy(lo, "lo")
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Meta{Key: meta, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: lo},
				&expr.Verdict{Kind: expr.VerdictAccept},
			}})
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() {
		c.DelTable(table)
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	}
}

func TestProbeDenied(t *testing.T) {
	l := world(t)
	open := dropAll(t, l)
	var all sync.WaitGroup
	for _, test := range flows {
		f := flow(t, test.flow)
		if f.Src == f.Dst {
			continue
		}
		all.Go(func() {
			if o := l.Probe(t.Context(), f, 0); o.Verdict != Denied || o.Server != "" {
				t.Errorf("%s: %s by %q: %s", test.flow, o.Verdict, o.Server, o.Detail)
			}
		})
	}
	all.Wait()
	open()
	for _, test := range flows {
		if o := l.Probe(t.Context(), flow(t, test.flow), 0); o.Verdict != Allowed {
			t.Errorf("%s: %s: %s", test.flow, o.Verdict, o.Detail)
		}
	}
}

func TestProbeFailed(t *testing.T) {
	l := world(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		flow policy.Flow
		want string
	}{
		{t.Context(), flow(t, "10.0.1.1 -> 10.9.9.9 TCP 80"), "no host owns the destination 10.9.9.9"},
		{t.Context(), flow(t, "10.9.9.9 -> 10.0.1.1 TCP 80"), "no host owns the source 10.9.9.9"},
		{t.Context(), flow(t, "fd00:1::1 -> 10.0.1.1 TCP 80"), "not of one family"},
		{t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 TCP 0"), "port 0 is no port"},
		{t.Context(), flow(t, "10.0.1.1 -> 10.0.1.2 255"), "sockets cannot have that protocol"},
		{ctx, flow(t, "10.0.1.1 -> 10.0.1.2 TCP 80"), "canceled"},
	} {
		o := l.Probe(test.ctx, test.flow, 0)
		if o.Verdict != Failed || !strings.Contains(o.Detail, test.want) {
			t.Errorf("%+v: %s: %q, want %q", test.flow, o.Verdict, o.Detail, test.want)
		}
	}
}

func BenchmarkProbe(b *testing.B) {
	l := world(b)
	for _, text := range []string{"10.0.1.1 -> 10.0.1.2 TCP 80", "10.0.1.1 -> 10.0.1.2 UDP 80"} {
		f := flow(b, text)
		b.Run(f.Protocol.String(), func(b *testing.B) {
			for b.Loop() {
				if o := l.Probe(b.Context(), f, 0); o.Verdict != Allowed {
					b.Fatal(o.Detail)
				}
			}
		})
	}
}

func BenchmarkAddHost(b *testing.B) {
	l := world(b)
	n := 0
	for b.Loop() {
		n++
		cfg := HostConfig{Name: fmt.Sprintf("pod-%d", n), Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)}),
			netip.MustParseAddr(fmt.Sprintf("fd00:9::%x", n)),
		}}
		if _, err := l.AddHost(cfg); err != nil {
			b.Fatal(err)
		}
	}
}
