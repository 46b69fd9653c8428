package nft

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// afterHosts brings the chains of host endpoints in line, if the delta touches
// anything that they are made from. Addresses that come, go or change their class
// are not among it.
func (t *step) afterHosts(d *dataplane.Delta) {
	was, toNode := t.b.host.content, t.toNodeChanges()
	if len(was.hooks)+len(was.programs)+len(toNode) == 0 && !t.b.state.HasAttachments() {
		return
	}
	attachments := len(d.SetHosts)+len(d.DelHosts) > 0
	moved := !t.switchChange(0).none() || !t.switchChange(1).none()
	if !moved && !attachments && len(toNode)+len(d.SetPrograms)+len(d.SetCells) == 0 {
		return
	}
	next := *was
	if attachments {
		next = *renderHost(t.b.state, &t.b.host.settings)
		next.toNode = was.toNode
		if !was.step(&next, t.batch) {
			t.full = true
			return
		}
	}
	t.stepAttachments(was, &next)
	t.stepToNode(&next, toNode)
	t.stepPrograms(d, was, &next, attachments || len(toNode) > 0)
	t.host = &next
}

// stepToNode writes the chains that lead to programs of local endpoints towards the host.
func (t *step) stepToNode(next *hostContent, changed []dataplane.ProgramID) {
	if len(changed) == 0 {
		return
	}
	next.toNode = maps.Clone(next.toNode)
	for _, id := range changed {
		if next.toNode[id] {
			t.batch.DelChain(toNodeChain(id), orderToNode)
			delete(next.toNode, id)
		} else {
			t.batch.AddChain(toNodeRules(id))
			next.toNode[id] = true
		}
	}
}

// switchChange returns what changes for all switches of a family.
func (t *step) switchChange(family int) switchChange {
	was, is := t.b.levels[family], t.tables.levels[family]
	c := switchChange{slots: t.slots[family], spans: t.spans[family]}
	if was != is {
		c.levels, c.large = !slices.Equal(was.order, is.order), is.flipped(was, false)
	}
	return c
}

// stepAttachments writes what changes at the switches of attachments.
func (t *step) stepAttachments(was, next *hostContent) {
	attachments := make(map[dataplane.AttachmentKey]*classSwitch, len(next.attachments))
	for key, p := range next.attachments {
		old, c := was.attachments[key], t.switchChange(p.family)
		switch {
		case old == nil:
			p.settle(&t.tables)
			p.emit(&t.tables, t.batch)
		case old != p || !c.none():
			is := *p
			c.targets = otherTargets(old.targets, p.targets)
			is.step(old, &t.b.lookupTables, &t.tables, c, t.batch)
			p = &is
		}
		attachments[key] = p
	}
	for key, p := range was.attachments {
		if next.attachments[key] == nil {
			p.remove(&t.b.lookupTables, t.batch)
		}
	}
	next.attachments = attachments
}

// otherTargets returns the classes for which an attachment's switch has other targets.
func otherTargets(a, b targets) classSet {
	was, _ := a.(attachmentPrograms)
	is, _ := b.(attachmentPrograms)
	other := classSet{}
	for class, v := range was {
		if is[class] != v {
			other[class] = true
		}
	}
	for class, v := range is {
		if was[class] != v {
			other[class] = true
		}
	}
	return other
}

// stepPrograms writes what changes at programs; others says that other programs than
// before may be referred to.
func (t *step) stepPrograms(d *dataplane.Delta, was, next *hostContent, others bool) {
	next.programs = maps.Clone(was.programs)
	changes := t.programChanges(d)
	if others {
		refers := programsOf(t.b.state)
		for id, at := range refers {
			if was.programs[id] == nil {
				p := t.b.newHostProgram(id, at)
				p.settle(&t.tables)
				p.emit(&t.tables, t.batch)
				next.programs[id] = p
				t.retainProgramRows(p, 1)
			}
		}
		for id, p := range was.programs {
			if _, stays := refers[id]; !stays {
				p.remove(&t.b.lookupTables, t.batch)
				delete(next.programs, id)
				t.retainProgramRows(p, -1)
			}
		}
	}
	for id, p := range next.programs {
		if old := was.programs[id]; old != nil {
			next.programs[id] = t.stepProgram(p, changes[id])
		}
	}
}

