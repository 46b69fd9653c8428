package verify

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// task is the questions that one local address is asked in one direction.
type task struct {
	local  netip.Addr
	dir    policy.Direction
	toNode bool // of what it sends to its own node: dir is Egress
	whole  bool // every region at every corner; otherwise one region for each class
	stray  bool // not local by the model, but by the kernel
}

// plan lists whom to ask. Endpoints of one program have the same rows: the
// first of them answers for every region, the others show with one region for
// each class that they are bound to the right program.
func plan(s *dataplane.State, kernelLocals []netip.Addr) []task {
	var tasks []task
	seen, toNode := map[dataplane.ProgramID]bool{}, map[dataplane.ProgramID]bool{}
	for _, l := range s.Locals() {
		for _, dir := range policy.Directions {
			id := l.Program(dir)
			tasks = append(tasks, task{local: l.Addr, dir: dir, whole: id != 0 && !seen[id]})
			seen[id] = true
		}
		// A program that is of others elsewhere has chains of its own towards the node.
		tasks = append(tasks, task{local: l.Addr, dir: policy.Egress, toNode: true, whole: l.ToNode != 0 && !toNode[l.ToNode]})
		toNode[l.ToNode] = true
	}
	for _, a := range kernelLocals {
		if _, ok := s.Local(a); !ok {
			for _, t := range []task{{dir: policy.Egress}, {dir: policy.Ingress}, {dir: policy.Egress, toNode: true}} {
				t.local, t.whole, t.stray = a, true, true
				tasks = append(tasks, t)
			}
		}
	}
	return tasks
}

// peersPerClass bounds the addresses that stand for a class.
const peersPerClass = 2

// representatives returns addresses of every class: ones that have it by
// themselves and ones that have it by a net.
func representatives(s *dataplane.State) map[dataplane.ClassID][]netip.Addr {
	own, byNet := map[dataplane.ClassID][]netip.Addr{}, map[dataplane.ClassID][]netip.Addr{}
	add := func(m map[dataplane.ClassID][]netip.Addr, c dataplane.ClassID, a netip.Addr) {
		if !slices.Contains(m[c], a) {
			m[c] = append(m[c], a)
		}
	}
	for a, c := range s.Addrs() {
		if keepSmallest(own, c, a) {
			add(own, c, a)
		}
	}
	for p, c := range s.Nets() {
		// The ends of a net are where an interval of the kernel may go wrong.
		for _, a := range []netip.Addr{p.Addr(), last(p)} {
			if len(byNet[c]) < peersPerClass && s.Class(a) == c {
				add(byNet, c, a)
			}
		}
		if len(byNet[c]) == 0 { // both ends belong to nets or addresses within
			if a, ok := uncovered(s, p, c); ok {
				add(byNet, c, a)
			}
		}
	}
	for c, addrs := range byNet {
		own[c] = append(own[c], addrs...)
	}
	return own
}

// keepSmallest keeps the choice of a class's own addresses independent of the order in
// which a map gives them: the smallest ones are taken.
func keepSmallest(own map[dataplane.ClassID][]netip.Addr, c dataplane.ClassID, a netip.Addr) bool {
	have := own[c]
	if len(have) < peersPerClass {
		return true
	}
	i := 0
	for j := range have {
		if have[j].Compare(have[i]) > 0 {
			i = j
		}
	}
	if a.Compare(have[i]) < 0 {
		have[i] = a
	}
	return false
}

// uncovered looks for an address of the class in the net: just behind each of
// the nets and addresses within.
func uncovered(s *dataplane.State, p netip.Prefix, c dataplane.ClassID) (netip.Addr, bool) {
	for inner := range s.NetsIn(p) {
		if a := last(inner).Next(); a.IsValid() && p.Contains(a) && s.Class(a) == c {
			return a, true
		}
	}
	a := p.Addr()
	for range 1 << 16 { // of addresses in a row
		if !a.IsValid() || !p.Contains(a) {
			break
		}
		if s.Class(a) == c {
			return a, true
		}
		a = a.Next()
	}
	return netip.Addr{}, false
}

// last returns the last address of a net.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// maxAsked bounds the addresses of the kernel's sets that one endpoint is asked
// about; of more of them, each endpoint is asked about another part.
const maxAsked = 5000

// flows returns the flows of a task: to and from every class of its family, at
// the corners of the regions that there should be; then at the kernel's own
// boundaries, where bound is true.
func (v *verifier) flows(t task, yield func(f policy.Flow, bound bool)) {
	l, _ := v.Tables.Local(t.local)
	program := v.Tables.Program(l.Program(t.dir))
	if t.toNode && l.ToNode != 0 { // else what is said elsewhere shows that it is not said here
		program = v.Tables.Program(l.ToNode)
	}
	for i, c := range v.Tables.Classes() {
		for n, peer := range v.peers[c] {
			f, ok := t.flow(peer)
			if !ok {
				continue
			}
			if program == nil { // not governed: one question shows it
				yield(withL4(f, policy.Flow{Protocol: policy.TCP, DstPort: 80, SrcPort: 49152}), false)
			} else {
				v.regions(t, f, v.Tables.Row(program.RowFor(c)), i, yield)
			}
			if n == 0 && (t.whole || t.stray) {
				for _, p := range v.bounds.Points {
					yield(withL4(f, p), true)
				}
			}
		}
	}
	if !t.whole || len(v.bounds.Addrs) == 0 {
		return
	}
	addrs, points := v.bounds.Addrs, v.bounds.Points
	if len(points) == 0 {
		points = []policy.Flow{{Protocol: policy.TCP, DstPort: 80, SrcPort: 49152}}
	}
	first := int(t.local.As16()[15]) * maxAsked
	for n := range min(len(addrs), maxAsked) {
		if f, ok := t.flow(addrs[(first+n)%len(addrs)]); ok {
			yield(withL4(f, points[n%len(points)]), true)
		}
	}
}

// regions returns the flows of one row: both corners of every region, or of one.
func (v *verifier) regions(t task, f policy.Flow, row dataplane.Row, i int, yield func(policy.Flow, bool)) {
	for n, g := range row {
		if !t.whole && n != i%len(row) {
			continue
		}
		first, end := corner(f, g, false), corner(f, g, true)
		yield(first, false)
		if end != first {
			yield(end, false)
		}
	}
}

// flow returns a flow between the task's endpoint and a peer, which must be of its family.
func (t task) flow(peer netip.Addr) (policy.Flow, bool) {
	if peer.Is4() != t.local.Is4() || peer == t.local {
		return policy.Flow{}, false
	}
	if t.dir == policy.Ingress {
		return policy.Flow{Src: peer, Dst: t.local}, true
	}
	return policy.Flow{Src: t.local, Dst: peer}, true
}

// withL4 returns a flow with the protocol and ports of another.
func withL4(f, attachment policy.Flow) policy.Flow {
	attachment.Src, attachment.Dst = f.Src, f.Dst
	return attachment
}

// corner puts the flow into the lowest or the highest corner of a region.
func corner(f policy.Flow, g dataplane.Region, high bool) policy.Flow {
	protocol, dst, src := g.FirstProtocol, g.Dst.First, g.Src.First
	if high {
		protocol, dst, src = g.LastProtocol, g.Dst.Last, g.Src.Last
	}
	f.Protocol = protocol
	switch {
	case protocol.HasPorts():
		f.DstPort, f.SrcPort = dst, src
	case protocol.IsICMP():
		f.ICMPType, f.ICMPCode = uint8(min(dst, 255)), uint8(min(src, 255))
	}
	return f
}
