package policy_test

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestControlTraffic says what policy never judges, and what only looks like it.
func TestControlTraffic(t *testing.T) {
	pod4, pod6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	group4, group6 := netip.MustParseAddr("224.0.0.22"), netip.MustParseAddr("ff02::16")
	for typ := range 256 {
		solicits := typ == 133 || typ == 135 || typ == 136
		tells := 130 <= typ && typ <= 132 || typ == 143
		for dst, want := range map[netip.Addr]bool{pod6: solicits, group6: solicits || tells, pod4: false, group4: false} {
			f := policy.Flow{Src: pod6, Dst: dst, Protocol: policy.ICMPv6, ICMPType: uint8(typ)}
			if got := f.IsControlTraffic(); got != want {
				t.Errorf("ICMPv6 type %d to %v: %v, want %v", typ, dst, got, want)
			}
		}
	}
	for protocol := range 256 {
		for dst, want := range map[netip.Addr]bool{
			pod4: false, group4: protocol == 2, netip.AddrFrom16(group4.As16()): protocol == 2, group6: false, netip.MustParseAddr("255.255.255.255"): false,
		} {
			if got := (policy.Flow{Src: pod4, Dst: dst, Protocol: policy.Protocol(protocol)}).IsControlTraffic(); got != want {
				t.Errorf("protocol %d to %v: %v, want %v", protocol, dst, got, want)
			}
		}
	}
}
