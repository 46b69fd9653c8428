package analyze_test

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/analyze"
	"github.com/tierwall/tierwall/policy"
)

// TestJSONHasProtocolsByName: the JSON, read by names and by ranges of numbers, is the
// set, and no range of numbers has a protocol that policies call by a name. So a script
// that looks for "TCP" misses nothing.
func TestJSONHasProtocolsByName(t *testing.T) {
	names := map[string]policy.Protocol{"TCP": policy.TCP, "UDP": policy.UDP, "SCTP": policy.SCTP, "ICMP": policy.ICMP, "ICMPv6": policy.ICMPv6, "UDPLite": policy.UDPLite}
	// Those with a name, those beside them, and the ends: where ranges begin and end.
	protocols := []policy.Protocol{0, 255}
	for _, p := range names {
		protocols = append(protocols, p-1, p, p+1)
	}
	rapid.Check(t, func(t *rapid.T) {
		set := analyze.DrawL4Set(t)
		var entries []jsonEntry
		readBack(t, set, &entries)
		for _, e := range entries {
			first, last, numeric := strings.Cut(e.Protocol, "-")
			if !numeric {
				last = first
			}
			lo, err1 := strconv.Atoi(first)
			hi, err2 := strconv.Atoi(last)
			if err1 != nil || err2 != nil {
				if _, known := names[e.Protocol]; !known && e.Protocol != "All" {
					t.Fatalf("%q is no protocol: %v", e.Protocol, entries)
				}
				continue
			}
			for name, p := range names {
				if lo <= int(p) && int(p) <= hi {
					t.Fatalf("%s is hidden in %q: %v", name, e.Protocol, entries)
				}
			}
		}
		for _, protocol := range protocols {
			for _, n := range []int{0, 1, 8, 9, 79, 80, 81, 199, 200, 201, 254, 255, 256, 65534, 65535} {
				f := policy.Flow{Protocol: protocol, DstPort: uint16(n)}
				if protocol.IsICMP() {
					if n > 255 {
						continue
					}
					f.ICMPType, f.ICMPCode, f.DstPort = uint8(n), uint8(255-n), 0
				}
				if got, want := entriesAllow(entries, f), set.Contains(f); got != want {
					t.Fatalf("%+v: in the JSON %v, in the set %v: %v", f, got, want, entries)
				}
			}
		}
	})
}
