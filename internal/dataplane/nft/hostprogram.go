package nft

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// A program of host endpoints has chains of its own, which all points that refer to
// it share:
//
//	chain host-program-7          a switch by the class of the peer: by the digits of
//	                              its slot, else by intervals; goto row-BASE
//	chain host-program-7-node-…   one digit: which child to go to
//	chain host-program-7-class-5  goto row-N
//
// All policies of a host are in one or two programs, so that these are large. They
// are not made anew with each step: the step's parts say which classes, slots and
// intervals changed, and what follows is written.
type hostProgram struct {
	id     dataplane.ProgramID
	family int
	peer   side
	base   dataplane.RowID
	cells  map[dataplane.ClassID]dataplane.RowID
	slots  []uint32 // of classes with a cell, sorted
	nets   int      // spans of such classes
}

// ground is what the chains of programs stand on, beside their cells.
type ground struct {
	slots     [2]*slots
	intervals [2][]interval
}

func hostProgramName(id dataplane.ProgramID) string { return fmt.Sprintf("host-program-%d", id) }

func (p *hostProgram) name() string { return hostProgramName(p.id) }
func (p *hostProgram) netsName() string {
	return p.name() + "-nets"
}

func (p *hostProgram) className(c dataplane.ClassID) string {
	return fmt.Sprintf("%s-class-%d", p.name(), c)
}

func (p *hostProgram) nodeName(n node) string {
	return fmt.Sprintf("%s-node-%d-%d", p.name(), n.level, n.index)
}

// newHostProgram takes a program over from the state.
func newHostProgram(s *dataplane.State, id dataplane.ProgramID, at dataplane.PointKey, g *ground) *hostProgram {
	from := s.Program(id)
	p := &hostProgram{id: id, family: familyIndex(at.Family), peer: 1 - hostSide(at.Hook), base: from.Base, cells: maps.Clone(from.Cells)}
	p.settle(g)
	return p
}

// settle derives the slots and counts the spans.
func (p *hostProgram) settle(g *ground) {
	p.slots, p.nets = nil, 0
	t := g.slots[p.family]
	for class := range p.cells {
		if slot, ok := t.of[class]; ok {
			p.slots = append(p.slots, slot)
		}
	}
	slices.Sort(p.slots)
	for _, v := range g.intervals[p.family] {
		if _, ok := p.cells[v.class]; ok {
			p.nets++
		}
	}
}

// has reports whether a class under the node has a cell.
func (p *hostProgram) has(n node) bool {
	i, _ := slices.BinarySearch(p.slots, n.index<<(2*n.level))
	return i < len(p.slots) && p.slots[i]>>(2*n.level) == n.index
}

// goes says where packets go from the node that leads to it.
func (p *hostProgram) goes(t *slots, n node) verdict {
	switch {
	case !p.has(n):
		return goTo(rowName(p.base))
	case n.level == 0:
		return goTo(p.className(t.at[n.index]))
	}
	return goTo(p.nodeName(n))
}

// entry is where packets of the program arrive.
func (p *hostProgram) entry(g *ground) chainRules {
	t := g.slots[p.family]
	c := chainRules{name: p.name(), rank: rankProgram}
	load := address(p.family, p.peer)
	if len(t.at) > 0 && (len(p.slots) > 0 || p.nets > 0) {
		goes := p.goes(t, node{t.levels(), 0})
		c.rules = append(c.rules, when(join(isFamily(p.family), []expr{load, inSet(knownName(p.family))}), goes))
	}
	if p.nets > 0 {
		c.rules = append(c.rules, rule{exprs: join(isFamily(p.family), []expr{load, bySet(p.netsName())})})
	}
	c.rules = append(c.rules, always(goTo(rowName(p.base))))
	return c
}

// nodeChain returns the chain of a node that has something.
func (p *hostProgram) nodeChain(t *slots, n node) chainRules {
	c := chainRules{name: p.nodeName(n), rank: rankProgram + 1 + rank(31-n.level)}
	last := p.goes(t, node{n.level - 1, n.index * 4})
	for value := range 3 {
		if goes := p.goes(t, node{n.level - 1, n.index*4 + uint32(value) + 1}); goes != last {
			mark := inSet(markName(p.family, 3*(n.level-1)+value))
			c.rules = append(c.rules, when([]expr{address(p.family, p.peer), mark}, goes))
		}
	}
	c.rules = append(c.rules, always(last))
	return c
}

