package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// class is the atoms of one family of which the same facts are true.
type class struct {
	id     dataplane.ClassID
	key    string
	family policy.Family
	facts  []uint32 // sorted
	atoms  *roaring.Bitmap
	weight int  // of its atoms: how many addresses and nets refer to it
	isNew  bool // not given out yet
}

type classTable struct {
	byID  map[dataplane.ClassID]*class
	byKey map[string]*class
	last  dataplane.ClassID
}

func newClassTable() classTable {
	return classTable{byID: map[dataplane.ClassID]*class{}, byKey: map[string]*class{}}
}

func (e *Engine) addWeight(a *atom, d int) {
	a.weight += d
	if a.class != 0 {
		e.classes.byID[a.class].weight += d
	}
}

// leaveClass takes an atom out of its class. A class without atoms is dropped
// by settleClasses.
func (e *Engine) leaveClass(id uint32, a *atom) {
	if a.class == 0 {
		return
	}
	c := e.classes.byID[a.class]
	c.atoms.Remove(id)
	c.weight -= a.weight
	if c.atoms.IsEmpty() {
		e.dirty.classes[c.id] = struct{}{}
	}
	a.class = 0
}

// group is the atoms that are to form one class.
type group struct {
	key    string
	family policy.Family
	facts  []uint32
	atoms  []uint32 // those that have to be looked at
	class  *class   // that they become
}

// claim says how much of a group a class holds already.
type claim struct {
	weight int
	class  *class
	group  *group
}

// settleClasses computes the facts of the atoms that changed and forms the
// classes that follow. A class keeps its id as long as most of it stays
// together, whatever facts are new or gone: then the tables of addresses do not
// change, only rows.
func (e *Engine) settleClasses() {
	groups, order, leaving := e.regroup()
	claims, order := e.claims(groups, order)

	// The largest claims win; each class and each group is given once.
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(-cmp.Compare(a.weight, b.weight), cmp.Compare(a.class.id, b.class.id))
	})
	taken := map[*class]*group{}
	for _, c := range claims {
		if c.group.class == nil && taken[c.class] == nil {
			c.group.class, taken[c.class] = c.class, c.group
		}
	}
	// Whoever stays in a class that another group got, or nobody, goes where its
	// facts are now.
	for _, c := range claims {
		if c.class.key == c.group.key && c.group.class != c.class {
			c.class.atoms.Iterate(func(id uint32) bool {
				if _, goes := leaving[id]; !goes {
					c.group.atoms = append(c.group.atoms, id)
				}
				return true
			})
		}
	}
	for _, g := range order {
		if c := g.class; c != nil && c.key != g.key && e.classes.byKey[c.key] == c {
			delete(e.classes.byKey, c.key)
		}
	}
	for _, g := range order {
		e.form(g)
	}
	for _, id := range sortedKeys(e.dirty.classes) {
		if c := e.classes.byID[id]; c != nil && c.atoms.IsEmpty() {
			e.dropClass(c)
		}
	}
	clear(e.dirty.classes)
}

// regroup sorts the changed atoms into groups of equal facts. leaving are those
// whose facts are not those of their class.
func (e *Engine) regroup() (groups map[string]*group, order []*group, leaving map[uint32]struct{}) {
	groups, leaving = map[string]*group{}, map[uint32]struct{}{}
	var key []byte
	e.dirty.atoms.Iterate(func(id uint32) bool {
		a := e.atoms.at(id)
		family := e.zones.at(a.zone).family
		facts := e.signature(a)
		key = append(key[:0], byte(family))
		for _, f := range facts {
			key = binary.LittleEndian.AppendUint32(key, f)
		}
		if a.class != 0 && e.classes.byID[a.class].key == string(key) {
			return true
		}
		leaving[id] = struct{}{}
		g := groups[string(key)]
		if g == nil {
			g = &group{key: string(key), family: family, facts: slices.Clone(facts)}
			groups[g.key] = g
			order = append(order, g)
		}
		g.atoms = append(g.atoms, id)
		return true
	})
	e.dirty.atoms.Clear()
	return groups, order, leaving
}

// claims weighs, for every group, which classes its atoms are in now. Classes
// that lose atoms get a group of those that stay.
func (e *Engine) claims(groups map[string]*group, order []*group) ([]claim, []*group) {
	lost := map[*class]int{}
	weights := map[*class]map[*group]int{}
	var losers []*class
	for _, g := range order {
		for _, id := range g.atoms {
			a := e.atoms.at(id)
			if a.class == 0 {
				continue
			}
			c := e.classes.byID[a.class]
			if weights[c] == nil {
				weights[c] = map[*group]int{}
				losers = append(losers, c)
			}
			weights[c][g] += a.weight
			lost[c] += a.weight
		}
	}
	var claims []claim
	for _, g := range order {
		if c := e.classes.byKey[g.key]; c != nil {
			claims = append(claims, claim{c.weight - lost[c], c, g})
		}
		for _, c := range losers {
			if w, ok := weights[c][g]; ok && c.key != g.key {
				claims = append(claims, claim{w, c, g})
			}
		}
	}
	for _, c := range losers {
		if _, ok := groups[c.key]; ok || c.weight == lost[c] {
			continue
		}
		stay := &group{key: c.key, family: c.family, facts: c.facts}
		order = append(order, stay)
		claims = append(claims, claim{c.weight - lost[c], c, stay})
	}
	return claims, order
}

// form makes the group's class what the group says and moves its atoms there.
func (e *Engine) form(g *group) {
	c := g.class
	if c == nil {
		e.classes.last++
		c = &class{id: e.classes.last, family: g.family, atoms: roaring.New(), isNew: true}
		e.classes.byID[c.id] = c
		g.class = c
		e.dirty.newClasses = append(e.dirty.newClasses, c.id)
	}
	if c.key != g.key || c.isNew {
		e.setFacts(c, g.facts)
		c.key = g.key
	}
	e.classes.byKey[c.key] = c
	for _, id := range g.atoms {
		a := e.atoms.at(id)
		e.dirty.resigned = append(e.dirty.resigned, id)
		if a.class == c.id {
			continue
		}
		e.leaveClass(id, a)
		a.class = c.id
		c.atoms.Add(id)
		c.weight += a.weight
		e.dirty.moved.Add(id)
	}
}

// setFacts changes what is true of a class, and marks the cells that follow.
func (e *Engine) setFacts(c *class, facts []uint32) {
	eachDifference(c.facts, facts, func(id uint32, added bool) {
		f := e.facts.at(id)
		if added {
			f.classes.Add(uint32(c.id))
		} else {
			f.classes.Remove(uint32(c.id))
		}
		e.hosts.touch(id, f.name)
		e.programsOf(id).Iterate(func(p uint32) bool {
			e.dirty.cells[cellKey{p, c.id}] = struct{}{}
			return true
		})
	})
	c.facts = facts
}

func (e *Engine) dropClass(c *class) {
	e.setFacts(c, nil)
	if e.classes.byKey[c.key] == c {
		delete(e.classes.byKey, c.key)
	}
	delete(e.classes.byID, c.id)
	if !c.isNew {
		e.out.DelClasses = append(e.out.DelClasses, c.id)
	}
}

// eachDifference visits what is in only one of two sorted lists.
func eachDifference(old, now []uint32, visit func(id uint32, added bool)) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0] < now[0]:
			visit(old[0], false)
			old = old[1:]
		case len(old) == 0 || now[0] < old[0]:
			visit(now[0], true)
			now = now[1:]
		default:
			old, now = old[1:], now[1:]
		}
	}
}
