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

// A packet meets policy of host endpoints at points. Which point, its hook and
// the interface say by which it comes in (hooks of ingress) or leaves (egress):
//
//	point   = Hosts[hook, interface], or else Hosts[hook, all interfaces]
//	program = point.Programs[class of the local side], or else point.Base
//	row     = program.Cells[class of the peer], or else program.Base
//
// The local side is the source of what leaves and the destination of what comes
// in; unlike a local endpoint's it is any address, since packets that are routed
// pass here as well. A packet for which there is no point is not asked about.

// PointKey names a point.
type PointKey struct {
	Node      string
	Hook      policy.Hook
	Interface string // policy.AllInterfaces for those that have no point of their own
	Family    policy.Family
}

// HostPoint is what a host endpoint says at one hook, in one family.
type HostPoint struct {
	PointKey
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
func (k PointKey) Compare(o PointKey) int {
	return cmp.Or(strings.Compare(k.Node, o.Node), cmp.Compare(k.Hook, o.Hook),
		strings.Compare(k.Interface, o.Interface), cmp.Compare(k.Family, o.Family))
}

// String returns "input eth0 IPv4".
func (k PointKey) String() string {
	text := fmt.Sprintf("%v %s IPv%d", k.Hook, k.Interface, k.Family)
	if k.Node != "" {
		text = k.Node + " " + text
	}
	return text
}

// Equal reports whether two points are the same.
func (p HostPoint) Equal(o HostPoint) bool {
	return p.PointKey == o.PointKey && p.Base == o.Base && slices.Equal(p.Programs, o.Programs)
}

// Governs reports whether the point has a program.
func (p HostPoint) Governs() bool { return p.Base != 0 || len(p.Programs) > 0 }

// ProgramFor returns the program for a class of the local side.
func (p HostPoint) ProgramFor(class ClassID) ProgramID {
	i, ok := slices.BinarySearchFunc(p.Programs, class, func(x ClassProgram, c ClassID) int { return cmp.Compare(x.Class, c) })
	if ok {
		return p.Programs[i].Program
	}
	return p.Base
}

// all returns the programs of a point, each as often as it is referred to.
func (p HostPoint) all() []ProgramID {
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

// DecideHost decides a flow at a point by the tables.
func (s *State) DecideHost(at PointKey, f policy.Flow) Verdict {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	at.Family = policy.FamilyOf(f.Src)
	p, ok := s.points[at]
	if !ok {
		at.Interface = policy.AllInterfaces
		p = s.points[at]
	}
	own, peer := f.Dst, f.Src
	if at.Hook.Direction() == policy.Egress {
		own, peer = peer, own
	}
	return s.decide(p.ProgramFor(s.Class(own)), peer, f)
}

// Points returns all points, sorted.
func (s *State) Points() []HostPoint {
	return slices.SortedFunc(maps.Values(s.points), func(a, b HostPoint) int { return a.Compare(b.PointKey) })
}

// HasPoints reports whether any point governs.
func (s *State) HasPoints() bool {
	for _, p := range s.points {
		if p.Governs() {
			return true
		}
	}
	return false
}

func comparePoints(a, b HostPoint) int { return a.Compare(b.PointKey) }

// hosts checks the points of a delta.
func (a *after) hosts() error {
	count := func(p HostPoint, n int) {
		for _, id := range p.all() {
			a.pointUse[id] += n
		}
		for _, x := range p.Programs {
			a.classCells[x.Class] += n
		}
	}
	for _, p := range a.d.SetHosts {
		switch {
		case p.Hook == 0 || p.Interface == "" || p.Family != policy.IPv4 && p.Family != policy.IPv6:
			return fmt.Errorf("point %v: has no hook, interface or family", p.PointKey)
		case !slices.IsSortedFunc(p.Programs, func(x, y ClassProgram) int { return cmp.Compare(x.Class, y.Class) }):
			return fmt.Errorf("point %v: its programs are not sorted", p.PointKey)
		}
		for _, id := range p.all() {
			if !a.hasProgram(id) {
				return fmt.Errorf("point %v: there is no program %d", p.PointKey, id)
			}
		}
		for _, x := range p.Programs {
			if !a.hasClass(x.Class) || x.Program == p.Base {
				return fmt.Errorf("point %v: class %d does not exist, or has the base's program", p.PointKey, x.Class)
			}
		}
		if _, del := slices.BinarySearchFunc(a.d.DelHosts, p.PointKey, PointKey.Compare); del {
			return fmt.Errorf("point %v is set and deleted", p.PointKey)
		}
		count(p, 1)
		count(a.points[p.PointKey], -1)
	}
	for _, k := range a.d.DelHosts {
		p, ok := a.points[k]
		if !ok {
			return fmt.Errorf("point %v is deleted, but does not exist", k)
		}
		count(p, -1)
	}
	var errs []error
	for _, id := range a.d.DelPrograms {
		if n := a.programs[id].points + a.pointUse[id]; n != 0 {
			errs = append(errs, fmt.Errorf("program %d is deleted, but %d points refer to it", id, n))
		}
	}
	return errors.Join(errs...)
}

// applyHosts brings the points to their next state.
func (s *State) applyHosts(d *Delta) {
	for _, p := range d.SetHosts {
		s.countPoint(s.points[p.PointKey], -1)
		s.countPoint(p, 1)
		s.points[p.PointKey] = p
	}
	for _, k := range d.DelHosts {
		s.countPoint(s.points[k], -1)
		delete(s.points, k)
	}
}

func (s *State) countPoint(p HostPoint, n int) {
	for _, id := range p.all() {
		s.programs[id].points += n
	}
	for _, x := range p.Programs {
		s.classes[x.Class].cells += n
	}
}

// invertHosts adds the way back to inv.
func (s *State) invertHosts(d, inv *Delta) {
	for _, p := range d.SetHosts {
		if old, ok := s.points[p.PointKey]; ok {
			inv.SetHosts = append(inv.SetHosts, old)
		} else {
			inv.DelHosts = append(inv.DelHosts, p.PointKey)
		}
	}
	for _, k := range d.DelHosts {
		inv.SetHosts = append(inv.SetHosts, s.points[k])
	}
	slices.SortFunc(inv.SetHosts, comparePoints)
}

// hosts reports whether a delta may deny something at a host endpoint by its
// points, or by an address of the host's side that moves to another class.
func (n *next) hosts() bool {
	if len(n.d.SetHosts)+len(n.d.DelHosts) > 0 {
		return true
	}
	if len(n.d.SetAddrs)+len(n.d.DelAddrs)+len(n.d.SetNets)+len(n.d.DelNets) == 0 {
		return false
	}
	for _, p := range n.points {
		if len(p.Programs) > 0 {
			return true
		}
	}
	return false
}

// dumpHosts writes the points as lines.
func (s *State) dumpHosts(b *strings.Builder) {
	for _, p := range s.Points() {
		fmt.Fprintf(b, "point %v p%d\n", p.PointKey, p.Base)
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
