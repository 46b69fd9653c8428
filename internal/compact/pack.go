package compact

import (
	"encoding/binary"
	"math"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A packed policy is: the number of its selector, those of the peer sets of its
// rules, in the order of the rules; its key, tier, order, types and host options;
// and for each direction the number of its rules and the rules. A rule is its
// index, its action and family, a set of bits that says which criteria follow, and
// these. TestEveryFieldIsPacked fails if a field of a policy is forgotten here or
// in unpack.go.

// The bits of criteria. Those of the source are followed by the destination's.
const (
	hasProtocol = 1 << iota
	hasNotProtocol
	hasICMP
	hasNotICMP
	hasHTTP
	firstOfPeer
)

const (
	hasSet = 1 << iota
	hasNotSet
	hasNets
	hasNotNets
	hasPorts
	hasNotPorts
	pastPeer
)

// Pack returns the packed form of a policy, to be released when it is not needed
// any more. Nothing of the policy is kept but its selectors.
func (s *Policies) Pack(p *policy.Policy) Packed {
	w := &s.writer
	w.bytes, w.peerSets = w.bytes[:0], w.peerSets[:0]
	for _, dir := range policy.Directions {
		w.uint(uint64(len(p.Rules[dir])))
		for i := range p.Rules[dir] {
			w.rule(&p.Rules[dir][i])
		}
	}
	rules := len(w.bytes)
	w.uint(uint64(s.retainSelector(p.Selector)))
	w.uint(uint64(len(w.peerSets)))
	for _, id := range w.peerSets {
		w.uint(uint64(id))
	}
	for _, text := range []string{p.Key.Kind, p.Key.Namespace, p.Key.Name, p.Tier} {
		w.string(text)
	}
	w.bytes = binary.LittleEndian.AppendUint64(w.bytes, math.Float64bits(p.Order))
	for _, set := range []bool{p.Types[0], p.Types[1], p.Host.ApplyOnForward, p.Host.PreDNAT, p.Host.DoNotTrack} {
		w.bool(set)
	}
	// The rules were written first, since they tell the peer sets, and come last.
	var text strings.Builder
	text.Grow(len(w.bytes))
	text.Write(w.bytes[rules:])
	text.Write(w.bytes[:rules])
	return Packed(text.String())
}

// Selector returns the selector of a packed policy, which is that of the policy.
func (s *Policies) Selector(p Packed) *selector.Selector {
	r := reader{policies: s, rest: string(p)}
	return s.selectors.At(uint32(r.uint())).selector
}

// Share counts one use more of a packed policy.
func (s *Policies) Share(p Packed) Packed {
	r := reader{policies: s, rest: string(p)}
	s.selectors.At(uint32(r.uint())).refs++
	for range r.uint() {
		s.peerSets.At(uint32(r.uint())).refs++
	}
	return p
}

// Release counts one use less of a packed policy.
func (s *Policies) Release(p Packed) {
	r := reader{policies: s, rest: string(p)}
	s.releaseSelector(uint32(r.uint()))
	for range r.uint() {
		s.releasePeerSet(uint32(r.uint()))
	}
}

// Unpack returns the policy.
func (s *Policies) Unpack(packed Packed) *policy.Policy {
	r := reader{policies: s, rest: string(packed)}
	p := &policy.Policy{Selector: s.selectors.At(uint32(r.uint())).selector}
	r.peerSets = make([]*policy.PeerSet, r.uint())
	for i := range r.peerSets {
		r.peerSets[i] = s.peerSets.At(uint32(r.uint())).set
	}
	p.Key.Kind, p.Key.Namespace, p.Key.Name, p.Tier = r.string(), r.string(), r.string(), r.string()
	p.Order = math.Float64frombits(binary.LittleEndian.Uint64([]byte(r.take(8))))
	for _, set := range []*bool{&p.Types[0], &p.Types[1], &p.Host.ApplyOnForward, &p.Host.PreDNAT, &p.Host.DoNotTrack} {
		*set = r.bool()
	}
	for dir := range p.Rules {
		n := r.uint()
		if n == 0 {
			continue
		}
		p.Rules[dir] = make([]policy.Rule, n)
		for i := range p.Rules[dir] {
			r.rule(&p.Rules[dir][i])
		}
	}
	return p
}

type writer struct {
	policies *Policies
	bytes    []byte
	peerSets []uint32
}

func (w *writer) uint(v uint64) { w.bytes = binary.AppendUvarint(w.bytes, v) }

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.bytes = append(w.bytes, s...)
}

