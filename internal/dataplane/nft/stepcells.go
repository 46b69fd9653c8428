package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// touchNewCells notes the cells that begin to be: those of local endpoints that
// have another program now, and those of classes that nothing was in before.
// There were no such entries, or they have been noted.
func (t *step) touchNewCells(d *dataplane.Delta) {
	s := t.b.state
	touch := func(e entry) {
		if _, noted := t.entries[e]; !noted {
			t.entries[e] = codec.Verdict{}
		}
	}
	for _, l := range d.SetLocals {
		for _, dir := range policy.Directions {
			if id := l.Program(dir); id != 0 {
				for class := range s.Program(id).Cells {
					touch(entry{entryCell, path{dir, familyOf(l.Addr)}, class, l.Addr})
				}
			}
		}
	}
	for id, was := range t.classes {
		for _, p := range paths {
			if p.holds(was) || !p.holds(s.ClassUse(id)) {
				continue
			}
			for program := range s.Programs() {
				if _, ok := program.Cells[id]; !ok {
					continue
				}
				for a := range s.LocalsOf(program.ID, p.dir) {
					touch(entry{entryCell, p, id, a})
				}
			}
		}
	}
}

// afterEntries writes the maps of local endpoints, and the chains and maps of
// classes that appear, disappear, or get their first or lose their last cell.
func (t *step) afterEntries() {
	t.dropCells()
	changes := map[cellSet][]entry{}
	for e, was := range t.entries {
		is := t.b.value(e)
		if is == was {
			continue
		}
		t.moveEntry(e, was, is)
		if e.kind != entryCell {
			t.writeEntry(e, was, is)
			continue
		}
		set := cellSet{e.path, e.class}
		if was, noted := t.classes[e.class]; noted && e.path.holds(was) && !e.path.holds(t.b.state.ClassUse(e.class)) {
			continue // its map goes away as a whole
		}
		if _, ok := t.cells[set]; !ok {
			t.cells[set] = t.b.cells[set]
		}
		changes[set] = append(changes[set], e)
		if was != (codec.Verdict{}) {
			t.cells[set]--
		}
		if is != (codec.Verdict{}) {
			t.cells[set]++
		}
	}
	for set, list := range changes {
		name := set.path.className(set.class)
		was, is := isMap(t.b.cells[set]), isMap(t.cells[set])
		switch {
		case was && is:
			for _, e := range list {
				t.writeEntry(e, t.entries[e], t.b.value(e))
			}
		case was:
			t.batch.DelSet(name, orderClassSet) // its elements go with it
		case is:
			t.batch.AddSet(addrMap(name, set.path.family))
			for _, c := range t.b.cellsOf(set) {
				t.batch.AddElement(name, codec.Element{Key: addrKey(c.addr), Verdict: c.row})
			}
		}
	}
	t.afterClasses(changes)
}

// dropCells takes away the maps of classes that nothing is in any more.
func (t *step) dropCells() {
	for id, was := range t.classes {
		for _, p := range paths {
			set := cellSet{p, id}
			if p.holds(was) && !p.holds(t.b.state.ClassUse(id)) && t.b.cells[set] > 0 {
				t.cells[set] = 0
				t.releaseCells(set)
				if isMap(t.b.cells[set]) {
					t.batch.DelSet(p.className(id), orderClassSet)
				}
			}
		}
	}
}

// releaseCells counts that the cells of a class that nothing is in any more lead nowhere. Those
// that were noted are counted where they are compared; the others are as they were.
func (t *step) releaseCells(set cellSet) {
	for program := range t.b.state.Programs() {
		row, ok := program.Cells[set.class]
		if !ok {
			continue
		}
		for a := range t.b.state.LocalsOf(program.ID, set.path.dir) {
			if _, noted := t.entries[entry{entryCell, set.path, set.class, a}]; familyOf(a) == set.path.family && !noted {
				name, _ := t.b.cellChain(set.path, row, program.Base)
				t.retainRowChain(name, rowChain{}, -1)
			}
		}
	}
}

func (t *step) writeEntry(e entry, was, is codec.Verdict) {
	if was != (codec.Verdict{}) {
		t.batch.DelElement(e.set(), e.element(was))
	}
	if is != (codec.Verdict{}) {
		t.batch.AddElement(e.set(), e.element(is))
	}
}

// afterClasses writes the chains of classes that appear, disappear, or whose
// cells are rules and have changed.
func (t *step) afterClasses(changes map[cellSet][]entry) {
	chain := func(set cellSet) codec.ChainRules {
		n, ok := t.cells[set]
		if !ok {
			n = t.b.cells[set]
		}
		var few []cell
		if n > 0 && !isMap(n) {
			few = t.b.cellsOf(set)
		}
		return set.path.classChain(set.class, n, few)
	}
	for id, was := range t.classes {
		for _, p := range paths {
			set := cellSet{p, id}
			switch had, has := p.holds(was), p.holds(t.b.state.ClassUse(id)); {
			case has && !had:
				t.batch.AddChain(chain(set))
				delete(changes, set)
			case had && !has:
				t.batch.DelChain(p.className(id), orderClass)
				delete(changes, set)
			}
		}
	}
	for set := range changes {
		if !isMap(t.b.cells[set]) || !isMap(t.cells[set]) {
			t.batch.SetRules(chain(set))
		}
	}
}
