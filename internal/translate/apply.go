package translate

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Sink receives what a step changes, one by one, in no particular order. A nil
// field is for what nobody asks about. It must not call the translator.
type Sink struct {
	// Change gets each key at most once. What it gets is never changed; an
	// endpoint or a policy is made for the call, and kept by the receiver only.
	Change func(policy.Change)
	// Status gets the objects whose status changed; State 0 for those that are gone.
	Status func(Status)
}

// Apply applies a step of a store, and hands what it changes to the sink. The first step
// of a Translator also brings the fixed tiers. Nothing of the batch's objects is kept
// but what they mean.
//
// Findings of the batch are reported in the statuses of their objects; those of
// files are the caller's to report. A step may come in parts (More): what is
// referred to and comes later is joined then, and findings count with the last one.
func (t *Translator) Apply(b store.Batch, to Sink) {
	t.step.sink = to
	rejected := findingsByKey(b.Findings)
	t.step.large = len(b.Updated)+len(b.Deleted)+len(rejected) > 64
	t.noteReadded(&b)
	for _, key := range b.Deleted {
		if isRecorded(key.Kind) {
			t.endpoints.remove(key)
		} else {
			t.remove(key)
		}
	}
	// What endpoints depend on comes before them, so that they are joined once.
	for i := range b.Updated {
		if r := &b.Updated[i]; !isRecorded(r.Key.Kind) {
			t.update(r)
		}
	}
	if !b.More {
		t.reject(rejected)
	}
	t.joinTiers() // first: which versions of policies are in force depends on them
	t.services.recompute()
	t.endpoints.makeNamespaces(b.Updated)
	t.profiles.noteNamespaces()
	for _, o := range t.step.drainDirty(false) {
		t.join(o)
	}
	t.endpoints.noteProfiles()
	t.endpoints.recomputeOwners()
	for i := range b.Updated {
		if r := &b.Updated[i]; isRecorded(r.Key.Kind) {
			t.endpoints.update(r, rejected[r.Key])
		}
	}
	t.endpoints.emitDependents()
	t.profiles.recomputeOfNamespaces()
	t.nodes.recomputeSets(&t.rules, t.impliedNodes())
	t.rules.flush(t.step.change)
	t.reportObjects()
	t.step.end()
}

// noteReadded notes the endpoints that a batch both deletes and brings.
func (t *Translator) noteReadded(b *store.Batch) {
	if len(b.Deleted) == 0 {
		return
	}
	deleted := make(map[policy.Key]struct{}, len(b.Deleted))
	for _, key := range b.Deleted {
		deleted[key] = struct{}{}
	}
	for i := range b.Updated {
		key := b.Updated[i].Key
		if _, both := deleted[key]; both && isRecorded(key.Kind) {
			t.step.readded[key] = &readded{}
		}
	}
}

// reject brings the findings of the store to their objects.
func (t *Translator) reject(findings map[policy.Key][]store.Finding) {
	for key, list := range findings {
		t.rejected[key] = struct{}{}
		t.rejectKey(key, list)
	}
	for key := range t.rejected {
		if findings[key] == nil {
			delete(t.rejected, key)
			t.rejectKey(key, nil)
		}
	}
}

func (t *Translator) rejectKey(key policy.Key, findings []store.Finding) {
	if isRecorded(key.Kind) {
		t.endpoints.reject(key, findings)
		return
	}
	if t.objects[key] == nil && findings == nil {
		return
	}
	o := t.touch(key)
	was := o.present
	o.setErrors(func(e *objectErrors) { e.rejected = findings })
	// What the store rejected and now no longer mentions is gone, unless a version
	// of it is known.
	t.setPresent(o, findings != nil || o.valid || o.errors != nil && o.errors.invalid != nil)
	if o.held {
		t.step.dirty[o] = struct{}{}
	}
	if !was || findings == nil {
		t.tiers.touchPoliciesOf(o)
		t.profiles.changed(o, false)
	}
}

// reportObjects emits the statuses that are not as they were, and forgets
// objects that are gone.
func (t *Translator) reportObjects() {
	objects := slices.SortedFunc(maps.Keys(t.step.before), func(a, b *object) int { return a.key.Compare(b.key) })
	for _, o := range objects {
		t.statuses.report(t.step.before[o], o.status())
		if !o.present && !o.fixed && !(o.held && o.compiled != nil) {
			t.forget(o)
		}
	}
}

// ApplySorted is Apply with what changed in two sorted lists.
func (t *Translator) ApplySorted(b store.Batch) Result {
	var result Result
	t.Apply(b, Sink{
		Change: func(c policy.Change) { result.Changes = append(result.Changes, c) },
		Status: func(s Status) { result.Statuses = append(result.Statuses, s) },
	})
	slices.SortFunc(result.Changes, func(a, b policy.Change) int { return a.Key.Compare(b.Key) })
	sortStatuses(result.Statuses)
	return result
}

// Update applies one object, new or in a new version.
func (t *Translator) Update(r store.Resource) Result {
	return t.ApplySorted(store.Batch{Updated: []store.Resource{r}})
}

// Delete applies that one object is gone.
func (t *Translator) Delete(key policy.Key) Result {
	return t.ApplySorted(store.Batch{Deleted: []policy.Key{key}})
}
