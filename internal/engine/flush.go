package engine

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// dirt is what changed since the last flush, and what follows from it during one.
type dirt struct {
	tiers      bool                      // a tier changed
	identities map[uint32]struct{}       // of local endpoints, whose policies changed
	released   []uint32                  // policies that identities no longer need, once each
	policies   []uint32                  // versions of policies that are gone
	sets       map[uint32]struct{}       // whose nets or terms changed
	nets       map[netip.Prefix]struct{} // whose sources changed
	hosts      map[netip.Addr]struct{}   // single addresses whose sources changed
	nodes      map[netip.Prefix]struct{} // nets that came to a zone or left one
	atoms      *roaring.Bitmap           // of which other facts may be true
	addrs      map[netip.Addr]struct{}   // of local endpoints, whose programs may change

	resigned   []uint32                       // atoms of which other facts are true
	moved      *roaring.Bitmap                // atoms of another class
	classes    map[dataplane.ClassID]struct{} // that lost their last atom, for a while at least
	newClasses []dataplane.ClassID
	programs   map[uint32]struct{}          // new, or with a use less
	cells      map[cellKey]struct{}         // to be computed
	setCells   []dataplane.Cell             // that changed
	rows       map[dataplane.RowID]struct{} // new, or without use for a while at least
	cached     []dataplane.RowID            // rows held until the end of the flush
	deciders   map[dataplane.DeciderID]struct{}

	// Ids that are free once nothing names them any more, at the end of the flush.
	facts, names, sources []uint32
	zones, bare           map[uint32]struct{}
}

