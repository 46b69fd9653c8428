package agent

import (
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// restorable returns the keys of an earlier agent's objects that must stay in force
// because the first state of the store does not say what they are now: those
// that are invalid there, and those of files that cannot be read.
func restorable(t *translate.Translator, findings []store.Finding, earlier map[policy.Key]remembered) []policy.Key {
	var keys []policy.Key
	for key, r := range earlier {
		switch t.Status(key).State {
		case translate.NotInForce:
			keys = append(keys, key)
		case 0:
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

// completeFirst ends the first state: last is its last part. What must not be
// lost is put in force again, as if it had been there before the first state.
func (a *agent) completeFirst(last store.Batch) {
	a.mu.RLock()
	keys := restorable(a.translator, last.Findings, a.earlier)
	a.mu.RUnlock()
	restored := map[policy.Key]bool{}
	a.held = map[policy.Key]string{}
	back, again := store.Batch{Findings: last.Findings}, store.Batch{Findings: last.Findings}
	for _, key := range keys {
		r, err := a.journal.load(key)
		if err != nil {
			a.log.Error("the version of an earlier agent cannot be put in force", "object", store.ObjectName(key), "error", err)
			continue
		}
		a.log.Warn("the version of an earlier agent stays in force", "object", store.ObjectName(key))
		restored[key] = true
		back.Updated = append(back.Updated, r)
		if now, ok := a.invalid[key]; ok {
			again.Updated = append(again.Updated, now)
		} else {
			a.held[key] = a.earlier[key].file
		}
	}
	if len(restored) > 0 {
		held := a.held
		a.held = nil // they are no news from the store
		a.take(back)
		a.take(again)
		a.held = held
	}
	a.forgetGone(restored)
	a.earlier, a.invalid = nil, nil
	a.progressMu.Lock()
	a.inForce.complete = true
	a.progressMu.Unlock()
}

// forgetGone takes out of the journal what is neither in the store nor restored.
func (a *agent) forgetGone(restored map[policy.Key]bool) {
	var gone []policy.Key
	a.mu.RLock()
	for key := range a.earlier {
		if !restored[key] && a.translator.Status(key).State == 0 {
			gone = append(gone, key)
		}
	}
	a.mu.RUnlock()
	if err := a.journal.note(nil, gone); err != nil {
		a.log.Warn("forget objects that are gone", "error", err)
	}
}

// settleHeld ends the holding of objects that were restored: the store knows
// them again, or nothing in it leaves open any more what became of them. Those
// it never mentions are gone, which it cannot say itself.
func (a *agent) settleHeld(b *store.Batch) {
	if len(a.held) == 0 || b.More {
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
// host, and can be invalid. Remote endpoints are too many, and losing one opens
// nothing of ours; what else a cluster has, its API server has checked.
func (a *agent) decides(key policy.Key) bool {
	switch {
	case isPolicyKind(key.Kind):
		return true
	case a.fromKube:
		return false
	}
	return key.Kind == "Namespace" || key.Kind == "ServiceAccount" || a.view.locals[key] != nil
}

// remember writes down what a batch made valid.
func (a *agent) remember(b store.Batch) {
	if a.journal == nil || a.journal.broken {
		return
	}
	var valid []store.Resource
	for _, r := range b.Updated {
		if a.decides(r.Key) && a.translator.Status(r.Key).State == translate.InForce {
			valid = append(valid, r)
		}
	}
	if err := a.journal.note(valid, b.Deleted); err != nil {
		a.log.Error("cannot remember the last valid versions; an object that is invalid at the next start will not be in force", "error", err)
	}
}
