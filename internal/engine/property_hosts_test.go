package engine_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// hostAt returns the host endpoint that acts for an interface: spelled out here
// once more, so that neither side of the comparison brings its own.
func hostAt(m *policy.Model, node, iface string) *policy.Endpoint {
	var named, all *policy.Endpoint
	for _, ep := range m.Endpoints {
		if ep.Host == nil || ep.Node != node {
			continue
		}
		if ep.Interface == iface && (named == nil || ep.Key.Name < named.Key.Name) {
			named = ep
		}
		if ep.Interface == policy.AllInterfaces && (all == nil || ep.Key.Name < all.Key.Name) {
			all = ep
		}
	}
	if named != nil {
		return named
	}
	return all
}

// sameAttachments ends the test if tables and evaluate differ at a host endpoint.
func sameAttachments(t fataler, s *dataplane.State, m *policy.Model, ev *evaluate.Evaluator, f policy.Flow) {
	t.Helper()
	for _, node := range []string{"node-a", "node-b"} {
		for _, iface := range []string{"eth0", "eth1", "eth2"} {
			for _, hook := range policy.Hooks {
				var want policy.Decision
				governed := false
				if ep := hostAt(m, node, iface); ep != nil {
					want, governed = ev.AtHost(hook, ep, f)
				}
				at := dataplane.AttachmentKey{Node: node, Hook: hook, Interface: iface}
				got := s.DecideHost(at, f)
				allow := !governed || want.Verdict == policy.Allow
				if (!got.Governed || got.Allow) != allow {
					t.Fatalf("%v of %+v: the tables say %+v, evaluate says %v by %v", at, f, got, want.Verdict, want.By)
				}
				d, _, _, named := s.Decider(got.Decider)
				named = named && d.By != (policy.Decider{}) // nobody's: only to log
				if by := governed && want.By != nil; by != named || by && d.By != *want.By {
					t.Fatalf("%v of %+v: %v is decided by %+v in the tables, by %v in evaluate", at, f, want.Verdict, d, want.By)
				}
				if named && got.Allow && d.Skips != dataplane.SkipsAt(hook) {
					t.Fatalf("%v of %+v: the decider skips %v", at, f, d.Skips)
				}
			}
		}
	}
}

// At host endpoints the tables say what evaluate says, from scratch and after
// steps from one model to others.
func TestAttachmentsSayWhatEvaluateSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, tb := engine.New(nil), newTables()
		var before *policy.Model
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			m := modeltest.ModelsWithHosts().Draw(t, "model")
			t.Logf("%v", modeltest.Text{Model: m})
			e.Apply(modeltest.Changes(before, m)...)
			before = m
			if d := e.Flush(); d != nil {
				tb.mustApply(t, d)
			}
			ev, flows := evaluate.New(m), modeltest.Flows(m)
			scratch := fromScratch(t, m)
			for range 15 {
				f := flows.Draw(t, "flow")
				sameAttachments(t, tb.state, m, ev, f)
				sameAttachments(t, scratch.state, m, ev, f)
			}
		}
		e.Apply(modeltest.Changes(before, nil)...)
		if d := e.Flush(); d != nil {
			tb.mustApply(t, d)
		}
		if n := len(tb.state.Attachments()); n > 0 {
			t.Fatalf("%d attachments are left over", n)
		}
	})
}