func (p *hostProgram) classChain(class dataplane.ClassID, row dataplane.RowID) chainRules {
	return chainRules{name: p.className(class), rank: rankProgramClass, rules: []rule{always(goTo(rowName(row)))}}
}

func (p *hostProgram) netsSpec() setSpec {
	spec := addrMap(p.netsName(), p.family)
	spec.interval = true
	return spec
}

// elements returns the elements of a span of a class with a cell.
func (p *hostProgram) elements(v span) []element {
	list := []element{{key: addrKey(v.first), verdict: goTo(p.className(v.class))}}
	if v.next.IsValid() {
		list = append(list, element{key: addrKey(v.next), end: true})
	}
	return list
}

// nodes returns the nodes that have something, of all levels.
func (p *hostProgram) nodes(t *slots) map[node]bool {
	all := map[node]bool{}
	for level := 1; level <= t.levels(); level++ {
		for _, slot := range p.slots {
			all[node{level, slot >> (2 * level)}] = true
		}
	}
	return all
}

// emit returns all of it.
func (p *hostProgram) emit(g *ground, out sink) {
	t := g.slots[p.family]
	out.addChain(p.entry(g))
	for n := range p.nodes(t) {
		out.addChain(p.nodeChain(t, n))
	}
	for class, row := range p.cells {
		out.addChain(p.classChain(class, row))
	}
	if p.nets == 0 {
		return
	}
	out.addSet(p.netsSpec())
	for v := range spans(g.intervals[p.family], 0, len(g.intervals[p.family])) {
		if _, ok := p.cells[v.class]; ok {
			for _, e := range p.elements(v) {
				out.addElement(p.netsName(), e)
			}
		}
	}
}

// remove takes all of it away.
func (p *hostProgram) remove(g *ground, out *batch) {
	t := g.slots[p.family]
	out.delChain(p.name(), rankProgram)
	for n := range p.nodes(t) {
		out.delChain(p.nodeName(n), rankProgram+1+rank(31-n.level))
	}
	for class := range p.cells {
		out.delChain(p.className(class), rankProgramClass)
	}
	if p.nets > 0 {
		out.delSet(p.netsName(), rankProgramSet)
	}
}

// programStep is what changes at a program in a step.
type programStep struct {
	cells map[dataplane.ClassID]dataplane.RowID // 0: goes away
	slots map[dataplane.ClassID]bool            // classes whose slot came, went or is another
	spans map[span]int                          // of the family: gone (-1) and new (+1)
}

// step writes the way from was, on its ground, to p, which has the same cells but for
// those of the step, and gives how many spans p has.
func (p *hostProgram) step(was *hostProgram, from, to *ground, s programStep, out *batch) {
	for class, row := range s.cells {
		switch old, had := was.cells[class]; {
		case row != 0 && !had:
			p.cells[class] = row
			out.addChain(p.classChain(class, row))
		case row == 0 && had:
			delete(p.cells, class)
			out.delChain(p.className(class), rankProgramClass)
		case row != old:
			p.cells[class] = row
			out.setRules(p.classChain(class, row))
		}
	}
	p.stepSpans(was, from, to, s, out)
	p.stepNodes(was, from, to, s, out)
	if c := p.entry(to); !equalRules(c.rules, was.entry(from).rules) {
		out.setRules(c)
	}
}