func (w *writer) bool(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	w.bytes = append(w.bytes, b)
}

func (w *writer) rule(r *policy.Rule) {
	w.uint(uint64(r.Index))
	w.bytes = append(w.bytes, byte(r.Action)<<4|byte(r.Family))
	bits := uint64(0)
	for i, has := range []bool{r.Protocol != nil, r.NotProtocol != nil, r.ICMP != nil, r.NotICMP != nil, r.HTTP != nil} {
		if has {
			bits |= hasProtocol << i
		}
	}
	bits |= firstOfPeer*criteria(&r.Source) | firstOfPeer*pastPeer*criteria(&r.Destination)
	w.uint(bits)
	for _, p := range []*policy.Protocol{r.Protocol, r.NotProtocol} {
		if p != nil {
			w.bytes = append(w.bytes, byte(*p))
		}
	}
	for _, m := range []*policy.ICMPMatch{r.ICMP, r.NotICMP} {
		if m != nil {
			w.optional(m.Type)
			w.optional(m.Code)
		}
	}
	if r.HTTP != nil {
		w.http(r.HTTP)
	}
	w.peer(&r.Source)
	w.peer(&r.Destination)
}

func (w *writer) http(m *policy.HTTPMatch) {
	w.uint(uint64(len(m.Methods)))
	for _, method := range m.Methods {
		w.string(method)
	}
	w.uint(uint64(len(m.Paths)))
	for _, path := range m.Paths {
		w.string(path.Exact)
		w.string(path.Prefix)
	}
}

// criteria returns the bits of a peer.
func criteria(p *policy.Peer) (bits uint64) {
	for i, has := range []bool{p.Set != nil, p.NotSet != nil, p.Nets != nil, p.NotNets != nil, p.Ports != nil, p.NotPorts != nil} {
		if has {
			bits |= hasSet << i
		}
	}
	return bits
}

func (w *writer) optional(v *uint8) {
	w.bool(v != nil)
	if v != nil {
		w.bytes = append(w.bytes, *v)
	}
}

func (w *writer) peer(p *policy.Peer) {
	for _, set := range []*policy.PeerSet{p.Set, p.NotSet} {
		if set != nil {
			w.peerSets = append(w.peerSets, w.policies.retainPeerSet(set))
		}
	}
	for _, nets := range [][]netip.Prefix{p.Nets, p.NotNets} {
		if nets != nil {
			w.nets(nets)
		}
	}
	for _, ports := range []*policy.Ports{p.Ports, p.NotPorts} {
		if ports != nil {
			w.ports(ports)
		}
	}
}

func (w *writer) nets(nets []netip.Prefix) {
	w.uint(uint64(len(nets)))
	for _, n := range nets {
		addr := n.Addr().AsSlice()
		w.bytes = append(append(w.bytes, byte(len(addr))), addr...)
		w.bytes = append(w.bytes, byte(n.Bits()))
	}
}

func (w *writer) ports(p *policy.Ports) {
	w.uint(uint64(len(p.Ranges)))
	for _, r := range p.Ranges {
		w.uint(uint64(r.First))
		w.uint(uint64(r.Last))
	}
	w.uint(uint64(len(p.Names)))
	for _, name := range p.Names {
		w.string(name)
	}
}
