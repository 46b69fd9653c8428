package engine_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// Whatever came, changed and went before: the tables are those of an engine
// that never knew anything but what is there now.
func TestIncrementalIsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
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
		}
		ev, flows := evaluate.New(m), modeltest.Flows(m)
		for range 10 {
			if f := flows.Draw(t, "flow"); judged(m, f) {
				sameVerdicts(t, tb, ev, f)
			}
		}
	})
}

// From one model to another that has nothing to do with it, and to nothing.
func TestNothingLeaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, tb := engine.New(nil), newTables()
		var before *policy.Model
		models := rapid.SliceOfN(modeltest.Models(), 1, 4).Draw(t, "models")
		for _, m := range append(models, &policy.Model{}) {
			t.Logf("%v", modeltest.Text{Model: m})
			e.Apply(modeltest.Changes(before, m)...)
			tb.mustApply(t, e.Flush())
			sameTables(t, tb, fromScratch(t, m), "after a model")
			before = m
		}
	})
}

// The order in which changes come, and how many flushes lie between, make no difference.
func TestOrderOfChangesDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		changes := rapid.Permutation(modeltest.Changes(nil, m)).Draw(t, "order")
		e, tb := engine.New(nil), newTables()
		for _, c := range changes {
			e.Apply(c)
			if rapid.Bool().Draw(t, "flush") {
				tb.mustApply(t, e.Flush())
			}
		}
		tb.mustApply(t, e.Flush())
		sameTables(t, tb, fromScratch(t, m), "in another order")
	})
}
