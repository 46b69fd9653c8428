package nft

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// TestStockNFT has the nft program print the table.
func TestStockNFT(t *testing.T) {
	l := newLab(t)
	b := newDataplane(t, nodeNS(l))
	m := podTables()
	for i := range byte(20) { // enough classes for a tree of two levels
		id := dataplane.ClassID(100 + i)
		m.Classes[id] = true
		if i%2 == 0 {
			m.Addrs[netip.AddrFrom4([4]byte{10, 2, 0, i})] = id
		} else {
			m.Addrs[netip.AddrFrom16([16]byte{0xfd, 15: i})] = id
		}
	}
	apply(t, b, tabletest.Empty().Step(m))
	text := stockNFT(t, l, "list ruleset")
	for _, want := range []string{
		"type filter hook forward priority filter - 10; policy accept;",
		"ct state established,related accept",
		"ip saddr vmap @egress4",
		"ip6 daddr vmap @ingress6",
		"ip saddr . ip daddr @self4 return",
		"ip daddr @known4 goto egress4-node-2-0",
		"@known6-digit0-is-1 goto ingress6-class-",
		"tcp dport 443 goto allow-1",
		`comment "egress default/NetworkPolicy test/pods rule 0"`,
		"198.51.100.0/24 : goto egress4-class-5",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nft does not print %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestSetsOnly listens to what the kernel itself says of changes: when addresses
// and nets of classes that exist change, nothing but elements of sets does.
func TestSetsOnly(t *testing.T) {
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	m := podTables()
	apply(t, b, tabletest.Empty().Step(m))
	listener, err := nfnl.Listen(nfnl.ListenerConfig{NetNS: ns})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := listener.Join(unix.NFNLGRP_NFTABLES); err != nil {
		t.Fatal(err)
	}
	next := m.Clone()
	for _, p := range []string{"203.0.113.0/24", "203.0.113.128/25", "198.51.100.64/26", "2001:db8:2::/48"} {
		p := netip.MustParsePrefix(p)
		next.Nets[p] = map[bool]dataplane.ClassID{true: office4, false: office6}[p.Addr().Is4()]
	}
	delete(next.Nets, officeNet4)
	next.Addrs[world4IP] = pods4
	next.Addrs[podB4] = pods4
	delete(next.Addrs, podA6)
	apply(t, b, m.Step(next))
	seen := map[uint8]int{}
	for seen[unix.NFT_MSG_NEWGEN] == 0 {
		if err := listener.Receive(func(_ nfnl.Header, m nfnl.Message) error {
			seen[m.Type]++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for typ, n := range seen {
		switch typ {
		case unix.NFT_MSG_NEWGEN:
		case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
			t.Logf("message %d: %d times", typ, n)
		default:
			t.Errorf("%d messages of type %d: more than elements of sets changed", n, typ)
		}
	}
	if findings, err := b.compare(); err != nil || len(findings) > 0 {
		t.Errorf("%q, %v", findings, err)
	}
}

// TestOthersUntouched checks that other tables stay as they are, also when the
// table is replaced and removed.
func TestOthersUntouched(t *testing.T) {
	l := newLab(t)
	stockNFT(t, l, "table inet other { chain forward { type filter hook forward priority 0; ip saddr 192.0.2.1 counter drop; }; }")
	before := stockNFT(t, l, "list table inet other")
	for range 2 {
		apply(t, newDataplane(t, nodeNS(l)), tabletest.Empty().Step(podTables()))
	}
	b := newReader(t, nodeNS(l), podTables())
	if err := b.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := stockNFT(t, l, "list ruleset"); strings.TrimSpace(after) != strings.TrimSpace(before) {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
	if _, err := b.ReadBack(context.Background()); !errors.Is(err, ErrNoTable) {
		t.Errorf("after Remove: %v", err)
	}
	apply(t, b, tabletest.Empty().Step(podTables())) // and again from nothing
}

// TestHundredThousand loads a hundred thousand addresses, changes one, and lets
// sets grow beyond the capacity that they were made with.
func TestHundredThousand(t *testing.T) {
	l := newLab(t)
	b := newDataplane(t, nodeNS(l))
	apply(t, b, synthetic(3, 7, 100_000))
	one := &dataplane.Delta{SetAddrs: map[netip.Addr]dataplane.ClassID{netip.MustParseAddr("10.200.0.1"): 5}}
	start := time.Now()
	apply(t, b, one)
	t.Logf("one address: %v", time.Since(start))
	grow := &dataplane.Delta{SetAddrs: map[netip.Addr]dataplane.ClassID{}}
	for i := range 60_000 {
		grow.SetAddrs[netip.AddrFrom4([4]byte{10, byte(128 + i>>16), byte(i >> 8), byte(i)})] = 4
	}
	apply(t, b, grow)
	if b.rewrites > 0 {
		t.Error("the kernel refused a step")
	}
	if findings, err := b.compare(); err != nil || len(findings) > 0 {
		t.Errorf("%q, %v", findings, err)
	}
	k, err := b.ReadBack(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		f := flowTo(remoteAddr(i*47), uint16(1000+i%9))
		wantE, wantI := b.Decide(f)
		if e, in := k.Decide(f); e != wantE || in != wantI {
			t.Fatalf("%+v: got %v %v, want %v %v", f, e, in, wantE, wantI)
		}
	}
}

func flowTo(dst netip.Addr, port uint16) policy.Flow {
	return policy.Flow{Src: localAddr(1), Dst: dst, Protocol: policy.TCP, DstPort: port}
}
