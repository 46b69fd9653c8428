// Package lastvalid keeps the last valid version of objects from one agent to the next,
// so that an object that is invalid when an agent starts does not lose the version that
// is in force.
package lastvalid

import (
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// Component writes down what is valid, and puts it in force again at the start.
type Component struct {
	component.Base
	env component.Env
	// kept reports whether an object's versions are kept.
	kept    func(model.View, policy.Key) bool
	journal *journal
	// atStart is what the journal held at the start, and invalid what the first state has in
	// its place; both nil after it.
	atStart map[policy.Key]savedVersion
	invalid map[policy.Key]store.Resource
	// unmentioned are objects that were restored and are still unknown to the store; with
	// their files.
	unmentioned map[policy.Key]string
}

// New opens the journal of this network namespace. Objects are kept of which kept is true.
func New(env component.Env, kept func(model.View, policy.Key) bool) (*Component, error) {
	c := &Component{env: env, kept: kept, invalid: map[policy.Key]store.Resource{}}
	var err error
	c.journal, c.atStart, err = openJournal(Path(env.RunDir, env.Namespace))
	return c, err
}

// Path returns where the journal of a network namespace is, below the directory of the lock file.
func Path(dir string, namespace uint64) string {
	return component.RunFile(dir, "last-valid", namespace, ".json")
}

// Adapt ends the restoring of objects: the store knows them again, or nothing in it
// leaves open any more what became of them. Those it never mentions are gone, which it
// cannot say itself.
func (c *Component) Adapt(b *store.Batch) {
	if len(c.unmentioned) == 0 || b.More {
		return
	}
	for _, r := range b.Updated {
		delete(c.unmentioned, r.Key)
	}
	for key, file := range c.unmentioned {
		open := false
		for _, f := range b.Findings {
			open = open || concerns(f, key, file)
		}
		if !open {
			b.Deleted = append(b.Deleted, key)
			delete(c.unmentioned, key)
		}
	}
}

// Taken writes down what a batch made valid, and notes what the first state has in
// place of what was valid.
func (c *Component) Taken(b *store.Batch) {
	var valid []store.Resource
	c.env.Model.Read(func(v model.View) {
		for i := range b.Updated {
			r := b.Updated[i]
			if _, ok := c.atStart[r.Key]; ok && isRefused(v.Status(r.Key).State) {
				c.invalid[r.Key] = r
			}
			if c.kept(v, r.Key) && v.Status(r.Key).State == translate.InForce {
				valid = append(valid, r)
			}
		}
	})
	if c.journal.broken {
		return
	}
	if err := c.journal.note(valid, b.Deleted); err != nil {
		c.env.Log.Error("cannot remember the last valid versions; an object that is invalid at the next start will not be in force", "error", err)
	}
}

// FirstState puts in force again what must not be lost, as if it had been there before the first
// state.
func (c *Component) FirstState() {
	var keys []policy.Key
	var findings []store.Finding
	c.env.Model.Read(func(v model.View) {
		findings = v.Findings()
		keys = restorable(v.Status, findings, c.atStart)
	})
	restored, unmentioned := map[policy.Key]bool{}, map[policy.Key]string{}
	back, again := store.Batch{Findings: findings}, store.Batch{Findings: findings}
	for _, key := range keys {
		r, err := c.journal.load(key)
		if err != nil {
			c.env.Log.Error("the version of an earlier agent cannot be put in force", "object", store.ObjectName(key), "error", err)
			continue
		}
		c.env.Log.Warn("the version of an earlier agent stays in force", "object", store.ObjectName(key))
		restored[key] = true
		back.Updated = append(back.Updated, r)
		if now, ok := c.invalid[key]; ok {
			again.Updated = append(again.Updated, now)
		} else {
			unmentioned[key] = c.atStart[key].file
		}
	}
	if len(restored) > 0 {
		c.env.Take(back)
		c.env.Take(again)
	}
	c.forgetGone(restored)
	c.atStart, c.invalid, c.unmentioned = nil, nil, unmentioned
}

// forgetGone takes out of the journal what is neither in the store nor restored.
func (c *Component) forgetGone(restored map[policy.Key]bool) {
	var gone []policy.Key
	c.env.Model.Read(func(v model.View) {
		for key := range c.atStart {
			if !restored[key] && v.Status(key).State == 0 {
				gone = append(gone, key)
			}
		}
	})
	if err := c.journal.note(nil, gone); err != nil {
		c.env.Log.Warn("forget objects that are gone", "error", err)
	}
}

// Close closes the journal: every line was written at once.
func (c *Component) Close() error { return c.journal.close() }