// stepSpans writes the elements of spans that changed, or whose classes begin or
// cease to have a cell.
func (p *hostProgram) stepSpans(was *hostProgram, from, to *ground, s programStep, out *batch) {
	gone, come := map[span]bool{}, map[span]bool{}
	for v, n := range s.spans {
		_, had := was.cells[v.class]
		_, has := p.cells[v.class]
		if n < 0 && had {
			gone[v] = true
		}
		if n > 0 && has {
			come[v] = true
		}
	}
	other := func(class dataplane.ClassID, a, b *hostProgram) bool { // has a cell in a only
		_, in := a.cells[class]
		_, too := b.cells[class]
		return in && !too
	}
	begins, ceases := false, false
	for class := range s.cells {
		begins, ceases = begins || other(class, p, was), ceases || other(class, was, p)
	}
	if ceases {
		list := from.intervals[p.family]
		for v := range spans(list, 0, len(list)) {
			if _, touched := s.cells[v.class]; touched && other(v.class, was, p) {
				gone[v] = true
			}
		}
	}
	if begins {
		list := to.intervals[p.family]
		for v := range spans(list, 0, len(list)) {
			if _, touched := s.cells[v.class]; touched && other(v.class, p, was) {
				come[v] = true
			}
		}
	}
	p.nets = was.nets + len(come) - len(gone)
	if was.nets == 0 && p.nets > 0 {
		out.addSet(p.netsSpec())
	}
	for v := range come {
		for _, e := range p.elements(v) {
			out.addElement(p.netsName(), e)
		}
	}
	if p.nets == 0 && was.nets > 0 {
		out.delSet(p.netsName(), rankProgramSet) // its elements go with it
		return
	}
	for v := range gone {
		for _, e := range was.elements(v) {
			out.delElement(p.netsName(), e)
		}
	}
}

// stepNodes writes the nodes that lead to slots which changed, or to all if the base
// or the number of digits did.
func (p *hostProgram) stepNodes(was *hostProgram, from, to *ground, s programStep, out *batch) {
	before, now := from.slots[p.family], to.slots[p.family]
	changed := map[uint32]bool{}
	slotOf := func(q *hostProgram, t *slots, class dataplane.ClassID) (uint32, bool) {
		if _, ok := q.cells[class]; !ok {
			return 0, false
		}
		slot, ok := t.of[class]
		return slot, ok
	}
	list := slices.Clone(p.slots)
	look := func(class dataplane.ClassID) {
		old, had := slotOf(was, before, class)
		slot, has := slotOf(p, now, class)
		if had == has && old == slot {
			return
		}
		if had {
			changed[old] = true
		}
		if has {
			changed[slot] = true
		}
	}
	for class := range s.cells {
		look(class)
	}
	for class := range s.slots {
		look(class)
	}
	for slot := range changed {
		// A slot that one class leaves and another takes stays in the list.
		i, in := slices.BinarySearch(list, slot)
		held := int(slot) < len(now.at) && now.at[slot] != 0
		if held {
			_, held = p.cells[now.at[slot]]
		}
		switch {
		case held && !in:
			list = slices.Insert(list, i, slot)
		case !held && in:
			list = slices.Delete(list, i, i+1)
		}
	}
	p.slots = list
	nodes := map[node]bool{}
	if p.base != was.base || before.levels() != now.levels() {
		maps.Copy(nodes, was.nodes(before))
		maps.Copy(nodes, p.nodes(now))
	}
	for level := 1; level <= max(before.levels(), now.levels()); level++ {
		for slot := range changed {
			nodes[node{level, slot >> (2 * level)}] = true
		}
	}
	for n := range nodes {
		had := n.level <= before.levels() && was.has(n)
		has := n.level <= now.levels() && p.has(n)
		switch {
		case has && !had:
			out.addChain(p.nodeChain(now, n))
		case had && !has:
			out.delChain(p.nodeName(n), rankProgram+1+rank(31-n.level))
		case has:
			if c := p.nodeChain(now, n); !equalRules(c.rules, was.nodeChain(before, n).rules) {
				out.setRules(c)
			}
		}
	}
}

// programsOf lists the programs that points refer to, each with a point that does.
func programsOf(points []dataplane.HostPoint) map[dataplane.ProgramID]dataplane.PointKey {
	list := map[dataplane.ProgramID]dataplane.PointKey{}
	for _, p := range points {
		if p.Base != 0 {
			list[p.Base] = p.PointKey
		}
		for _, x := range p.Programs {
			list[x.Program] = p.PointKey
		}
	}
	return list
}
