package engine

import (
	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/policy"
)

// What holds between flushes: a name has an entry while there is a profile of it or a local
// endpoint names it. The rules of a profile are in force while both is so; force is nil
// otherwise. Profiles that allow everything by themselves have no entry.

// profileEntry is what is known of the name of a profile.
type profileEntry struct {
	exists bool
	packed compact.Packed
	users  map[*local]struct{} // local endpoints that name it
	force  *inForce
}

// profileAt returns the entry of a name, making it if it is new, and has it looked at in the
// next flush.
func (e *ruleset) profileAt(name string) *profileEntry {
	en := e.profiles[name]
	if en == nil {
		en = &profileEntry{users: map[*local]struct{}{}}
		e.profiles[name] = en
	}
	e.pending.profiles[name] = struct{}{}
	return en
}

// setProfile takes in a new version of a profile, nil if it is gone.
func (e *ruleset) setProfile(name string, p *policy.Policy) {
	if p == nil && e.profiles[name] == nil {
		return
	}
	packs := e.policies.packs
	en := e.profileAt(name)
	was, existed := en.packed, en.exists
	if en.exists, en.packed = p != nil, ""; en.exists {
		en.packed = packs.Pack(p)
	}
	if existed {
		packs.Release(was)
	}
	if existed && en.exists && en.packed == was {
		return
	}
	if en.force != nil {
		e.pending.profileRules = append(e.pending.profileRules, en.force)
		en.force = nil
	}
	for l := range en.users {
		e.markPrograms(l)
	}
}

// joinProfiles notes that a local endpoint names its profiles; leaveProfiles that it does
// no more.
func (e *ruleset) joinProfiles(l *local) {
	for _, name := range l.endpoint.Profiles {
		if !l.endpoint.AllowedBy(name) {
			e.profileAt(name).users[l] = struct{}{}
		}
	}
}

func (e *ruleset) leaveProfiles(l *local) {
	for _, name := range l.endpoint.Profiles {
		if !l.endpoint.AllowedBy(name) {
			delete(e.profileAt(name).users, l)
		}
	}
}

// eachProfile visits the rules of the profiles that a local endpoint names, as far as they
// are there.
func (e *ruleset) eachProfile(l *local, visit func(*inForce)) {
	for _, name := range l.endpoint.Profiles {
		if en := e.profiles[name]; en != nil && en.force != nil {
			visit(en.force)
		}
	}
}

// recomputeProfiles puts the profiles that local endpoints name into force, before the
// rules of others are let go, so that what both have in common stays.
func (e *ruleset) recomputeProfiles() {
	for _, name := range sortedKeys(e.pending.profiles) {
		en := e.profiles[name]
		switch needed := en.exists && len(en.users) > 0; {
		case needed && en.force == nil:
			en.force = e.compile(e.policies.packs.Unpack(en.packed))
		case !needed && en.force != nil:
			e.pending.profileRules = append(e.pending.profileRules, en.force)
			en.force = nil
		}
		if !en.exists && len(en.users) == 0 {
			delete(e.profiles, name)
		}
	}
	clear(e.pending.profiles)
}
