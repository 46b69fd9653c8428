// Package lastvalid keeps the last valid version of objects from one agent to the next,
// so that an object that is invalid when an agent starts does not lose the version that
// is in force.
package lastvalid

import (
	"slices"

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
	// pending are the present versions of objects that are not in force, because of others, and
	// may be later without a word of the store: a policy whose tier is missing.
	pending map[policy.Key]store.Resource
	// held are objects that the store has no more, and others keep in force: a tier that policies
	// name.
	held map[policy.Key]struct{}
}

// New opens the journal of this network namespace. Objects are kept of which kept is true.
func New(env component.Env, kept func(model.View, policy.Key) bool) (*Component, error) {
	c := &Component{
		env: env, kept: kept, invalid: map[policy.Key]store.Resource{},
		pending: map[policy.Key]store.Resource{}, held: map[policy.Key]struct{}{},
	}
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

// Taken writes down what a batch made valid or took away, and notes what the first state
// has in place of what was valid.
func (c *Component) Taken(b *store.Batch) {
	var valid []store.Resource
	var gone []policy.Key
	c.env.Model.Read(func(v model.View) {
		for i := range b.Updated {
			r := b.Updated[i]
			if _, ok := c.atStart[r.Key]; ok && isRefused(v.Status(r.Key).State) {
				c.invalid[r.Key] = r
			}
			if c.isValid(v, r.Key) {
				valid = append(valid, r)
			} else if c.mayBecomeValid(v, r.Key) {
				c.pending[r.Key] = r
				continue
			}
			delete(c.pending, r.Key)
		}
		valid = append(valid, c.nowValid(v)...)
		for _, key := range b.Deleted {
			if v.Status(key).State == 0 {
				gone = append(gone, key)
			} else {
				c.held[key] = struct{}{}
			}
			delete(c.pending, key)
		}
		gone = append(gone, c.nowGone(v)...)
	})
	if c.journal.broken {
		return
	}
	if err := c.journal.note(valid, gone); err != nil {
		c.env.Log.Error("cannot remember the last valid versions; an object that is invalid at the next start will not be in force", "error", err)
	}
}

// isValid reports whether the present version of an object is in force, and to be kept.
func (c *Component) isValid(v model.View, key policy.Key) bool {
	return c.kept(v, key) && v.Status(key).State == translate.InForce
}

// mayBecomeValid reports whether the present version of an object is not in force and could be
// without a word of the store. Endpoints, of which there are many, depend on nothing that can be missing.
func (c *Component) mayBecomeValid(v model.View, key policy.Key) bool {
	switch v.Status(key).State {
	case translate.LastValid, translate.NotInForce, translate.Isolates:
		return key.Kind != policy.KindPod && key.Kind != policy.KindWorkloadEndpoint
	}
	return false
}

// nowValid returns those of the pending versions that are in force now.
func (c *Component) nowValid(v model.View) (valid []store.Resource) {
	for key, r := range c.pending {
		if c.isValid(v, key) {
			valid = append(valid, r)
		} else if c.mayBecomeValid(v, key) {
			continue
		}
		delete(c.pending, key)
	}
	slices.SortFunc(valid, func(a, b store.Resource) int { return a.Key.Compare(b.Key) })
	return valid
}

// nowGone returns those of the objects that the store has no more which nobody holds.
func (c *Component) nowGone(v model.View) (gone []policy.Key) {
	for key := range c.held {
		switch v.Status(key).State {
		case translate.LastValid:
			continue
		case 0:
			gone = append(gone, key)
		}
		delete(c.held, key)
	}
	return gone
}

// FirstState puts in force again what must not be lost, as if it had been there before the first
// state.
func (c *Component) FirstState() {
	var r replay
	c.env.Model.Read(func(v model.View) {
		r = newReplay(v.Status, v.Findings(), c.atStart, c.journal.load, func(key policy.Key) (store.Resource, bool) {
			now, found := c.invalid[key]
			return now, found
		})
	})
	for _, f := range r.failed {
		c.env.Log.Error("the version of an earlier agent cannot be put in force", "object", store.ObjectName(f.key), "error", f.err)
	}
	if len(r.before.Updated) > 0 {
		c.env.Take(r.before)
		c.env.Take(r.again)
	}
	c.unmentioned = map[policy.Key]string{}
	for _, key := range r.unmentioned {
		c.unmentioned[key] = c.atStart[key].file
	}
	var gone []policy.Key
	c.env.Model.Read(func(v model.View) {
		for i := range r.before.Updated {
			if key := r.before.Updated[i].Key; v.Status(key).State != 0 {
				c.env.Log.Warn("the version of an earlier agent stays in force", "object", store.ObjectName(key))
			}
		}
		for key := range c.atStart {
			if v.Status(key).State == 0 {
				gone = append(gone, key)
			}
		}
	})
	if err := c.journal.note(nil, gone); err != nil {
		c.env.Log.Warn("forget objects that are gone", "error", err)
	}
	c.atStart, c.invalid = nil, nil
}

// Close closes the journal: every line was written at once.
func (c *Component) Close() error { return c.journal.close() }
