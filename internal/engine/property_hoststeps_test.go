package engine_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// Host endpoints too: whatever came, changed and went before, the tables are those
// made from scratch, no delta holds what does not change, and they say what evaluate
// says. Single steps, since programs of hosts become others in place.
func TestHostsIncrementalIsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		steps := modeltest.Steps(m).Draw(t, "steps")
		e, tb := engine.New(nil), newTables()
		e.Apply(modeltest.Changes(nil, m)...)
		tb.mustApply(t, e.Flush())
		for _, step := range steps {
			t.Logf("%v", modeltest.ChangesText(step))
			m = modeltest.Apply(m, step...)
			e.Apply(step...)
			tb.mustApply(t, e.Flush())
			sameTables(t, tb, fromScratch(t, m), "after a step")
			again := modeltest.Changes(nil, m)
			for i := range again {
				again[i].Object = modeltest.Copy(again[i].Object)
			}
			e.Apply(again...)
			if d := e.Flush(); d != nil {
				t.Fatalf("nothing changed, and gives %+v", d)
			}
		}
		ev, flows := evaluate.New(m), modeltest.Flows(m)
		for range 10 {
			sameAttachments(t, tb.state, m, ev, flows.Draw(t, "flow"))
		}
	})
}

// A change of one rule of one of a host's many policies is one cell for each program
// that has it, and a member of a set is one element.
func TestHostPolicyChangeIsOneCell(t *testing.T) {
	const n = 50
	e, tb := engine.New(modeltest.IsLocal), newTables()
	m := modeltest.HostPolicies(n)
	e.Apply(modeltest.Changes(nil, m)...)
	tb.mustApply(t, e.Flush())
	step := func(c policy.Change) *dataplane.Delta {
		t.Helper()
		e.Apply(c)
		d := e.Flush()
		tb.mustApply(t, d)
		m = modeltest.Apply(m, c)
		scratch := newTables()
		other := engine.New(modeltest.IsLocal)
		other.Apply(modeltest.Changes(nil, m)...)
		scratch.mustApply(t, other.Flush())
		sameTables(t, tb, scratch, "after a step")
		return d
	}
	for name, c := range map[string]policy.Change{"changed": modeltest.HostPolicyChange(n/2, 8443), "new": modeltest.HostPolicyChange(n+1, 8443)} {
		if name == "new" { // its set is new with it; what is counted is the policy
			step(modeltest.HostSetChange(n + 1))
		}
		d := step(c)
		if got := len(d.SetPrograms) + len(d.DelPrograms) + len(d.SetHosts) + len(d.DelHosts); got > 0 && name == "changed" {
			t.Errorf("%s: programs or attachments change: %+v", name, d)
		}
		if name == "changed" && len(d.SetCells) != 2 {
			t.Errorf("%s: %d cells change, want 2: %+v", name, len(d.SetCells), d.SetCells)
		}
	}
	d := step(modeltest.HostSetChange(n/2, netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("203.0.112.9/32")))
	if got := dump(d); len(d.SetNets) != 1 || len(d.SetAddrs) != 1 || len(d.AddRows)+len(d.SetCells)+len(d.AddClasses)+len(d.SetHosts) > 0 {
		t.Errorf("members of a set: %s", got)
	}
}
