package agent

import (
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// restorable gives the objects of an earlier agent that must stay in force because
// the first state of the store does not say what they are now: those that are
// invalid there, and those of files that cannot be read.
func restorable(first store.Batch, earlier map[policy.Key]remembered) []store.Resource {
	if len(earlier) == 0 {
		return nil
	}
	present := map[policy.Key]bool{}
	for _, r := range first.Updated {
		present[r.Key] = true
	}
	wanted := map[policy.Key]bool{}
	for _, s := range translate.New(translate.Options{}).Apply(first).Statuses {
		if s.State == translate.NotInForce {
			wanted[s.Key] = true
		}
	}
	for _, f := range first.Findings {
		for key, r := range earlier {
			if !present[key] && concerns(f, key, r.file) {
				wanted[key] = true
			}
		}
	}
	var resources []store.Resource
	for key := range wanted {
		if r, ok := earlier[key]; ok {
			resources = append(resources, r.resource)
		}
	}
	return resources
}

// concerns reports whether a finding leaves open what became of an object: it
// is about the object, its file, or a directory above it.
func concerns(f store.Finding, key policy.Key, file string) bool {
	switch {
	case f.Note:
		return false
	case f.Key != (policy.Key{}):
		return f.Key == key
	}
	return f.File == file || strings.HasPrefix(file, f.File+"/")
}

// restore puts in force again what must not be lost, before the first batch is taken in.
func (a *agent) restore(first store.Batch) {
	resources := restorable(first, a.earlier)
	present := map[policy.Key]bool{}
	for _, r := range first.Updated {
		present[r.Key] = true
	}
	a.take(store.Batch{Updated: resources})
	a.held = map[policy.Key]string{}
	for _, r := range resources {
		a.log.Warn("the version of an earlier agent stays in force", "object", store.ObjectName(r.Key))
		if !present[r.Key] {
			a.held[r.Key] = a.earlier[r.Key].file
		}
		present[r.Key] = true
	}
	var gone []policy.Key
	for key := range a.earlier {
		if !present[key] {
			gone = append(gone, key)
		}
	}
	a.earlier = nil
	if a.journal != nil && len(gone) > 0 {
		if err := a.journal.note(nil, gone); err != nil {
			a.log.Warn("forget objects that are gone", "error", err)
		}
	}
}

// settleHeld ends the holding of objects that were restored: the store knows
// them again, or nothing in it leaves open any more what became of them. Those
// it never mentions are gone, which it cannot say itself.
func (a *agent) settleHeld(b *store.Batch) {
	if len(a.held) == 0 {
		return
	}
	for _, r := range b.Updated {
		delete(a.held, r.Key)
	}
	for key, file := range a.held {
		open := false
		for _, f := range b.Findings {
			open = open || concerns(f, key, file)
		}
		if !open {
			b.Deleted = append(b.Deleted, key)
			delete(a.held, key)
		}
	}
}

// decides reports whether the journal keeps an object: what decides on this
// host. Remote endpoints are too many, and losing one opens nothing of ours.
func (a *agent) decides(key policy.Key) bool {
	if isPolicyKind(key.Kind) || key.Kind == "Namespace" || key.Kind == "ServiceAccount" {
		return true
	}
	return a.view.locals[key] != nil
}

// remember writes down what a batch made valid.
func (a *agent) remember(b store.Batch) {
	if a.journal == nil {
		return
	}
	var valid []store.Resource
	for _, r := range b.Updated {
		if a.view.states[r.Key] == translate.InForce && a.decides(r.Key) {
			valid = append(valid, r)
		}
	}
	if err := a.journal.note(valid, b.Deleted); err != nil {
		a.log.Error("cannot remember the last valid versions; an object that is invalid at the next start will not be in force", "error", err)
		a.journal = nil
	}
}
