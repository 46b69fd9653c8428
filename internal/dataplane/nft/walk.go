package nft

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
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
		if base.Hook != codec.HookForward {
			continue // of host endpoints: see DecideHost
		}
		w.direction = -1
		w.chain(base.Name, 0)
	}
	return w.verdicts[policy.Egress], w.verdicts[policy.Ingress]
}

// DecideToNode walks with a packet that a local endpoint sends to the node itself.
func (k *Kernel) DecideToNode(f policy.Flow) dataplane.Verdict {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	w := walk{kernel: k, packet: newPacket(f), direction: int(policy.Egress)}
	w.verdicts = [2]dataplane.Verdict{{Allow: true}, {Allow: true}}
	for _, base := range k.bases {
		if base.Name == inputChain {
			w.chain(base.Name, 0)
		}
	}
	return w.verdicts[policy.Egress]
}

// packet is what expressions can load from a packet.
type packet struct {
	family    int
	protocol  byte
	link      [14]byte
	network   [40]byte
	transport []byte // as much as is known of it
}

// transportLen is how much of a transport header rules may read of a flow's packet.
const transportLen = 20

func newPacket(f policy.Flow) *packet {
	p := &packet{family: familyOf(f.Src), protocol: byte(f.Protocol), transport: make([]byte, transportLen)}
	src, dst := address(p.family, source), address(p.family, destination)
	copy(p.network[src.Offset:], f.Src.AsSlice())
	copy(p.network[dst.Offset:], f.Dst.AsSlice())
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
	if f.IsControlTraffic() {
		p.asOnItsLink(f)
	}
	return p
}

