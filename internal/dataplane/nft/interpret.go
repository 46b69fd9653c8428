package nft

import (
	"encoding/binary"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.FlowDecider = (*Kernel)(nil)

// Decide walks the kernel's chains with the first packet of a flow, as the
// kernel would. It walks on after egress has denied, to learn what ingress says.
func (k *Kernel) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	w := walk{kernel: k, packet: newPacket(f)}
	w.verdicts = [2]dataplane.Verdict{{Allow: true}, {Allow: true}}
	for _, base := range k.bases {
		if base.hook != hookForward {
			continue // of host endpoints: see DecideHost
		}
		w.direction = -1
		w.chain(base.name, 0)
	}
	return w.verdicts[policy.Egress], w.verdicts[policy.Ingress]
}

// packet is what expressions can load from a packet.
type packet struct {
	family    int
	protocol  byte
	network   [40]byte
	transport [20]byte
}

func newPacket(f policy.Flow) *packet {
	p := &packet{family: familyOf(f.Src), protocol: byte(f.Protocol)}
	src, dst := address(p.family, source), address(p.family, destination)
	copy(p.network[src.offset:], f.Src.AsSlice())
	copy(p.network[dst.offset:], f.Dst.AsSlice())
	switch {
	case f.Protocol.HasPorts():
		binary.BigEndian.PutUint16(p.transport[0:], f.SrcPort)
		binary.BigEndian.PutUint16(p.transport[2:], f.DstPort)
	case f.Protocol.IsICMP():
		p.transport[0], p.transport[1] = f.ICMPType, f.ICMPCode
	}
	if f.Protocol == policy.TCP {
		p.transport[13] = 2 // SYN
	}
	return p
}

// walk is one packet's way through the chains.
type walk struct {
	kernel    *Kernel
	packet    *packet
	registers [64]byte
	iface     string // by which a packet comes to a host endpoint, or leaves
	direction int    // which chain of paths the packet is in; -1: none
	verdicts  [2]dataplane.Verdict
	// real is set for a packet that goes all the way, and ends where it is dropped:
	// see AtHook.
	real *realPacket
}

// outcome is how a chain ends for a packet.
type outcome int

const (
	goOn    outcome = iota // back to the chain that jumped
	dropped                // or accepted: no more chains of this hook
	accepted
)

// maxDepth is more chains than the kernel lets a packet pass.
const maxDepth = 64

func (w *walk) chain(name string, depth int) outcome {
	if depth > maxDepth {
		return dropped
	}
	w.enter(name)
	for _, r := range w.kernel.chains[name] {
		switch v := w.rule(r); v.code {
		case 0: // no verdict: the next rule
		case codeAccept:
			return accepted
		case codeDrop:
			w.deny(name)
			return dropped
		case codeReturn:
			w.allow(name)
			return goOn
		case codeGoto:
			return w.chain(v.chain, depth+1)
		case codeJump:
			if end := w.jump(v.chain, depth+1); end != goOn {
				return end
			}
		}
	}
	return goOn
}

// jump goes to a chain and comes back. From the chain of a direction it comes
// back in any case: the kernel ends with a packet that egress drops, but what
// ingress would have said is asked as well.
func (w *walk) jump(name string, depth int) outcome {
	if strings.HasPrefix(name, "unknown-") || w.real == nil && strings.HasPrefix(name, "host-") {
		return goOn // not what policy of the two ends says
	}
	if w.real != nil {
		if slices.Contains(w.real.skips, name) {
			return goOn
		}
		return w.chain(name, depth)
	}
	direction := w.direction
	for _, p := range paths {
		if p.String() != name {
			continue
		}
		w.direction = int(p.dir)
		w.chain(name, depth)
		w.direction = direction
		return goOn
	}
	return w.chain(name, depth)
}

// enter notes that a row has a say.
func (w *walk) enter(chain string) {
	if w.direction >= 0 && strings.HasPrefix(chain, "row-") {
		w.verdicts[w.direction].Governed = true
	}
}

