package judges

import (
	"context"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane/memory"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/policy"
)

// testFromScratch starts everything anew, as an agent does, while the last row is
// in force. The new tables, which know nothing of how it came about, must say
// what those before said.
func (s *stage) testFromScratch(t *testing.T, flows []flow) {
	before := s.readBack(t)
	s.restart(t)
	after := s.readBack(t)
	for _, f := range flows {
		egressBefore, ingressBefore := before.Decide(f.Flow)
		egress, ingress := after.Decide(f.Flow)
		if egressBefore.Allow != egress.Allow || ingressBefore.Allow != ingress.Allow {
			t.Errorf("%s: %+v and %+v after all steps, %+v and %+v from scratch",
				f, egressBefore, ingressBefore, egress, ingress)
		}
	}
	s.compare(t)
}

// restart replaces engine and dataplanes by new ones of the same model.
func (s *stage) restart(t *testing.T) {
	t.Helper()
	s.engine, s.memory, s.nft = engine.New(nil), memory.New(), s.newKernel()
	s.engine.Apply(changes(s.model())...)
	s.flush(t)
}

// testWithoutPolicy takes all policies away: everything is allowed then but what
// has an end without profile.
func (s *stage) testWithoutPolicy(t *testing.T, flows []flow) {
	s.play(t, "")
	seen := map[policy.Flow]bool{}
	var once []flow
	for _, f := range flows {
		if !seen[f.Flow] {
			seen[f.Flow] = true
			f.allow = !f.passesTables() || f.from != "vm" && f.to != "vm"
			once = append(once, f)
		}
	}
	s.judge(t, once)
	s.compare(t)
}

// testBackwards plays the table in the other order, for other transitions. Of the
// packets enough was seen.
func (s *stage) testBackwards(t *testing.T) {
	for _, r := range slices.Backward(table()) {
		s.play(t, r.objects)
		if s.compare(t); t.Failed() {
			t.Fatalf("coming from the next row to %q", r.name)
		}
	}
}

// changes returns what leads from nothing to a model.
func changes(m *policy.Model) []policy.Change {
	var out []policy.Change
	out = add(out, m.Tiers)
	out = add(out, m.Policies)
	out = add(out, m.Endpoints)
	return add(out, m.Sets)
}

func add[T policy.Object](changes []policy.Change, objects []T) []policy.Change {
	for _, o := range objects {
		changes = append(changes, policy.Change{Key: o.ObjectKey(), Object: o})
	}
	return changes
}

// readBack reads the tables from the kernel.
func (s *stage) readBack(t *testing.T) *nft.Kernel {
	t.Helper()
	k, err := s.nft.ReadBack(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return k
}
