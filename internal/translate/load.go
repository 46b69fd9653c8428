package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Loaded is what one whole state comes to.
type Loaded struct {
	Model      *policy.Model
	Staged     []Staged     // sorted by key
	Ungoverned []Ungoverned // sorted by key
	// Findings say what is wrong with which object; the model does without those.
	// Notes among them count what is ungoverned, and what does not have an address
	// that it claims. They are sorted by place.
	Findings []store.Finding
}

// Load translates one whole state. The rejected objects take no part in it, but
// are checked as far as they could be read.
func Load(resources []store.Resource, rejected []store.Rejected, opts Options) Loaded {
	t := New(opts)
	for i := range rejected {
		if key := rejected[i].Key; key.Kind == policy.KindTier {
			t.object(key).present = true // the tier is not missing, but wrong
		}
	}
	var out Loaded
	for _, s := range t.Apply(store.Batch{Updated: resources}).Statuses {
		out.Findings = append(out.Findings, s.Findings...)
	}
	for i := range rejected {
		out.Findings = append(out.Findings, t.check(&rejected[i])...)
	}
	out.Model, out.Staged, out.Ungoverned = t.Model(), t.Staged(), t.Ungoverned()
	out.Findings = append(out.Findings, t.ungovernedNotes(out.Ungoverned)...)
	out.Findings = append(out.Findings, t.claimNotes(out.Model)...)
	out.Findings = append(out.Findings, t.derivedNotes()...)
	slices.SortStableFunc(out.Findings, store.Finding.Compare)
	return out
}

// check says what is wrong with an object that is not taken in, beside why it is not.
func (t *Translator) check(r *store.Rejected) []store.Finding {
	p, ps := t.parse(&r.Resource)
	out := ps.without(r.Unread).findings(&r.Resource)
	if tier := p.tierName(); tier != "" {
		out = append(out, t.tierFindings(r.Key, r.Origin, tier)...)
	}
	return out
}
