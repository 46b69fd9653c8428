package dataplane

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
)

// TestGuardSettings reads what an administrator writes of guards: what is wrong says what
// would be right, and nothing that is not written switches a guard off.
func TestGuardSettings(t *testing.T) {
	for text, want := range map[string]any{
		"":                  []Guard(nil),
		"mac":               []Guard{GuardMAC},
		"mac, frame, mac":   []Guard{GuardMAC, GuardFrame},
		"macs":              `there is no guard "macs": expected some of frame, mac, router, icmp-error, overlay, link-local, destination`,
		"MAC":               `there is no guard "MAC"`,
		"source":            `guard "source": use --check-sources=false`,
		"mac,encapsulation": `guard "encapsulation": use --encapsulation-from-workloads=Allow`,
	} {
		var names []string
		if text != "" {
			names = strings.Split(text, ",")
		}
		got, err := ParseDisabled(names)
		if says, ok := want.(string); ok {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q: %v, want %q", text, err, says)
			}
			continue
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for _, name := range EncapsulationScopes() {
		if s, err := ParseEncapsulationScope(name); err != nil || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	if _, err := ParseEncapsulationScope("Drop"); err == nil || !strings.Contains(err.Error(), "DropToNodes, DropAll, Allow") {
		t.Errorf("Drop: %v", err)
	}
	for _, x := range Guards {
		if !(GuardSettings{}).Has(x.Guard) {
			t.Errorf("%s is off where nobody said so", x.Guard)
		}
		if (GuardSettings{Disabled: []Guard{x.Guard}, Encapsulation: EncapsulationAllowed}).Has(x.Guard) {
			t.Errorf("%s is not off", x.Guard)
		}
		if x.Drops == "" || x.Switch == "" {
			t.Errorf("%s: nothing is said of it", x.Guard)
		}
	}
}

// TestDrops: which guard drops a connection, as far as its addresses, protocol and ports tell.
func TestDrops(t *testing.T) {
	udp := func(port uint16) policy.Flow { return policy.Flow{Protocol: policy.UDP, DstPort: port} }
	ports := []uint16{7777}
	for name, tt := range map[string]struct {
		flow   policy.Flow
		toNode bool
		scope  EncapsulationScope
		want   Guard
	}{
		"a usual port":                {flow: udp(8472), toNode: true, want: GuardEncapsulation},
		"a port of the node":          {flow: udp(7777), toNode: true, want: GuardEncapsulation},
		"the same, by UDP-Lite":       {flow: policy.Flow{Protocol: policy.UDPLite, DstPort: 7777}, toNode: true, want: GuardEncapsulation},
		"the same, by TCP":            {flow: policy.Flow{Protocol: policy.TCP, DstPort: 7777}, toNode: true},
		"another port":                {flow: udp(7778), toNode: true},
		"to elsewhere":                {flow: udp(7777)},
		"to elsewhere, and all of it": {flow: udp(7777), scope: EncapsulationAll, want: GuardEncapsulation},
		"allowed":                     {flow: udp(7777), toNode: true, scope: EncapsulationAllowed},
		"IP in IP":                    {flow: policy.Flow{Protocol: 4}, toNode: true, want: GuardEncapsulation},
		"a redirect":                  {flow: policy.Flow{Protocol: policy.ICMP, ICMPType: 5}, want: GuardRouter},
	} {
		got, drops := GuardSettings{Encapsulation: tt.scope}.Drops(tt.flow, tt.toNode, ports)
		if drops != (tt.want != "") || drops && got != tt.want {
			t.Errorf("%s: %s, %v, want %q", name, got, drops, tt.want)
		}
	}
	if _, drops := (GuardSettings{}).Drops(udp(7777), true, nil); drops {
		t.Error("a port that is nobody's is one of tunnels")
	}
}
