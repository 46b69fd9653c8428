package lastvalid

import (
	"fmt"
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

// Restore gives a translator, which has taken in a whole state of the store, the last
// valid versions that an agent would have kept. The journal at the path is only read.
func Restore(t *translate.Translator, now store.Batch, path string) error {
	j, saved, err := openJournal(path)
	if err != nil {
		return err
	}
	back, again := store.Batch{Findings: now.Findings}, store.Batch{Findings: now.Findings}
	restored := map[policy.Key]bool{}
	for _, key := range restorable(t.Status, now.Findings, saved) {
		r, err := j.load(key)
		if err != nil {
			return fmt.Errorf("the last valid version of %s: %w", store.ObjectName(key), err)
		}
		back.Updated, restored[key] = append(back.Updated, r), true
	}
	for _, r := range now.Updated {
		if restored[r.Key] {
			again.Updated = append(again.Updated, r)
		}
	}
	t.Apply(back, translate.Sink{})
	t.Apply(again, translate.Sink{})
	return nil
}