func newDirt() dirt {
	return dirt{
		identities: map[uint32]struct{}{}, sets: map[uint32]struct{}{},
		nets: map[netip.Prefix]struct{}{}, hosts: map[netip.Addr]struct{}{}, nodes: map[netip.Prefix]struct{}{},
		atoms: roaring.New(), addrs: map[netip.Addr]struct{}{}, moved: roaring.New(),
		classes: map[dataplane.ClassID]struct{}{}, programs: map[uint32]struct{}{},
		cells: map[cellKey]struct{}{}, rows: map[dataplane.RowID]struct{}{},
		deciders: map[dataplane.DeciderID]struct{}{},
		zones:    map[uint32]struct{}{}, bare: map[uint32]struct{}{},
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func sortedFunc[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}

// Flush returns the step from the tables of the last Flush to those of now; nil if
// nothing changed.
func (e *Engine) Flush() *dataplane.Delta {
	e.out = &dataplane.Delta{}
	e.settlePolicies()
	e.releasePolicies()
	e.settleSets()
	e.settleZones()
	e.sweepBareAtoms()
	e.settleClasses()

	// A local endpoint's own side decides which rules can match there.
	for _, id := range e.dirty.resigned {
		who := e.atoms.at(id).who
		if who == 0 || e.identities.at(who).local == nil {
			continue
		}
		for _, l := range e.identities.at(who).local.endpoints {
			for _, a := range l.claims { // a host endpoint may hold the address of a workload
				e.dirty.addrs[a] = struct{}{}
			}
		}
	}
	e.dirty.resigned = e.dirty.resigned[:0]

	e.settlePrograms()
	e.settleHosts()
	e.settleNew()
	e.settleCells()
	e.giveNets()
	e.giveAddrs()
	e.givePrograms()
	e.sweepRows()
	e.giveClasses()
	e.sweepIDs()
	out := e.out
	e.out = nil
	if isEmpty(out) {
		return nil
	}
	return out
}

// classOut returns what is given out for an address of the atom: nothing where
// the nets around it say the same.
func (e *Engine) classOut(a *atom) dataplane.ClassID {
	if e.atoms.at(e.zones.at(a.base).bare).class == a.class {
		return 0
	}
	return a.class
}

func (e *Engine) giveNets() {
	for _, p := range sortedFunc(e.dirty.nodes, comparePrefixes) {
		e.giveNet(p)
	}
	e.dirty.nodes = map[netip.Prefix]struct{}{}
	e.atoms.pool.each(e.dirty.moved, func(_ uint32, a *atom) {
		if a.base != 0 {
			return
		}
		for p := range e.zones.at(a.zone).nets {
			e.giveNet(p)
		}
	})
	slices.SortFunc(e.out.DelNets, comparePrefixes)
}

func (e *Engine) giveNet(p netip.Prefix) {
	was := e.sources.out[p]
	n, ok := e.sources.nodes.Get(p)
	if !ok {
		if was != 0 {
			e.out.DelNets = append(e.out.DelNets, p)
			delete(e.sources.out, p)
		}
		return
	}
	if class := e.atoms.at(e.zones.at(n.zone).bare).class; class != was {
		if e.out.SetNets == nil {
			e.out.SetNets = map[netip.Prefix]dataplane.ClassID{}
		}
		e.out.SetNets[p] = class
		e.sources.out[p] = class
	}
}

func (e *Engine) giveAddrs() {
	affected := e.dirty.moved
	more := roaring.New()
	e.atoms.pool.each(affected, func(_ uint32, a *atom) {
		if a.base == 0 {
			more.Or(e.zones.at(a.zone).based)
		}
	})
	affected.Or(more)
	e.atoms.pool.each(affected, func(_ uint32, a *atom) {
		if a.base == 0 {
			return
		}
		was := a.out
		if a.out = e.classOut(a); a.out == was {
			return
		}
		if e.zones.at(a.zone).family == 4 {
			giveRecords(e, e.v4, a)
		} else {
			giveRecords(e, e.v6, a)
		}
	})
	affected.Clear()
	giveChanges(e, e.v4)
	giveChanges(e, e.v6)
	slices.SortFunc(e.out.DelAddrs, netip.Addr.Compare)
}

// giveRecords returns out the addresses of an atom of another class, except those
// that giveChanges looks at.
func giveRecords[K addrKey](e *Engine, t *recordTable[K], a *atom) {
	for r := a.head; r != 0; {
		rec := t.recs.At(r)
		if rec.state&markChanged == 0 {
			e.giveAddr(addrOf(rec.addr), a.out)
		}
		r = rec.next
	}
}

// giveChanges returns out the addresses that changed atoms, came or went.
func giveChanges[K addrKey](e *Engine, t *recordTable[K]) {
	for _, c := range t.changes {
		rec := t.recs.At(c.record)
		rec.state &^= markChanged
		var now dataplane.ClassID
		if a := rec.atom(); a != 0 {
			now = e.atoms.at(a).out
		}
		if now != c.was {
			e.giveAddr(addrOf(rec.addr), now)
		}
		if rec.atom() == 0 {
			t.drop(c.record)
		}
	}
	if cap(t.changes) > 1<<16 {
		t.changes = nil
	}
	t.changes = t.changes[:0]
}

func (e *Engine) giveAddr(addr netip.Addr, class dataplane.ClassID) {
	if class == 0 {
		e.out.DelAddrs = append(e.out.DelAddrs, addr)
		return
	}
	if e.out.SetAddrs == nil {
		e.out.SetAddrs = map[netip.Addr]dataplane.ClassID{}
	}
	e.out.SetAddrs[addr] = class
}

func (e *Engine) givePrograms() {
	for _, id := range sortedKeys(e.dirty.programs) {
		p := e.programs.byID[id]
		if p == nil {
			continue
		}
		if p.refs == 0 {
			e.dropProgram(id, p)
			continue
		}
		if p.isNew || p.rebase {
			p.isNew, p.rebase = false, false
			e.out.SetPrograms = append(e.out.SetPrograms, dataplane.Program{ID: p.id, Base: p.base})
		}
	}
	clear(e.dirty.programs)
	for _, c := range e.dirty.setCells {
		if e.programs.byID[uint32(c.Program)] != nil {
			e.out.SetCells = append(e.out.SetCells, c)
		}
	}
	e.dirty.setCells = nil
}

func (e *Engine) giveClasses() {
	for _, id := range e.dirty.newClasses {
		if c := e.classes.byID[id]; c != nil {
			c.isNew = false
			e.out.AddClasses = append(e.out.AddClasses, id)
		}
	}
	e.dirty.newClasses = e.dirty.newClasses[:0]
}

// sweepIDs frees the ids that nothing names any more.
func (e *Engine) sweepIDs() {
	e.sweepZones()
	for _, id := range e.dirty.facts {
		e.facts.pool.drop(id)
	}
	for _, id := range e.dirty.names {
		e.facts.names.drop(id)
	}
	for _, id := range e.dirty.sources {
		e.sources.pool.drop(id)
	}
	e.dirty.facts, e.dirty.names, e.dirty.sources = nil, nil, nil
}

func isEmpty(d *dataplane.Delta) bool {
	return len(d.AddDeciders)+len(d.DelDeciders)+len(d.AddRows)+len(d.DelRows)+
		len(d.SetPrograms)+len(d.DelPrograms)+len(d.SetCells)+len(d.SetLocals)+len(d.DelLocals)+len(d.SetHosts)+len(d.DelHosts)+
		len(d.SetAddrs)+len(d.DelAddrs)+len(d.SetNets)+len(d.DelNets)+len(d.AddClasses)+len(d.DelClasses) == 0
}
