package lastvalid

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// restorable returns the keys of an earlier agent's objects that must stay in force
// because the first state of the store does not say what they are now: those
// that are invalid there, and those of files that cannot be read.
func restorable(status func(policy.Key) translate.Status, findings []store.Finding, saved map[policy.Key]savedVersion) []policy.Key {
	var keys []policy.Key
	for key, r := range saved {
		switch state := status(key).State; {
		case isRefused(state):
			keys = append(keys, key)
		case state == 0:
			for _, f := range findings {
				if concerns(f, key, r.file) {
					keys = append(keys, key)
					break
				}
			}
		}
	}
	return keys
}

// isRefused reports whether an object is in no valid version in the model, so that one of an
// earlier agent takes its place.
func isRefused(s translate.State) bool { return s == translate.NotInForce || s == translate.Isolates }

// concerns reports whether a finding leaves open what became of an object: it
// is about the object, its file, or a directory above it.
func concerns(f store.Finding, key policy.Key, file string) bool {
	switch {
	case f.Note:
		return false
	case f.Key != (policy.Key{}):
		return f.Key == key
	}
	return f.File != "" && (f.File == file || strings.HasPrefix(file, f.File+"/"))
}

// replay is what puts the last valid versions in force that an agent would have kept, after a
// first state of the store was taken in: before is taken in as if it had come before that state,
// and again as what that state says of the same objects.
type replay struct {
	before, again store.Batch
	unmentioned   []policy.Key // of before, those of which the store says nothing, for it cannot read them
	failed        []replayError
}

type replayError struct {
	key policy.Key
	err error
}

// newReplay makes a replay of what was saved; now returns what the first state has of an object.
func newReplay(status func(policy.Key) translate.Status, findings []store.Finding, saved map[policy.Key]savedVersion,
	load func(policy.Key) (store.Resource, error), now func(policy.Key) (store.Resource, bool),
) replay {
	r := replay{before: store.Batch{Findings: findings}, again: store.Batch{Findings: findings}}
	add := func(key policy.Key) bool {
		object, err := load(key)
		if err != nil {
			r.failed = append(r.failed, replayError{key, err})
			return false
		}
		r.before.Updated = append(r.before.Updated, object)
		return true
	}
	open := map[policy.Key]bool{}
	for _, key := range restorable(status, findings, saved) {
		if open[key] = true; !add(key) {
			continue
		}
		if object, found := now(key); found {
			r.again.Updated = append(r.again.Updated, object)
		} else {
			r.unmentioned = append(r.unmentioned, key)
		}
	}
	// A tier that is gone may be named still: whether it is held is for the translator to say.
	for key := range saved {
		if key.Kind == policy.KindTier && !open[key] && status(key).State == 0 && add(key) {
			r.again.Deleted = append(r.again.Deleted, key)
		}
	}
	return r
}

// Restore gives a translator, which has taken in a whole state of the store, the last
// valid versions that an agent would have kept. The journal at the path is only read.
func Restore(t *translate.Translator, now store.Batch, path string) error {
	j, saved, err := openJournal(path)
	if err != nil {
		return err
	}
	r := newReplay(t.Status, now.Findings, saved, j.load, func(key policy.Key) (store.Resource, bool) {
		i := slices.IndexFunc(now.Updated, func(r store.Resource) bool { return r.Key == key })
		if i < 0 {
			return store.Resource{}, false
		}
		return now.Updated[i], true
	})
	for _, f := range r.failed {
		return fmt.Errorf("the last valid version of %s: %w", store.ObjectName(f.key), f.err)
	}
	t.Apply(r.before, translate.Sink{})
	t.Apply(r.again, translate.Sink{})
	return nil
}