// allow and deny note what a chain said of the present direction, and who decided.
func (w *walk) allow(chain string) {
	if id, ok := deciderOf(chain, "allow-"); ok && w.direction >= 0 {
		w.verdicts[w.direction].Decider = id
	}
}

func (w *walk) deny(chain string) {
	id, _ := deciderOf(chain, "deny-")
	if w.direction < 0 { // before any direction was asked: for both
		w.verdicts = [2]dataplane.Verdict{{Governed: true}, {Governed: true}}
		return
	}
	w.verdicts[w.direction] = dataplane.Verdict{Governed: true, Decider: id}
}

func deciderOf(chain, prefix string) (dataplane.DeciderID, bool) {
	digits, ok := strings.CutPrefix(chain, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return dataplane.DeciderID(n), ok && err == nil
}

// rule evaluates one rule; zero is no verdict.
func (w *walk) rule(r rule) verdict {
	for _, e := range r.exprs {
		register := w.register(e.register)
		switch e.kind {
		case metaLoad:
			if w.real != nil && w.real.load(e.key, register) {
				continue
			}
			clear(register[:4])
			register[0] = w.packet.protocol
			switch e.key {
			case metaNFProto:
				register[0] = isFamily(w.packet.family)[1].data[0]
			case metaIIF: // of no interface that is known
				register[0] = 0
			case metaIIFName, metaOIFName:
				copy(register, ifKey(w.iface))
			case metaMark:
				register[0] = 0
			}
		case ctLoad:
			copy(register, nativeUint32(stateNew))
			if w.real != nil {
				copy(register, nativeUint32(uint32(w.real.state)))
			}
		case bitwiseOr:
			for i := range e.data {
				register[i] |= e.data[i]
			}
		case metaStore:
			if w.real != nil && e.key == metaMark {
				w.real.mark = binary.NativeEndian.Uint32(register)
			}
		case noTrack:
			if w.real != nil {
				w.real.untracked = true
			}
		case payloadLoad:
			if !w.load(e, register) {
				return verdict{}
			}
		case bitwiseAnd:
			for i := range e.data {
				register[i] &= e.data[i]
			}
		case compare:
			if (string(register[:len(e.data)]) == e.data) != (e.key == equal) {
				return verdict{}
			}
		case inRange:
			if v := string(register[:len(e.data)]); v < e.data || v > e.to {
				return verdict{}
			}
		case lookup, verdictMap:
			if w.real != nil && slices.Contains(w.real.skips, e.set) {
				return verdict{}
			}
			v, ok := w.kernel.sets[e.set].find(register)
			if !ok || e.kind == verdictMap {
				return v
			}
		case immediate:
			return e.verdict
		}
	}
	return verdict{}
}

// register returns the bytes from a register on. The kernel's registers of 16
// bytes and of 4 bytes are two views of the same memory.
func (w *walk) register(n uint32) []byte {
	if n >= reg32Start {
		return w.registers[min((n-reg32Start)*4, 60):]
	}
	return w.registers[min(max(n, 1)-1, 3)*16:]
}

// load copies from the packet; false where the header is shorter.
func (w *walk) load(e expr, register []byte) bool {
	header := w.packet.network[:]
	if e.key == transportHeader {
		header = w.packet.transport[:]
	}
	end := uint64(e.offset) + uint64(e.length)
	if end > uint64(len(header)) || int(e.length) > len(register) {
		return false
	}
	clear(register[:min((e.length+3)&^3, uint32(len(register)))])
	copy(register, header[e.offset:end])
	return true
}

// find looks a key up that is at the beginning of a register.
func (s *kernelSet) find(register []byte) (verdict, bool) {
	key := string(register[:min(int(s.keyLen), len(register))])
	if !s.interval {
		v, ok := s.elements[key]
		return v, ok
	}
	// The last element whose key is not beyond it; of an end and a beginning at
	// one key, the beginning comes second.
	i := sort.Search(len(s.intervals), func(i int) bool { return s.intervals[i].key > key }) - 1
	if i < 0 || s.intervals[i].end {
		return verdict{}, false
	}
	return s.intervals[i].verdict, true
}
