package engine

import (
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// classOut returns what is to be emitted for an address of the equivalence cell: nothing where
// the nets around it say the same.
func (e *Engine) classOut(a *equivalenceCell) dataplane.ClassID {
	if e.equivalenceCells.at(e.prefixListSets.at(a.base).withoutEndpoint).class == a.class {
		return 0
	}
	return a.class
}

func (e *Engine) emitNets() {
	for _, p := range sortedFunc(e.pending.nodes, comparePrefixes) {
		e.emitNet(p)
	}
	e.pending.nodes = map[netip.Prefix]struct{}{}
	e.equivalenceCells.pool.each(e.pending.moved, func(_ uint32, a *equivalenceCell) {
		if a.base != 0 {
			return
		}
		for p := range e.prefixListSets.at(a.prefixListSet).nets {
			e.emitNet(p)
		}
	})
	slices.SortFunc(e.out.DelNets, comparePrefixes)
}

func (e *Engine) emitNet(p netip.Prefix) {
	was := e.prefixLists.out[p]
	n, ok := e.prefixLists.nodes.Get(p)
	if !ok {
		if was != 0 {
			e.out.DelNets = append(e.out.DelNets, p)
			delete(e.prefixLists.out, p)
		}
		return
	}
	if class := e.equivalenceCells.at(e.prefixListSets.at(n.prefixListSet).withoutEndpoint).class; class != was {
		if e.out.SetNets == nil {
			e.out.SetNets = map[netip.Prefix]dataplane.ClassID{}
		}
		e.out.SetNets[p] = class
		e.prefixLists.out[p] = class
	}
}

func (e *Engine) emitAddrs() {
	affected := e.pending.moved
	more := roaring.New()
	e.equivalenceCells.pool.each(affected, func(_ uint32, a *equivalenceCell) {
		if a.base == 0 {
			more.Or(e.prefixListSets.at(a.prefixListSet).based)
		}
	})
	affected.Or(more)
	e.equivalenceCells.pool.each(affected, func(_ uint32, a *equivalenceCell) {
		if a.base == 0 {
			return
		}
		was := a.out
		if a.out = e.classOut(a); a.out == was {
			return
		}
		if e.prefixListSets.at(a.prefixListSet).family == 4 {
			emitRecords(e, e.v4, a)
		} else {
			emitRecords(e, e.v6, a)
		}
	})
	affected.Clear()
	emitChanges(e, e.v4)
	emitChanges(e, e.v6)
	slices.SortFunc(e.out.DelAddrs, netip.Addr.Compare)
}

// emitRecords emits the addresses of an equivalence cell of another class, except those
// that emitChanges looks at.
func emitRecords[K addrKey](e *Engine, t *recordTable[K], a *equivalenceCell) {
	for r := a.head; r != 0; {
		rec := t.recs.At(r)
		if rec.state&markChanged == 0 {
			e.emitAddr(addrOf(rec.addr), a.out)
		}
		r = rec.next
	}
}

// emitChanges emits the addresses that changed equivalence cells, came or went.
func emitChanges[K addrKey](e *Engine, t *recordTable[K]) {
	for _, c := range t.changes {
		rec := t.recs.At(c.record)
		rec.state &^= markChanged
		var now dataplane.ClassID
		if a := rec.equivalenceCell(); a != 0 {
			now = e.equivalenceCells.at(a).out
		}
		if now != c.was {
			e.emitAddr(addrOf(rec.addr), now)
		}
		if rec.equivalenceCell() == 0 {
			t.drop(c.record)
		}
	}
	if cap(t.changes) > 1<<16 {
		t.changes = nil
	}
	t.changes = t.changes[:0]
}

func (e *Engine) emitAddr(addr netip.Addr, class dataplane.ClassID) {
	if class == 0 {
		e.out.DelAddrs = append(e.out.DelAddrs, addr)
		return
	}
	if e.out.SetAddrs == nil {
		e.out.SetAddrs = map[netip.Addr]dataplane.ClassID{}
	}
	e.out.SetAddrs[addr] = class
}

func (e *Engine) emitPrograms() {
	for _, id := range sortedKeys(e.pending.programs) {
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
	clear(e.pending.programs)
	for _, c := range e.pending.setCells {
		if e.programs.byID[uint32(c.Program)] != nil {
			e.out.SetCells = append(e.out.SetCells, c)
		}
	}
	e.pending.setCells = nil
}

func (e *Engine) emitClasses() {
	for _, id := range e.pending.newClasses {
		if c := e.classes.byID[id]; c != nil {
			c.isNew = false
			e.out.AddClasses = append(e.out.AddClasses, id)
		}
	}
	e.pending.newClasses = e.pending.newClasses[:0]
}

// gcIDs frees the ids that nothing names any more.
func (e *Engine) gcIDs() {
	e.gcPrefixListSets()
	for _, id := range e.pending.predicates {
		e.predicates.pool.drop(id)
	}
	for _, id := range e.pending.names {
		e.predicates.names.drop(id)
	}
	for _, id := range e.pending.prefixLists {
		e.prefixLists.pool.drop(id)
	}
	e.pending.predicates, e.pending.names, e.pending.prefixLists = nil, nil, nil
}

func isEmpty(d *dataplane.Delta) bool {
	return len(d.AddDeciders)+len(d.DelDeciders)+len(d.AddRows)+len(d.DelRows)+
		len(d.SetPrograms)+len(d.DelPrograms)+len(d.SetCells)+len(d.SetLocals)+len(d.DelLocals)+len(d.SetHosts)+len(d.DelHosts)+
		len(d.SetAddrs)+len(d.DelAddrs)+len(d.SetNets)+len(d.DelNets)+len(d.AddClasses)+len(d.DelClasses) == 0
}
