package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// attachmentSwitch returns the switch of an attachment, not settled: by the class of the local
// side packets go on to a program.
func attachmentSwitch(p dataplane.HostAttachment) *classSwitch {
	name := attachmentName(p.AttachmentKey)
	targets := attachmentPrograms{}
	for _, x := range p.Programs {
		targets[x.Class] = toProgram(x.Program)
	}
	s := &classSwitch{
		name: name, nets: name + "-nets", family: p.Family.Index(), side: hostSide(p.Hook),
		order: orderAttachment, netsOrder: orderAttachmentSet, targets: targets, otherwise: toProgram(p.Base),
	}
	if p.Governs() && !p.Hook.BeforeFilter() {
		s.first = []codec.Rule{always(jumpTo(strictChain))}
	}
	return s
}

// attachmentPrograms are the targets of an attachment's switch.
type attachmentPrograms map[dataplane.ClassID]codec.Verdict

func (t attachmentPrograms) has(class dataplane.ClassID) bool         { return t[class] != codec.Verdict{} }
func (t attachmentPrograms) of(class dataplane.ClassID) codec.Verdict { return t[class] }

// toProgram says how to go to a program.
func toProgram(id dataplane.ProgramID) codec.Verdict {
	if id == 0 {
		return returns
	}
	return goTo(hostProgramName(id))
}
