package engine_test

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) { modeltest.Main(m, 500, 3000) }

// judged reports whether tables and evaluate are to agree on an end of a flow:
// an endpoint's connection with itself is never seen.
func judged(m *policy.Model, f policy.Flow) bool {
	return f.Src != f.Dst && !slices.ContainsFunc(m.Endpoints, func(ep *policy.Endpoint) bool {
		return slices.Contains(ep.Addrs, f.Src) && slices.Contains(ep.Addrs, f.Dst)
	})
}

// sameVerdicts ends the test if the tables and evaluate differ on the flow.
func sameVerdicts(t fataler, tb *tables, ev *evaluate.Evaluator, f policy.Flow) {
	t.Helper()
	want := ev.Evaluate(f)
	egress, ingress := tb.state.Decide(f)
	for dir, d := range [2]policy.Decision{want.Egress, want.Ingress} {
		dir := policy.Direction(dir)
		allow, by, logs := tb.decide(f, dir)
		if v := [2]dataplane.Verdict{egress, ingress}[dir]; (!v.Governed || v.Allow) != allow {
			t.Fatalf("%v of %+v: the tables say allow=%v by %v, dataplane.State says %+v", dir, f, allow, by, v)
		}
		if allow != (d.Verdict == policy.Allow) {
			t.Fatalf("%v of %+v: the tables say allow=%v by %v, evaluate says %v by %v", dir, f, allow, by, d.Verdict, d.By)
		}
		if (by == nil) != (d.By == nil) || by != nil && *by != *d.By {
			t.Fatalf("%v of %+v: %v is decided by %v in the tables, by %v in evaluate", dir, f, d.Verdict, by, d.By)
		}
		if want := dataplane.LogsOf(d.Logs()); logs != want {
			t.Fatalf("%v of %+v: the tables log for %q, evaluate for %q", dir, f, logs, want)
		}
	}
}

// fromScratch makes the tables of a model in one delta.
func fromScratch(t fataler, m *policy.Model) *tables {
	t.Helper()
	e := engine.New(nil)
	e.Apply(modeltest.Changes(nil, m)...)
	tb := newTables()
	tb.mustApply(t, e.Flush())
	return tb
}

func TestRowsSayWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		tb := fromScratch(t, m)
		ev := evaluate.New(m)
		flows := modeltest.Flows(m)
		for range 40 {
			if f := flows.Draw(t, "flow"); judged(m, f) {
				sameVerdicts(t, tb, ev, f)
			}
		}
	})
}

// toOwnNode is an index by which every address is of the node that endpoints run on.
type toOwnNode struct{ evaluate.Index }

func (toOwnNode) OnNode(*policy.Endpoint, netip.Addr) bool { return true }

// sameToOwnNode ends the test if the tables and evaluate differ on what the source of a
// flow sends to its own node.
func sameToOwnNode(t fataler, tb *tables, index evaluate.Index, f policy.Flow) {
	t.Helper()
	want, got := evaluate.Decide(toOwnNode{index}, f).Egress, tb.state.DecideToNode(f)
	if allow := !got.Governed || got.Allow; allow != (want.Verdict == policy.Allow) {
		t.Fatalf("%+v to its own node: the tables say %+v, evaluate says %v by %v", f, got, want.Verdict, want.By)
	}
	if by, _, _, _ := tb.state.Decider(got.Decider); got.Governed && (want.By == nil || by.By != *want.By) {
		t.Fatalf("%+v to its own node is decided by %v in the tables, by %v in evaluate", f, by.By, want.By)
	}
}

func TestRowsToOwnNodeSayWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		tb, index, flows := fromScratch(t, m), evaluate.Plain(m), modeltest.Flows(m)
		for range 40 {
			if f := flows.Draw(t, "flow"); judged(m, f) {
				sameToOwnNode(t, tb, index, f)
			}
		}
	})
}

// An engine that is local to one node decides for that node's endpoints only,
// by all that the cluster holds.
func TestLocalRowsSayWhatEvaluateSays(t *testing.T) {
	local := func(ep *policy.Endpoint) bool { return ep.Node == "node-a" }
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		e := engine.New(local)
		e.Apply(modeltest.Changes(nil, m)...)
		tb := newTables()
		tb.mustApply(t, e.Flush())
		m = m.At(local)
		ev := evaluate.New(m)
		flows := modeltest.Flows(m)
		held := map[string]bool{}
		for _, ep := range m.Endpoints {
			for _, a := range ep.Addrs {
				held[a.String()] = local(ep)
				if _, ok := tb.locals[a]; ok != local(ep) {
					t.Fatalf("%v of %v: local is %v", a, ep.Key, ok)
				}
			}
		}
		for range 30 {
			f := flows.Draw(t, "flow")
			if !judged(m, f) {
				continue
			}
			want := ev.Evaluate(f)
			for dir, d := range [2]policy.Decision{want.Egress, want.Ingress} {
				self := [2]string{f.Src.String(), f.Dst.String()}[dir]
				allow, _, _ := tb.decide(f, policy.Direction(dir))
				if wanted := d.Verdict == policy.Allow || !held[self]; allow != wanted {
					t.Fatalf("%v of %+v: allow is %v, want %v", policy.Direction(dir), f, allow, wanted)
				}
			}
		}
	})
}
