package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// A packet meets policy of host endpoints at attachments. Which attachment, its hook and
// the interface say by which it comes in (hooks of ingress) or leaves (egress):
//
//	attachment   = Hosts[hook, interface], or else Hosts[hook, all interfaces]
//	program = attachment.Programs[class of the local side], or else attachment.Base
//	row     = program.Cells[class of the peer], or else program.Base
//
// The local side is the source of what leaves and the destination of what comes
// in; unlike a local endpoint's it is any address, since packets that are routed
// pass here as well. A packet for which there is no attachment is not asked about.

// AttachmentKey names an attachment.
type AttachmentKey struct {
	Node      string
	Hook      policy.Hook
	Interface string // policy.AllInterfaces for those that have no attachment of their own
	Family    policy.Family
}

// HostAttachment is what a host endpoint says at one hook, in one family.
type HostAttachment struct {
	AttachmentKey
	Base     ProgramID      // for classes of the local side that Programs does not name; 0 does not govern
	Programs []ClassProgram // sorted by class
}

// ClassProgram is the program for a class of the local side.
type ClassProgram struct {
	Class   ClassID
	Program ProgramID
}

// Skips says what an allowing decider of an early hook does beside: the rest of
// the host's policy is not asked.
type Skips uint8

// What deciders do.
const (
	SkipsNothing  Skips = iota
	SkipsIngress        // of a connection: before its destination is translated
	SkipsTracking       // of each packet, which is not tracked either
)

// SkipsAt returns what an Allow skips that a program of the hook says.
func SkipsAt(h policy.Hook) Skips {
	switch {
	case h.Raw():
		return SkipsTracking
	case h.BeforeFilter():
		return SkipsIngress
	}
	return SkipsNothing
}

// Compare orders keys by node, hook, interface and family.
func (k AttachmentKey) Compare(o AttachmentKey) int {
	return cmp.Or(strings.Compare(k.Node, o.Node), cmp.Compare(k.Hook, o.Hook),
		strings.Compare(k.Interface, o.Interface), cmp.Compare(k.Family, o.Family))
}

// String returns "input eth0 IPv4".
func (k AttachmentKey) String() string {
	text := fmt.Sprintf("%v %s IPv%d", k.Hook, k.Interface, k.Family)
	if k.Node != "" {
		text = k.Node + " " + text
	}
	return text
}

// Equal reports whether two points are the same.
func (p HostAttachment) Equal(o HostAttachment) bool {
	return p.AttachmentKey == o.AttachmentKey && p.Base == o.Base && slices.Equal(p.Programs, o.Programs)
}

// Governs reports whether the attachment has a program.
func (p HostAttachment) Governs() bool { return p.Base != 0 || len(p.Programs) > 0 }

// ProgramFor returns the program for a class of the local side.
func (p HostAttachment) ProgramFor(class ClassID) ProgramID {
	i, ok := slices.BinarySearchFunc(p.Programs, class, func(x ClassProgram, c ClassID) int { return cmp.Compare(x.Class, c) })
	if ok {
		return p.Programs[i].Program
	}
	return p.Base
}

// all returns the programs of an attachment, each as often as it is referred to.
func (p HostAttachment) all() []ProgramID {
	var ids []ProgramID
	if p.Base != 0 {
		ids = append(ids, p.Base)
	}
	for _, x := range p.Programs {
		if x.Program != 0 {
			ids = append(ids, x.Program)
		}
	}
	return ids
}

var _ HostDecider = (*State)(nil)

// DecideHost decides a flow at an attachment by the tables.
func (s *State) DecideHost(at AttachmentKey, f policy.Flow) Verdict {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	at.Family = policy.FamilyOf(f.Src)
	p, ok := s.attachments[at]
	if !ok {
		at.Interface = policy.AllInterfaces
		p = s.attachments[at]
	}
	own, peer := f.Dst, f.Src
	if at.Hook.Direction() == policy.Egress {
		own, peer = peer, own
	}
	return s.decide(p.ProgramFor(s.Class(own)), peer, f)
}

// Attachments returns all attachments, sorted.
func (s *State) Attachments() []HostAttachment {
	return slices.SortedFunc(maps.Values(s.attachments), func(a, b HostAttachment) int { return a.Compare(b.AttachmentKey) })
}

// HasAttachments reports whether any attachment governs.
func (s *State) HasAttachments() bool {
	for _, p := range s.attachments {
		if p.Governs() {
			return true
		}
	}
	return false
}

func compareAttachments(a, b HostAttachment) int { return a.Compare(b.AttachmentKey) }

