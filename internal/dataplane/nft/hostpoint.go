package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// pointSwitch returns the switch of a point, not settled: by the class of the local
// side packets go on to a program.
func pointSwitch(p dataplane.HostPoint) *classSwitch {
	name := pointName(p.PointKey)
	targets := pointPrograms{}
	for _, x := range p.Programs {
		targets[x.Class] = toProgram(x.Program)
	}
	s := &classSwitch{
		name: name, nets: name + "-nets", family: familyIndex(p.Family), side: hostSide(p.Hook),
		order: orderPoint, netsOrder: orderPointSet, targets: targets, otherwise: toProgram(p.Base),
	}
	if p.Governs() && !p.Hook.BeforeFilter() {
		s.first = []codec.Rule{always(jumpTo(strictChain))}
	}
	return s
}

// pointPrograms are the targets of a point's switch.
type pointPrograms map[dataplane.ClassID]codec.Verdict

func (t pointPrograms) has(class dataplane.ClassID) bool         { return t[class] != codec.Verdict{} }
func (t pointPrograms) of(class dataplane.ClassID) codec.Verdict { return t[class] }

// toProgram says how to go to a program.
func toProgram(id dataplane.ProgramID) codec.Verdict {
	if id == 0 {
		return returns
	}
	return goTo(hostProgramName(id))
}
