package judges

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/verify"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // the tests skip, or fail where CI must have labs
	}
	os.Exit(m.Run())
}

// table is all rows, in the order in which they are played.
func table() []row {
	return slices.Concat(
		tierRows, profileRows, orderRows, protocolRows, portRows,
		netRows, setRows, selectorRows, namespaceRows, languageRows,
		kubernetesRows, clusterRows, serviceRows, httpRows, domainRows, handoverRows,
	)
}

// TestTable puts every row before all judges.
func TestTable(t *testing.T) {
	s := newStage(t)
	s.play(t, "")
	var all []flow
	for _, r := range table() {
		t.Run(r.name, func(t *testing.T) {
			flows, err := parseFlows(r.flows)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, flows...)
			s.play(t, r.objects)
			s.judge(t, flows)
			s.compare(t)
			if t.Failed() {
				t.Logf("with the objects\n%s", r.objects)
			}
		})
	}
	t.Logf("%d rows, %d flows", len(table()), len(all))
	t.Run("from scratch", func(t *testing.T) { s.testFromScratch(t, all) })
	t.Run("without policy", func(t *testing.T) { s.testWithoutPolicy(t, all) })
	t.Run("backwards", s.testBackwards)
}

// judge asks all judges about flows.
func (s *stage) judge(t *testing.T, flows []flow) {
	t.Helper()
	reference := evaluate.New(s.model())
	kernel := s.readBack(t)
	for _, f := range flows {
		result := reference.Evaluate(f.Flow)
		judged(t, "evaluate", f, result.Verdict == policy.Allow, "egress by "+by(result.Egress)+", ingress by "+by(result.Ingress))
		if f.passesTables() {
			for name, tables := range map[string]dataplane.FlowDecider{"memory": s.memory, "the tables read back": kernel} {
				egress, ingress := tables.Decide(f.Flow)
				judged(t, name, f, egress.Allow && ingress.Allow, fmt.Sprintf("egress %+v, ingress %+v", egress, ingress))
			}
		}
	}
	s.probe(t, flows)
}

// passesTables reports whether the connection meets tables at all: not within one
// host, and not between the node and its pods.
func (f flow) passesTables() bool {
	return f.from != f.to && f.from != ownNode && f.to != ownNode
}

func by(d policy.Decision) string {
	if d.By == nil {
		return "nothing"
	}
	return dataplane.DeciderText(*d.By)
}

func judged(t *testing.T, judge string, f flow, allow bool, why string) {
	t.Helper()
	if allow != f.allow {
		t.Errorf("%s: %s says %s, expected %s (%s)", f, judge, verdict(allow), verdict(f.allow), why)
	}
}

func verdict(allow bool) string {
	if allow {
		return "Allow"
	}
	return "Deny"
}

const (
	// probeTimeout is short, since most rows wait for it; on a slow machine the lab waits longer.
	probeTimeout = 150 * time.Millisecond
	probesAtOnce = 32
)

// probe sends the flows' packets.
func (s *stage) probe(t *testing.T, flows []flow) {
	t.Helper()
	var wait sync.WaitGroup
	busy := make(chan struct{}, probesAtOnce)
	for _, f := range flows {
		busy <- struct{}{}
		wait.Go(func() {
			defer func() { <-busy }()
			packet := f.Flow
			if f.anyPort {
				packet.SrcPort = 0
			}
			got := s.lab.Probe(context.Background(), packet, probeTimeout)
			if f.allow && got.Verdict == lab.Denied {
				// A busy machine may lose one packet; policy would take them all.
				got = s.lab.Probe(context.Background(), packet, 10*probeTimeout)
			}
			if got.Verdict == lab.Failed {
				t.Errorf("%s: no packets could be sent: %s", f, got.Detail)
				return
			}
			judged(t, "the packet test", f, got.Verdict == lab.Allowed, got.Detail)
		})
	}
	wait.Wait()
}

// compare holds the kernel's tables, which came about step by step, against the
// reference and against those of an engine from scratch: at all corners of what
// policy tells apart.
func (s *stage) compare(t *testing.T) {
	t.Helper()
	scratch, e := dataplane.NewState(), engine.New(nil)
	e.Apply(changes(s.model())...)
	if err := scratch.Apply(e.Flush()); err != nil {
		t.Fatal(err)
	}
	kernel := s.readBack(t)
	for name, tables := range map[string]dataplane.FlowDecider{"the kernel": kernel, "memory": s.memory} {
		report, err := verify.Run(context.Background(), verify.Input{
			Model: s.model(), Tables: scratch, Kernel: tables,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range report.First {
			t.Errorf("%s: %s", name, d)
		}
		if report.Decisions == 0 {
			t.Error("nothing was compared")
		}
	}
}
