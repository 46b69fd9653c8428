package dns

import (
	"encoding/binary"
	"net/netip"
)

// Packet is an IP packet with UDP or TCP in it.
type Packet struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	TCP              bool
	Seq              uint32 // of TCP
	Flags            uint8  // of TCP
	Payload          []byte // a part of the packet's bytes
}

const (
	protocolTCP = 6
	protocolUDP = 17

	flagFIN = 1
	flagSYN = 2
	flagRST = 4
)

// ParsePacket reads an IP packet. It is false for anything that is no whole packet
// with UDP or TCP.
func ParsePacket(b []byte) (Packet, bool) {
	if len(b) < 20 {
		return Packet{}, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return Packet{}, false
}

func parseIPv4(b []byte) (Packet, bool) {
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // a large one that the kernel has put together
	}
	fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff // more to come, or not the first
	if head < 20 || total < head || total > len(b) || fragment != 0 {
		return Packet{}, false
	}
	p := Packet{Src: netip.AddrFrom4([4]byte(b[12:16])), Dst: netip.AddrFrom4([4]byte(b[16:20]))}
	return p, p.transport(b[9], b[head:total])
}

func parseIPv6(b []byte) (Packet, bool) {
	const head = 40
	if len(b) < head {
		return Packet{}, false
	}
	p := Packet{Src: netip.AddrFrom16([16]byte(b[8:24])), Dst: netip.AddrFrom16([16]byte(b[24:40]))}
	next, rest := b[6], b[head:]
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		if n > len(rest) {
			return Packet{}, false
		}
		rest = rest[:n]
	}
	const hopByHop, routing, options = 0, 43, 60
	for range 8 { // headers before the transport's
		if next != hopByHop && next != routing && next != options {
			break
		}
		if len(rest) < 8 || len(rest) < 8+8*int(rest[1]) {
			return Packet{}, false
		}
		next, rest = rest[0], rest[8+8*int(rest[1]):]
	}
	return p, p.transport(next, rest)
}

// transport reads the header of UDP or TCP.
func (p *Packet) transport(protocol uint8, b []byte) bool {
	if len(b) < 8 {
		return false
	}
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	switch protocol {
	case protocolUDP:
		n := int(binary.BigEndian.Uint16(b[4:]))
		if n < 8 || n > len(b) {
			return false
		}
		p.Payload = b[8:n]
		return true
	case protocolTCP:
		if len(b) < 20 {
			return false
		}
		head := int(b[12]>>4) * 4
		if head < 20 || head > len(b) {
			return false
		}
		p.TCP, p.Seq, p.Flags, p.Payload = true, binary.BigEndian.Uint32(b[4:]), b[13], b[head:]
		return true
	}
	return false
}
