package engine

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// What holds after recomputeClasses:
//
//   - Every equivalence cell is in exactly one class; two cells of one family are in the
//     same one if and only if the same predicates are true of them. So a row for a class
//     is right for each of its addresses.
//   - byKey holds every class under its predicates, and no other class. In between, while
//     classes exchange their predicates, two may claim one key: the entries of those
//     that change are taken out before any is put in.
//   - weight is the sum of the cells' weights: the number of addresses and nets that
//     the tables would have to move if the class got another number.
//   - A number is kept by the group that most of the weight goes to, and never used twice:
//     what a policy change costs is rows, not addresses.

// class is the equivalence cells of one family of which the same predicates are true.
type class struct {
	id               dataplane.ClassID
	key              string
	family           policy.Family
	predicates       []uint32 // sorted
	equivalenceCells *roaring.Bitmap
	weight           int  // of its equivalence cells: how many addresses and nets refer to it
	isNew            bool // not emitted yet
}

type classTable struct {
	byID  map[dataplane.ClassID]*class
	byKey map[string]*class
	last  dataplane.ClassID
	// ofFamily are the classes of a family, by number.
	ofFamily [2]*roaring.Bitmap
}

func newClassTable() classTable {
	return classTable{
		byID: map[dataplane.ClassID]*class{}, byKey: map[string]*class{},
		ofFamily: [2]*roaring.Bitmap{roaring.New(), roaring.New()},
	}
}

// group is the equivalence cells that are to form one class.
type group struct {
	key              string
	family           policy.Family
	predicates       []uint32
	equivalenceCells []uint32 // those that have to be looked at
	class            *class   // that they update
}

// share says how much of a group a class holds already.
type share struct {
	weight int
	class  *class
	group  *group
}

// recomputeClasses computes the predicates of the equivalence cells that changed and forms the
// classes that follow. A class keeps its id as long as most of it stays
// together, whatever predicates are new or gone: then the tables of addresses do not
// change, only rows.
func (e *ruleset) recomputeClasses() {
	groups, order, leaving := e.regroup()
	shares, order := e.shares(groups, order)

	// The largest shares win; each class and each group is given once.
	slices.SortStableFunc(shares, func(a, b share) int {
		return cmp.Or(-cmp.Compare(a.weight, b.weight), cmp.Compare(a.class.id, b.class.id))
	})
	taken := map[*class]*group{}
	for _, c := range shares {
		if c.group.class == nil && taken[c.class] == nil {
			c.group.class, taken[c.class] = c.class, c.group
		}
	}
	// Whoever stays in a class that another group got, or nobody, goes where its
	// predicates are now.
	for _, c := range shares {
		if c.class.key == c.group.key && c.group.class != c.class {
			c.class.equivalenceCells.Iterate(func(id uint32) bool {
				if _, goes := leaving[id]; !goes {
					c.group.equivalenceCells = append(c.group.equivalenceCells, id)
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
	for _, id := range sortedKeys(e.pending.classes) {
		if c := e.classes.byID[id]; c != nil && c.equivalenceCells.IsEmpty() {
			e.dropClass(c)
		}
	}
	clear(e.pending.classes)
}

// regroup sorts the changed equivalence cells into groups of equal predicates. leaving are those
// whose predicates are not those of their class.
func (e *ruleset) regroup() (groups map[string]*group, order []*group, leaving map[uint32]struct{}) {
	groups, leaving = map[string]*group{}, map[uint32]struct{}{}
	var key []byte
	e.pending.equivalenceCells.Iterate(func(id uint32) bool {
		a := e.equivalenceCells.at(id)
		family := e.prefixListSets.at(a.prefixListSet).family
		predicates := e.signature(a)
		key = append(key[:0], byte(family))
		for _, pred := range predicates {
			key = binary.LittleEndian.AppendUint32(key, pred)
		}
		if a.class != 0 && e.classes.byID[a.class].key == string(key) {
			return true
		}
		leaving[id] = struct{}{}
		g := groups[string(key)]
		if g == nil {
			g = &group{key: string(key), family: family, predicates: slices.Clone(predicates)}
			groups[g.key] = g
			order = append(order, g)
		}
		g.equivalenceCells = append(g.equivalenceCells, id)
		return true
	})
	e.pending.equivalenceCells.Clear()
	return groups, order, leaving
}

// shares weighs, for every group, which classes its equivalence cells are in now. Classes
// that lose equivalence cells get a group of those that stay.
func (e *ruleset) shares(groups map[string]*group, order []*group) ([]share, []*group) {
	lost := map[*class]int{}
	weights := map[*class]map[*group]int{}
	var losers []*class
	for _, g := range order {
		for _, id := range g.equivalenceCells {
			a := e.equivalenceCells.at(id)
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
	var shares []share
	for _, g := range order {
		if c := e.classes.byKey[g.key]; c != nil {
			shares = append(shares, share{c.weight - lost[c], c, g})
		}
		for _, c := range losers {
			if w, ok := weights[c][g]; ok && c.key != g.key {
				shares = append(shares, share{w, c, g})
			}
		}
	}
	for _, c := range losers {
		if _, ok := groups[c.key]; ok || c.weight == lost[c] {
			continue
		}
		stay := &group{key: c.key, family: c.family, predicates: c.predicates}
		order = append(order, stay)
		shares = append(shares, share{c.weight - lost[c], c, stay})
	}
	return shares, order
}

// form makes the group's class what the group says and moves its equivalence cells there.
func (e *ruleset) form(g *group) {
	c := g.class
	if c == nil {
		e.classes.last++
		c = &class{id: e.classes.last, family: g.family, equivalenceCells: roaring.New(), isNew: true}
		e.classes.byID[c.id] = c
		e.classes.ofFamily[c.family.Index()].Add(uint32(c.id))
		g.class = c
		e.pending.newClasses = append(e.pending.newClasses, c.id)
	}
	if c.key != g.key || c.isNew {
		e.setPredicates(c, g.predicates)
		c.key = g.key
	}
	e.classes.byKey[c.key] = c
	for _, id := range g.equivalenceCells {
		a := e.equivalenceCells.at(id)
		e.pending.resigned = append(e.pending.resigned, id)
		if a.class == c.id {
			continue
		}
		e.leaveClass(id, a)
		a.class = c.id
		c.equivalenceCells.Add(id)
		c.weight += a.weight
		e.pending.moved.Add(id)
	}
}

// setPredicates changes what is true of a class, and marks the cells that follow.
func (e *ruleset) setPredicates(c *class, predicates []uint32) {
	eachDifference(c.predicates, predicates, func(id uint32, added bool) {
		pred := e.predicates.at(id)
		if added {
			pred.classes.Add(uint32(c.id))
		} else {
			pred.classes.Remove(uint32(c.id))
		}
		e.hosts.mark(id, pred.name)
		e.programsOf(id).Iterate(func(p uint32) bool {
			e.pending.cells[cellKey{p, c.id}] = struct{}{}
			return true
		})
	})
	c.predicates = predicates
}

func (e *ruleset) dropClass(c *class) {
	e.markDifference(c)
	e.setPredicates(c, nil)
	if e.classes.byKey[c.key] == c {
		delete(e.classes.byKey, c.key)
	}
	delete(e.classes.byID, c.id)
	e.classes.ofFamily[c.family.Index()].Remove(uint32(c.id))
	if !c.isNew {
		e.out.DelClasses = append(e.out.DelClasses, c.id)
	}
}
