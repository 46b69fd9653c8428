package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// Loaded is what one whole state comes to.
type Loaded struct {
	Model     *policy.Model
	Staged    []source.Staged // sorted by key
	Unmanaged []Unmanaged     // sorted by key
	// Findings say what is wrong with which object; the model does without those.
	// Notes among them count what is unmanaged, and what does not have an address
	// that another endpoint has as well. They are sorted by place.
	Findings []store.Finding
}

// Load translates one whole state. The rejected objects take no part in it, but
// are checked as far as they could be read.
func Load(resources []store.Resource, rejected []store.Rejected, opts Options) Loaded {
	t := New(opts)
	for i := range rejected {
		if key := rejected[i].Key; key.Kind == policy.KindTier || key.Kind == policy.KindProfile {
			t.object(key).present = true // it is not missing, but wrong
		}
	}
	var out Loaded
	for _, s := range t.ApplySorted(store.Batch{Updated: resources}).Statuses {
		out.Findings = append(out.Findings, s.Findings...)
	}
	for i := range rejected {
		out.Findings = append(out.Findings, t.check(&rejected[i])...)
	}
	out.Model, out.Staged, out.Unmanaged = t.Model(), t.Staged(), t.Unmanaged()
	out.Findings = append(out.Findings, t.unmanagedNotes(out.Unmanaged)...)
	out.Findings = append(out.Findings, t.ownershipNotes(out.Model)...)
	out.Findings = append(out.Findings, t.services.derivedNotes(t.originOf)...)
	slices.SortStableFunc(out.Findings, store.Finding.Compare)
	return out
}

// check returns what is wrong with a rejected object, beside why it was rejected.
func (t *Translator) check(r *store.Rejected) []store.Finding {
	p, ps := source.Parse(&r.Resource, t.opts.Offline)
	out := ps.Without(r.Unread).Findings(&r.Resource)
	if tier := p.TierName(); tier != "" {
		out = append(out, t.tiers.findings(r.Key, r.Origin, tier, notEnforced)...)
	}
	return out
}
