package packetlog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/nflog"
	"github.com/tierwall/tierwall/policy"
)

// floodSource hands over packets of one moment, and says that some were lost.
type floodSource struct {
	packets []nflog.Packet
	lost    int
}

func (s *floodSource) Receive(_ context.Context, each func(nflog.Packet), lost func()) error {
	for _, p := range s.packets {
		each(p)
	}
	for range s.lost {
		lost()
	}
	return io.EOF
}

// TestFloodIsLeftOut: what is written is bounded, another namespace's lines are among it,
// and what was left out is said in one line, and counted.
func TestFloodIsLeftOut(t *testing.T) {
	flood, shop := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	source := &floodSource{lost: 1000}
	add := func(to netip.Addr, n int) {
		for range n {
			source.packets = append(source.packets, nflog.Packet{
				Prefix: "default/GlobalNetworkPolicy all rule 0", // a global policy's, which is everybody's
				Flow:   policy.Flow{Src: netip.MustParseAddr("192.0.2.1"), Dst: to, Protocol: policy.TCP, SrcPort: 40000, DstPort: 80},
			})
		}
	}
	add(flood, 20_000)
	add(shop, 100)
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	c := New(component.Env{Log: slog.New(slog.NewTextHandler(&out, nil)), Metrics: registry}, source).(*Component)
	c.now = func() time.Time { return start }
	c.of = map[netip.Addr]string{flood: "flood", shop: "shop"}
	c.run(t.Context())
	c.report()
	if got := strings.Count(out.String(), "dst=10.0.0.2"); got != 100 {
		t.Errorf("%d lines of 100 are written", got)
	}
	if got := strings.Count(out.String(), "dst=10.0.0.1"); got != 500 {
		t.Errorf("%d lines of the flood are written", got)
	}
	for _, want := range []string{`packets=19500 namespaces="flood 19500"`, "times=1000"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not said once", want)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 600+3 { // the end of the source, too
		t.Errorf("%d lines", n)
	}
	counted := map[string]float64{}
	families, err := registry.Gather()
	for _, f := range families {
		counted[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
	}
	want := map[string]float64{"tierwall_logged_packets_total": 600, "tierwall_log_left_out_packets_total": 19500, "tierwall_log_overruns_total": 1000}
	if d := cmp.Diff(want, counted); err != nil || d != "" {
		t.Errorf("counted: %v (-want +got):\n%s", err, d)
	}
	out.Reset()
	if c.report(); out.Len() > 0 {
		t.Errorf("said again: %s", &out)
	}
}