// hosts checks the attachments of a delta.
func (a *after) hosts() error {
	count := func(p HostAttachment, n int) {
		for _, id := range p.all() {
			a.attachmentUse[id] += n
		}
		for _, x := range p.Programs {
			a.classCells[x.Class] += n
		}
	}
	for _, p := range a.d.SetHosts {
		switch {
		case p.Hook == 0 || p.Interface == "" || p.Family != policy.IPv4 && p.Family != policy.IPv6:
			return fmt.Errorf("attachment %v: has no hook, interface or family", p.AttachmentKey)
		case !slices.IsSortedFunc(p.Programs, func(x, y ClassProgram) int { return cmp.Compare(x.Class, y.Class) }):
			return fmt.Errorf("attachment %v: its programs are not sorted", p.AttachmentKey)
		}
		for _, id := range p.all() {
			if !a.hasProgram(id) {
				return fmt.Errorf("attachment %v: there is no program %d", p.AttachmentKey, id)
			}
		}
		for _, x := range p.Programs {
			if !a.hasClass(x.Class) || x.Program == p.Base {
				return fmt.Errorf("attachment %v: class %d does not exist, or has the base's program", p.AttachmentKey, x.Class)
			}
		}
		if _, del := slices.BinarySearchFunc(a.d.DelHosts, p.AttachmentKey, AttachmentKey.Compare); del {
			return fmt.Errorf("attachment %v is set and deleted", p.AttachmentKey)
		}
		count(p, 1)
		count(a.attachments[p.AttachmentKey], -1)
	}
	for _, k := range a.d.DelHosts {
		p, ok := a.attachments[k]
		if !ok {
			return fmt.Errorf("attachment %v is deleted, but does not exist", k)
		}
		count(p, -1)
	}
	var errs []error
	for _, id := range a.d.DelPrograms {
		if n := a.programs[id].attachments + a.attachmentUse[id]; n != 0 {
			errs = append(errs, fmt.Errorf("program %d is deleted, but %d attachments refer to it", id, n))
		}
	}
	return errors.Join(errs...)
}

// applyHosts brings the attachments to their next state.
func (s *State) applyHosts(d *Delta) {
	for _, p := range d.SetHosts {
		s.countAttachment(s.attachments[p.AttachmentKey], -1)
		s.countAttachment(p, 1)
		s.attachments[p.AttachmentKey] = p
	}
	for _, k := range d.DelHosts {
		s.countAttachment(s.attachments[k], -1)
		delete(s.attachments, k)
	}
}

func (s *State) countAttachment(p HostAttachment, n int) {
	for _, id := range p.all() {
		s.programs[id].attachments += n
	}
	for _, x := range p.Programs {
		s.classes[x.Class].cells += n
	}
}

// invertHosts adds the way back to inv.
func (s *State) invertHosts(d, inv *Delta) {
	for _, p := range d.SetHosts {
		if old, ok := s.attachments[p.AttachmentKey]; ok {
			inv.SetHosts = append(inv.SetHosts, old)
		} else {
			inv.DelHosts = append(inv.DelHosts, p.AttachmentKey)
		}
	}
	for _, k := range d.DelHosts {
		inv.SetHosts = append(inv.SetHosts, s.attachments[k])
	}
	slices.SortFunc(inv.SetHosts, compareAttachments)
}

// hosts reports whether a delta may deny something at a host endpoint by its
// attachments, or by an address of the host's side that moves to another class.
func (n *next) hosts() bool {
	if len(n.d.SetHosts)+len(n.d.DelHosts) > 0 {
		return true
	}
	if len(n.d.SetAddrs)+len(n.d.DelAddrs)+len(n.d.SetNets)+len(n.d.DelNets) == 0 {
		return false
	}
	for _, p := range n.attachments {
		if len(p.Programs) > 0 {
			return true
		}
	}
	return false
}

// dumpHosts writes the attachments as lines.
func (s *State) dumpHosts(b *strings.Builder) {
	for _, p := range s.Attachments() {
		fmt.Fprintf(b, "attachment %v p%d\n", p.AttachmentKey, p.Base)
		for _, x := range p.Programs {
			fmt.Fprintf(b, "  c%d p%d\n", x.Class, x.Program)
		}
	}
}

// HostSettings are what is in force at all host endpoints of a node, beside
// their policies.
type HostSettings struct {
	policy.HostSettings
	// Mark is the bit of the packet mark by which a hook tells later ones that the
	// rest of the host's policy is skipped. It is used only while there is policy
	// before DNAT or without tracking.
	Mark uint32
}

// DefaultMark is a bit that neither kube-proxy (0x4000, 0x8000) nor the usual CNIs
// (Calico: the upper 16; Cilium: 0xf00) use.
const DefaultMark = 0x2000

// LocalSide returns the ends of a flow as a hook sees them.
func LocalSide(h policy.Hook, f policy.Flow) (own, peer netip.Addr) {
	if h.Direction() == policy.Egress {
		return f.Src, f.Dst
	}
	return f.Dst, f.Src
}