// retainProgramRows counts that a program leads, or no longer leads, to its rows.
func (t *step) retainProgramRows(p *hostProgram, n int) {
	p.eachRow(func(row dataplane.RowID) { t.retainRow(row, n) })
}

// moveProgramRows counts which rows a program leads to now, where some of its cells changed.
func (t *step) moveProgramRows(was, is *hostProgram, changed classSet) {
	t.retainRow(was.base, -1)
	t.retainRow(is.base, 1)
	for class := range changed {
		if cell, had := was.cells[class]; had && cell.inline == nil {
			t.retainRow(cell.row, -1)
		}
		if cell, has := is.cells[class]; has && cell.inline == nil {
			t.retainRow(cell.row, 1)
		}
	}
}

func (t *step) retainRow(id dataplane.RowID, n int) {
	t.retainRowChain(rowName(id), rowChain{row: t.b.state.Row(id)}, n)
}

// programChange is what a delta says of one program.
type programChange struct {
	base  dataplane.RowID                       // 0: it stays
	cells map[dataplane.ClassID]dataplane.RowID // 0: goes away
}

func (t *step) programChanges(d *dataplane.Delta) map[dataplane.ProgramID]programChange {
	changes := map[dataplane.ProgramID]programChange{}
	for _, p := range d.SetPrograms {
		changes[p.ID] = programChange{base: p.Base}
	}
	for _, c := range d.SetCells {
		change := changes[c.Program]
		if change.cells == nil {
			change.cells = map[dataplane.ClassID]dataplane.RowID{}
		}
		change.cells[c.Class] = c.Row
		changes[c.Program] = change
	}
	return changes
}

// stepProgram writes what changes at a program that was there and still is, and
// returns what it becomes.
func (t *step) stepProgram(was *hostProgram, change programChange) *hostProgram {
	c := t.switchChange(was.family)
	if change.base == 0 && len(change.cells) == 0 && c.none() {
		return was
	}
	is := *was
	if change.base != 0 {
		is.base, is.otherwise = change.base, goTo(rowName(change.base))
	}
	if len(change.cells) > 0 || is.base != was.base {
		cells := maps.Clone(was.cells)
		c.targets = make(classSet, len(change.cells))
		for class, row := range change.cells {
			c.targets[class] = true
			if row == 0 {
				delete(cells, class)
			} else {
				cells[class] = t.b.programCell(row, is.base)
			}
		}
		if is.base != was.base { // other exceptions
			for class, cell := range cells {
				c.targets[class] = true
				cells[class] = t.b.programCell(cell.row, is.base)
			}
		}
		is.setCells(cells)
		t.moveProgramRows(was, &is, c.targets)
	}
	is.step(was, &t.b.lookupTables, &t.tables, c, t.batch)
	return &is
}

// step writes the way from one content to another into a batch, switches aside;
// false if that needs the whole table to be swapped, since base chains come or go.
func (c *hostContent) step(next *hostContent, out *codec.Batch) bool {
	if len(c.hooks) != len(next.hooks) || slices.ContainsFunc(policy.Hooks, func(h policy.Hook) bool { return c.hooks[h] != next.hooks[h] }) {
		return false
	}
	for name, s := range next.sets {
		old, ok := c.sets[name]
		if !ok {
			out.AddSet(s.SetSpec)
		}
		out.StepElements(name, old.elements, s.elements)
	}
	for name, s := range c.sets {
		if _, stays := next.sets[name]; !stays {
			out.DelSet(name, s.order)
		}
	}
	names := map[string]bool{}
	for name := range c.chains {
		names[name] = true
	}
	for name := range next.chains {
		names[name] = true
	}
	stepChains(out, names, c.chain, next.chain)
	return true
}

// step writes the way from one program to the next one of the same name.
func (p *hostProgram) step(was *hostProgram, from, to *lookupTables, c switchChange, out *codec.Batch) {
	stepChains(out, c.targets, was.classChain, p.classChain)
	p.classSwitch.step(&was.classSwitch, from, to, c, out)
}
