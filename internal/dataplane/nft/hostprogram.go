package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// A program of host endpoints, or of local endpoints towards the host, has chains of its own,
// which all that refer to it share:
//
//	chain host-program-7…         a class switch by the class of the peer; row-BASE for all others
//	chain host-program-7-class-5  goto row-N; or exceptions from the base, if they are few, and then row-BASE
//
// All policies of a host are in one or two programs, so that these are large. They
// are not made anew with each step: the step's parts say which classes, slots and
// intervals changed, and what follows is written.
type hostProgram struct {
	classSwitch
	base  dataplane.RowID
	cells programCells
}

// programCells are the rows of a program's classes that have another than its base.
type programCells map[dataplane.ClassID]programCell

// programCell is what a program says to a class: a row, or rules that say what differs from
// the base and go on to it.
type programCell struct {
	row    dataplane.RowID
	inline []codec.Rule
}

// programCell returns the cell for a row beside a base.
func (l *layout) programCell(row, base dataplane.RowID) programCell {
	c := programCell{row: row}
	if x := l.rowMemory.of(l.state, row, base); x.hash != "" {
		parts, err := compileExceptions("", x.regions, []codec.Rule{always(goTo(rowName(base)))})
		if err == nil && len(parts.sets) == 0 && len(parts.chains) == 1 {
			c.inline = parts.chains[0].Rules
		}
	}
	return c
}

// programClasses are the targets of a program's switch: the chains of its classes.
type programClasses struct {
	program string
	cells   programCells
}

func (t programClasses) has(class dataplane.ClassID) bool {
	_, ok := t.cells[class]
	return ok
}

func (t programClasses) of(class dataplane.ClassID) codec.Verdict {
	return goTo(programClassName(t.program, class))
}

// newHostProgram takes a program over from the state. It is not settled.
func (l *layout) newHostProgram(id dataplane.ProgramID, at programSide) *hostProgram {
	from, name := l.state.Program(id), hostProgramName(id)
	p := &hostProgram{base: from.Base, classSwitch: classSwitch{
		name: name, nets: name + "-nets", family: at.family, side: at.peer,
		order: orderProgram, netsOrder: orderProgramSet, otherwise: goTo(rowName(from.Base)),
	}}
	cells := make(programCells, len(from.Cells))
	for class, row := range from.Cells {
		cells[class] = l.programCell(row, from.Base)
	}
	p.setCells(cells)
	return p
}

// setCells gives a program its cells, which must not change any more.
func (p *hostProgram) setCells(cells programCells) {
	p.cells, p.targets = cells, programClasses{p.name, cells}
}

// classChain returns the chain of a class, if the program has a cell for it.
func (p *hostProgram) classChain(class dataplane.ClassID) (codec.ChainRules, bool) {
	cell, ok := p.cells[class]
	if !ok {
		return codec.ChainRules{}, false
	}
	rules := cell.inline
	if rules == nil {
		rules = []codec.Rule{always(goTo(rowName(cell.row)))}
	}
	return codec.ChainRules{Name: programClassName(p.name, class), Order: orderProgramClass, Rules: rules}, true
}

// eachRow returns the rows that it leads to by chains of their own.
func (p *hostProgram) eachRow(visit func(dataplane.RowID)) {
	visit(p.base)
	for _, cell := range p.cells {
		if cell.inline == nil {
			visit(cell.row)
		}
	}
}

// emit hands out all of it.
func (p *hostProgram) emit(l *lookupTables, out sink) {
	p.classSwitch.emit(l, out)
	for class := range p.cells {
		c, _ := p.classChain(class)
		out.AddChain(c)
	}
}

// remove takes all of it away.
func (p *hostProgram) remove(l *lookupTables, out *codec.Batch) {
	p.classSwitch.remove(l, out)
	for class := range p.cells {
		out.DelChain(programClassName(p.name, class), orderProgramClass)
	}
}

// programSide is what a program of the host goes by: the peers' side, of a family.
type programSide struct {
	family int
	peer   side
}

// programsOf lists the programs that have chains of their own: those that attachments refer
// to, and those of local endpoints towards the host.
func programsOf(s *dataplane.State) map[dataplane.ProgramID]programSide {
	list := map[dataplane.ProgramID]programSide{}
	for _, p := range s.Attachments() {
		at := programSide{p.Family.Index(), 1 - hostSide(p.Hook)}
		if p.Base != 0 {
			list[p.Base] = at
		}
		for _, x := range p.Programs {
			list[x.Program] = at
		}
	}
	for id := range s.ToNodePrograms() {
		family, _ := s.ToNode(id)
		list[id] = programSide{family.Index(), destination}
	}
	return list
}
