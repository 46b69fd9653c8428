package nft

import (
	"encoding/binary"
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.LinkDecider = (*Kernel)(nil)

// linkHooks are the kernel's hooks of the places where links are asked about.
var linkHooks = [...]uint32{
	dataplane.BridgePrerouting: hookPrerouting, dataplane.BridgeInput: hookInput, dataplane.BridgeForward: codec.HookForward,
	dataplane.LinkPrerouting: hookPrerouting, dataplane.LinkForward: codec.HookForward, dataplane.LinkInput: hookInput,
}

// loopbackIndex is the number of lo, in every network namespace.
const loopbackIndex = 1

// AtLink walks the base chains of a place, in the order of their priorities, with the first
// packet of a connection. Without a table of the bridge family nothing happens on bridges.
func (k *Kernel) AtLink(h dataplane.LinkHook, f dataplane.Frame) dataplane.LinkOutcome {
	if h.Bridge() {
		if k = k.bridge; k == nil {
			return dataplane.LinkOutcome{}
		}
	}
	name := ""
	if f.In == loopbackIndex {
		name = "lo"
	}
	w := walk{kernel: k, packet: framePacket(f), direction: -1, real: &realPacket{
		in: name, link: uint32(f.In), leave: uint32(f.Out), carries: f.Carries, state: codec.StateNew, guards: true, //nolint:gosec // the kernel's are of 31 bits
	}}
	for _, base := range k.bases {
		if base.Hook == linkHooks[h] && w.chain(base.Name, 0) == dropped {
			return dataplane.LinkOutcome{Drop: true, Guard: w.real.guard}
		}
	}
	return dataplane.LinkOutcome{}
}

// framePacket returns what expressions can load from a frame.
func framePacket(f dataplane.Frame) *packet {
	f.Src, f.Dst = f.Src.Unmap(), f.Dst.Unmap()
	p := newPacket(f.Flow)
	copy(p.link[0:], f.To)
	copy(p.link[6:], f.From)
	binary.BigEndian.PutUint16(p.link[12:], f.Type)
	switch f.Carries {
	case dataplane.EtherARP:
		*p = packet{link: p.link}
		copy(p.network[arpSender.Offset:], f.Told)
		copy(p.network[arpSource.Offset:], addressBytes(f.Src))
	case dataplane.EtherIPv4, dataplane.EtherIPv6:
		switch {
		case f.Protocol.IsICMP():
			p.transport = icmpBody(p, &f)
		case f.Protocol == policy.UDPLite: // which has ports that policy does not know
			binary.BigEndian.PutUint16(p.transport[0:], f.SrcPort)
			binary.BigEndian.PutUint16(p.transport[2:], f.DstPort)
		}
	default:
		*p = packet{link: p.link}
	}
	return p
}

// icmpBody returns the ICMP message of a frame, as long as it is.
func icmpBody(p *packet, f *dataplane.Frame) []byte {
	b := append([]byte(nil), p.transport[:8]...)
	put := func(at codec.Expr, data []byte) {
		if end := int(at.Offset) + len(data); len(b) < end {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[at.Offset:], data)
	}
	if f.Embedded.IsValid() {
		put(embeddedDestination(p.family), addressBytes(f.Embedded))
	}
	if f.Protocol == policy.ICMPv6 && f.Target.IsValid() {
		put(advertTarget, addressBytes(f.Target))
	}
	if len(f.Told) > 0 {
		// Of solicitations the option is 1, of advertisements 2 (RFC 4861, 4.6.1).
		put(toldOption, []byte{1 + f.ICMPType - 135, 1})
		put(toldAddress, f.Told)
	}
	return b
}

func addressBytes(a netip.Addr) []byte { return a.Unmap().AsSlice() }
