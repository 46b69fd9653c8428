package judges

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/memory"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

// hostRow is a row of the table of host endpoints: it plays on node-1, and has
// settings of the node.
type hostRow struct {
	row
	toHost policy.Action // --endpoint-to-host; 0: Allow
}

// hep makes a HostEndpoint of node-1 with a label role: host.
func hep(name, iface string) string {
	return labelled("role: host", object("projectcalico.org/v3", "HostEndpoint", name, "node: node-1\ninterfaceName: '"+iface+"'"))
}

// onNode1 reports whether the tables of the lab's node are for an endpoint.
func onNode1(ep *policy.Endpoint) bool { return ep.Node == ownNode }

// newHostStage is newStage for an agent of node-1, with default failsafes.
func newHostStage(t *testing.T, toHost policy.Action) *stage {
	t.Helper()
	s := &stage{
		whole: t, lab: newLab(t), translator: translate.New(translate.Options{}), engine: engine.New(onNode1), memory: memory.New(),
	}
	s.host.FailsafeIn, s.host.FailsafeOut = policy.DefaultFailsafes()
	s.host.EndpointToHost = toHost
	k, err := nft.New(nft.Options{
		NetNS: fmt.Sprintf("/proc/self/fd/%d", s.lab.Node().FD()), Logger: slog.New(slog.DiscardHandler),
		Host: dataplane.HostSettings{HostSettings: s.host},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	s.nft = k
	return s
}

// TestHosts puts every row of host endpoints before all judges.
func TestHosts(t *testing.T) {
	stages := map[policy.Action]*stage{}
	for _, r := range slices.Concat(hostRows, ownNodeRows, hostProfileRows) {
		s := stages[r.toHost]
		if s == nil {
			s = newHostStage(t, r.toHost)
			stages[r.toHost] = s
		}
		t.Run(r.name, func(t *testing.T) {
			flows, err := parseFlows(r.flows)
			if err != nil {
				t.Fatal(err)
			}
			s.play(t, r.objects)
			s.judgeHosts(t, flows)
			s.compareHosts(t)
			if t.Failed() {
				t.Logf("with the objects\n%s", r.objects)
			}
		})
	}
}

// isOutside reports whether a host of the lab is neither the node nor on it.
func isOutside(name string) bool {
	return slices.Contains([]string{"office", "world", "stranger", "node-2"}, name)
}

// judgeHosts asks the reference and the packets.
func (s *stage) judgeHosts(t *testing.T, flows []flow) {
	t.Helper()
	m := s.translator.Model()
	m.Host = s.host
	reference := evaluate.New(m)
	for _, f := range flows {
		asked := f.Flow
		asked.In, asked.Out = linkTo(f.from), linkTo(f.to)
		if isOutside(f.from) && isOutside(f.to) {
			asked.Router = ownNode // it is what is between them
		}
		result := reference.Evaluate(asked)
		why := "egress by " + by(result.Egress) + ", ingress by " + by(result.Ingress)
		for _, h := range result.Hosts {
			why += fmt.Sprintf(", %v: %v by %s", h.Hook, h.Verdict, by(h.Decision))
		}
		judged(t, "evaluate", f, result.Verdict == policy.Allow, why)
	}
	s.probe(t, flows)
}

// compareHosts holds the kernel's tables and those in memory against the reference.
func (s *stage) compareHosts(t *testing.T) {
	t.Helper()
	scratch, e := dataplane.NewState(), engine.New(onNode1)
	e.Apply(changes(s.translator.Model())...)
	if err := scratch.Apply(e.Flush()); err != nil {
		t.Fatal(err)
	}
	if drift, err := s.nft.Check(context.Background()); err != nil || len(drift.Findings) > 0 {
		t.Errorf("the kernel's tables are not as written: %v, %v", drift, err)
	}
	m := s.translator.Model().At(onNode1)
	m.Host = s.host
	for name, tables := range map[string]dataplane.FlowDecider{"the kernel": s.readBack(t), "memory": s.memory} {
		report, err := verify.Run(context.Background(), verify.Input{
			Model: m, Tables: scratch, Kernel: tables, IsLocal: onNode1,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range report.First {
			t.Errorf("%s: %s", name, d)
		}
	}
}
