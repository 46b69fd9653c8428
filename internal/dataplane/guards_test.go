package dataplane

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGuardSettings reads what an administrator writes of guards: what is wrong says what
// would be right, and nothing that is not written switches a guard off.
func TestGuardSettings(t *testing.T) {
	for text, want := range map[string]any{
		"":                  []Guard(nil),
		"mac":               []Guard{GuardMAC},
		"mac, frame, mac":   []Guard{GuardMAC, GuardFrame},
		"macs":              `there is no guard "macs": expected some of frame, mac, router, icmp-error, link-local, destination`,
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
