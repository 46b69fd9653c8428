package conntrack

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// writeTuple writes a tuple as the kernel does.
func writeTuple(w *nfnl.Writer, typ uint16, t tuple) {
	nest := w.Nest(typ)
	addrs := w.Nest(attrTupleAddrs)
	first := uint16(1)
	if t.src.Is6() {
		first = 3
	}
	w.Bytes(first, t.src.AsSlice())
	w.Bytes(first+1, t.dst.AsSlice())
	w.EndNest(addrs)
	proto := w.Nest(attrTupleProto)
	w.Uint8(attrProtocol, uint8(t.protocol))
	switch t.protocol {
	case policy.ICMP:
		w.Uint8(attrICMPType, t.icmpType)
		w.Uint8(attrICMPCode, t.code)
	case policy.ICMPv6:
		w.Uint8(attrICMP6Type, t.icmpType)
		w.Uint8(attrICMP6Code, t.code)
	default:
		w.Uint16(attrSourcePort, t.srcPort)
		w.Uint16(attrDestPort, t.dstPort)
	}
	w.EndNest(proto)
	w.EndNest(nest)
}

func entryOf(t testing.TB, status uint32, original, reply tuple) (Entry, bool, error) {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, messageNew, 0, unix.AF_INET)
	writeTuple(&w, attrOriginal, original)
	writeTuple(&w, attrReply, reply)
	w.Uint32(attrStatus, status)
	w.Uint32(attrID, 77)
	w.End()
	var e Entry
	var ok bool
	var failed error
	if err := nfnl.ParseMessages(w.B, func(h nfnl.Header, body []byte) error {
		m, err := nfnl.ParseMessage(h, body)
		if err == nil {
			e, ok, failed = parseEntry(m)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return e, ok, failed
}

func TestParseEntry(t *testing.T) {
	a, b, vip := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.96.0.1")
	node := netip.MustParseAddr("192.0.2.1")
	a6, b6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	tcp, udp := policy.TCP, policy.UDP
	cases := []struct {
		name            string
		original, reply tuple
		want            policy.Flow
	}{
		{
			"plain", tuple{a, b, tcp, 4000, 80, 0, 0}, tuple{b, a, tcp, 80, 4000, 0, 0},
			policy.Flow{Src: a, Dst: b, Protocol: tcp, SrcPort: 4000, DstPort: 80},
		},
		{
			"translated destination and port", tuple{a, vip, udp, 4000, 53, 0, 0}, tuple{b, a, udp, 5353, 4000, 0, 0},
			policy.Flow{Src: a, Dst: b, Protocol: udp, SrcPort: 4000, DstPort: 5353},
		},
		{
			"translated source", tuple{a, b, tcp, 4000, 80, 0, 0}, tuple{b, node, tcp, 80, 61000, 0, 0},
			policy.Flow{Src: a, Dst: b, Protocol: tcp, SrcPort: 4000, DstPort: 80},
		},
		{
			"echo", tuple{a, b, policy.ICMP, 0, 0, 8, 0}, tuple{b, a, policy.ICMP, 0, 0, 0, 0},
			policy.Flow{Src: a, Dst: b, Protocol: policy.ICMP, ICMPType: 8},
		},
		{
			"echo of IPv6", tuple{a6, b6, policy.ICMPv6, 0, 0, 128, 0}, tuple{b6, a6, policy.ICMPv6, 0, 0, 129, 0},
			policy.Flow{Src: a6, Dst: b6, Protocol: policy.ICMPv6, ICMPType: 128},
		},
	}
	for _, c := range cases {
		e, ok, err := entryOf(t, 0, c.original, c.reply)
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
		if diff := cmp.Diff(c.want, e.Flow, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if e.id.Uint32() != 77 {
			t.Errorf("%s: id %d", c.name, e.id.Uint32())
		}
	}
	if _, ok, err := entryOf(t, statusDying, cases[0].original, cases[0].reply); ok || err != nil {
		t.Errorf("an entry that is going away: %v, %v", ok, err)
	}
}

// FuzzParseEntry reads anything as an entry: an error at worst.
func FuzzParseEntry(f *testing.F) {
	f.Add([]byte{8, 0, 1, 128, 4, 0, 1, 128})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if nfnl.Attrs(b).Check() == nil {
			e, _, _ := parseEntry(nfnl.Message{Attrs: b})
			_ = e.String()
		}
	})
}