// asOnItsLink has a packet of control traffic be as whoever sends it makes it: so that it has come
// over no router, or goes over none.
func (p *packet) asOnItsLink(f policy.Flow) {
	switch {
	case p.family == 0:
		p.network[8], p.transport[0] = 1, cmp.Or(f.ICMPType, igmpTypes[1][0])
	case f.ICMPType == 133 || f.ICMPType == 135 || f.ICMPType == 136:
		p.network[7] = 255
	default:
		p.network[7] = 1
	}
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
		switch v := w.rule(r); v.Code {
		case 0: // no verdict: the next rule
		case codec.CodeAccept:
			return accepted
		case codec.CodeDrop:
			w.deny(name)
			return dropped
		case codec.CodeReturn:
			w.allow(name)
			return goOn
		case codec.CodeGoto:
			return w.chain(v.Chain, depth+1)
		case codec.CodeJump:
			if end := w.jump(v.Chain, depth+1); end != goOn {
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
	guards := w.real != nil && w.real.guards
	if !guards && (strings.HasPrefix(name, "unknown-") || strings.HasPrefix(name, guardPrefix)) || w.real == nil && strings.HasPrefix(name, "host-") {
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
	if w.direction >= 0 && strings.HasPrefix(chain, rowPrefix) {
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
	if g, ok := guardOf(chain); ok && w.real != nil {
		w.real.guard = g
	}
	if w.direction < 0 { // before any direction was asked: for both
		w.verdicts = [2]dataplane.Verdict{{Governed: true}, {Governed: true}}
		return
	}
	w.verdicts[w.direction] = dataplane.Verdict{Governed: true, Decider: id}
}

func deciderOf(chain, prefix string) (dataplane.DeciderID, bool) {
	digits, ok := strings.CutPrefix(chain, prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return dataplane.DeciderID(n), err == nil
}

// rule evaluates one rule; zero is no verdict.
func (w *walk) rule(r codec.Rule) codec.Verdict {
	for _, e := range r.Exprs {
		register := w.register(e.Register)
		switch e.Kind {
		case codec.MetaLoad:
			if w.real != nil && w.real.load(e.Key, register) {
				continue
			}
			clear(register[:4])
			register[0] = w.packet.protocol
			switch e.Key {
			case codec.MetaNFProto:
				register[0] = isFamily(w.packet.family)[1].Data[0]
			case codec.MetaIIF: // of no interface that is known
				register[0] = 0
			case codec.MetaIIFName, codec.MetaOIFName:
				copy(register, ifKey(w.iface))
			case codec.MetaMark:
				register[0] = 0
			}
		case codec.CTLoad:
			copy(register, codec.NativeUint32(codec.StateNew))
			if w.real != nil {
				copy(register, codec.NativeUint32(uint32(w.real.state)))
			}
		case codec.BitwiseOr:
			for i := range e.Data {
				register[i] |= e.Data[i]
			}
		case codec.MetaStore:
			if w.real != nil && e.Key == codec.MetaMark {
				w.real.mark = binary.NativeEndian.Uint32(register)
			}
		case codec.NoTrack:
			if w.real != nil {
				w.real.untracked = true
			}
		case codec.PayloadLoad:
			if !w.load(e, register) {
				return codec.Verdict{}
			}
		case codec.BitwiseAnd:
			for i := range e.Data {
				register[i] &= e.Data[i]
			}
		case codec.Compare:
			if (string(register[:len(e.Data)]) == e.Data) != (e.Key == codec.Equal) {
				return codec.Verdict{}
			}
		case codec.InRange:
			if v := string(register[:len(e.Data)]); v < e.Data || v > e.To {
				return codec.Verdict{}
			}
		case codec.Lookup, codec.VerdictMap:
			if w.real != nil && slices.Contains(w.real.skips, e.Set) {
				return codec.Verdict{}
			}
			v, ok := w.kernel.sets[e.Set].find(register)
			if !ok || e.Kind == codec.VerdictMap {
				return v
			}
		case codec.Immediate:
			return e.Verdict
		}
	}
	return codec.Verdict{}
}

// register returns the bytes from a register on. The kernel's registers of 16
// bytes and of 4 bytes are two views of the same memory.
func (w *walk) register(n uint32) []byte {
	if n >= codec.Reg32Start {
		return w.registers[min((n-codec.Reg32Start)*4, 60):]
	}
	return w.registers[min(max(n, 1)-1, 3)*16:]
}

// load copies from the packet; false where the header is shorter.
func (w *walk) load(e codec.Expr, register []byte) bool {
	header := w.packet.network[:]
	switch e.Key {
	case codec.LinkHeader:
		header = w.packet.link[:]
	case codec.TransportHeader:
		header = w.packet.transport
	}
	end := uint64(e.Offset) + uint64(e.Length)
	if end > uint64(len(header)) || int(e.Length) > len(register) {
		return false
	}
	clear(register[:min((e.Length+3)&^3, uint32(len(register)))])
	copy(register, header[e.Offset:end])
	return true
}

// realPacket is what a packet has that is walked all the way from its base chains.
type realPacket struct {
	in, out     string
	link, leave uint32 // the numbers of in and out
	carries     uint16 // type of what a frame carries; 0: it is no frame's
	state       byte
	mark        uint32
	untracked   bool
	guards      bool            // they are asked as well
	skips       []string        // chains that are not entered
	guard       dataplane.Guard // that has dropped it
}

// load returns the bytes of a key of the packet's meta data; false if it is none of them.
func (r *realPacket) load(key uint32, register []byte) bool {
	clear(register[:4])
	switch key {
	case codec.MetaIIF:
		codec.PutNativeUint32(register, r.link)
	case codec.MetaOIF:
		codec.PutNativeUint32(register, r.leave)
	case codec.MetaProtocol:
		binary.BigEndian.PutUint16(register, r.carries)
	case codec.MetaIIFName:
		copy(register, ifKey(r.in))
	case codec.MetaOIFName:
		copy(register, ifKey(r.out))
	case codec.MetaMark:
		codec.PutNativeUint32(register, r.mark)
	default:
		return false
	}
	return true
}
