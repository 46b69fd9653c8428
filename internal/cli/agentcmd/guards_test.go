package agentcmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/agent/antispoof"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// TestGuardFlags gives flags about guards to the command.
func TestGuardFlags(t *testing.T) {
	for _, x := range []struct {
		args string
		want dataplane.GuardSettings
		err  string
	}{
		{"", dataplane.GuardSettings{}, ""},
		{"--uplink-source-check=off --disable-guards=mac,frame", dataplane.GuardSettings{Disabled: []dataplane.Guard{"mac", "frame", "uplink-source"}}, ""},
		{"--encapsulation-from-workloads=DropAll", dataplane.GuardSettings{Encapsulation: dataplane.EncapsulationAll}, ""},
		{"--uplink-source-check=no", dataplane.GuardSettings{}, "--uplink-source-check no: expected on or off"},
		{"--encapsulation-from-workloads=drop", dataplane.GuardSettings{}, `--encapsulation-from-workloads: "drop": expected DropToNodes, DropAll, Allow`},
		{"--workload-source-spoofing=any", dataplane.GuardSettings{}, "--workload-source-spoofing any: expected Disabled or Any"},
		{"--disable-guards=tags", dataplane.GuardSettings{}, `--disable-guards: there is no guard "tags"`},
	} {
		var o guardFlags
		cmd := NewCommand()
		cmd.ResetFlags()
		o.register(cmd)
		if err := cmd.ParseFlags(strings.Fields(x.args)); err != nil {
			t.Fatal(err)
		}
		switch err := o.complete(cmd); {
		case x.err != "":
			if err == nil || !strings.Contains(err.Error(), x.err) {
				t.Errorf("%s: %v, want %q", x.args, err, x.err)
			}
		case err != nil:
			t.Errorf("%s: %v", x.args, err)
		default:
			if diff := cmp.Diff(x.want, o.settings); diff != "" {
				t.Errorf("%s: %s", x.args, diff)
			}
		}
	}
}

// TestGuardLines shows what guards have dropped.
func TestGuardLines(t *testing.T) {
	st := &antispoof.Status{
		Guards: []antispoof.GuardStatus{
			{Guard: dataplane.GuardFrame, Off: true}, {Guard: dataplane.GuardMAC, Packets: 2}, {Guard: dataplane.GuardSource, Packets: 10}, {Guard: dataplane.GuardUnknown, Off: true},
		},
		OutsideSources: []antispoof.OutsideSource{{Source: "10.0.0.7", Packets: 3}}, UnknownMAC: []string{"shop/db"}, Error: "no",
	}
	want := [][2]string{
		{"dropped by guards", "2 by mac, 10 by source"}, {"guards off", "frame"}, {"from outside", "3 packets with the pod's address 10.0.0.7"},
		{"MAC not checked", "shop/db (not known yet)"}, {"guards", "no"},
	}
	if diff := cmp.Diff(want, guardLines(st, output.StyleFor(&bytes.Buffer{}))); diff != "" {
		t.Error(diff)
	}
	if got := guardLines(nil, output.StyleFor(&bytes.Buffer{})); got != nil {
		t.Errorf("of a dataplane without guards: %q", got)
	}
}
