package nflog

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tierwall/tierwall/policy"
)

func TestParsePacket(t *testing.T) {
	v4 := policy.Flow{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Protocol: policy.TCP, SrcPort: 4660, DstPort: 80}
	v6 := policy.Flow{Src: netip.MustParseAddr("fd00::1"), Dst: netip.MustParseAddr("fd00::2"), Protocol: policy.UDP, SrcPort: 4660, DstPort: 53}
	const addrs6 = "fd000000000000000000000000000001" + "fd000000000000000000000000000002"
	ping, tail := v4, v4
	ping.Protocol, ping.SrcPort, ping.DstPort, ping.ICMPType = policy.ICMP, 0, 0, 8
	tail.SrcPort, tail.DstPort = 0, 0
	tail6 := v6
	tail6.SrcPort, tail6.DstPort = 0, 0
	for name, c := range map[string]struct {
		packet string
		want   policy.Flow
		length int
	}{
		"TCP":                     {"4500003c000040004006" + "0000" + "0a0000010a000002" + "12340050", v4, 60},
		"options":                 {"4600003c000040004006" + "0000" + "0a0000010a000002" + "01010101" + "12340050", v4, 60},
		"ports cut off":           {"4500003c000040004006" + "0000" + "0a0000010a000002" + "1234", tail, 60},
		"not the first fragment":  {"4500003c000000b94006" + "0000" + "0a0000010a000002" + "12340050", tail, 60},
		"ping":                    {"4500003c000040004001" + "0000" + "0a0000010a000002" + "0800", ping, 60},
		"IPv6":                    {"600000000008" + "1140" + addrs6 + "1234003500080000", v6, 48},
		"IPv6 with options":       {"600000000010" + "0040" + addrs6 + "1100000000000000" + "1234003500080000", v6, 56},
		"IPv6 options cut off":    {"600000000010" + "0040" + addrs6 + "1101000000000000", tail6, 56},
		"IPv6, a later fragment":  {"600000000010" + "2c40" + addrs6 + "1100000900000000" + "1234003500080000", tail6, 56},
		"IPv6, the first of them": {"600000000010" + "2c40" + addrs6 + "1100000100000000" + "1234003500080000", v6, 56},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(c.packet)
			if err != nil {
				t.Fatal(err)
			}
			got, length, ok := parsePacket(b)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" || length != c.length || !ok {
				t.Errorf("length %d, %v (-want +got):\n%s", length, ok, diff)
			}
		})
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add([]byte("\x08\x00\x09\x00\x45\x00\x00\x00"))
	b, _ := hex.DecodeString("4500003c0000400040060000" + "0a0000010a000002" + "12340050")
	f.Add(append([]byte{byte(4 + len(b)), 0, 9, 0}, b...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseMessage(b); ok && !p.Flow.Src.IsValid() {
			t.Errorf("a packet without a source: %+v", p)
		}
	})
}
