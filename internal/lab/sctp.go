package lab

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
)

// The start of an SCTP association, RFC 9260: a packet is a common header (ports,
// verification tag, checksum) and one chunk. Probes need no more of it, and no
// SCTP in the kernel.

const (
	sctpInit    = 1
	sctpInitAck = 2

	sctpHeaderLen   = 12
	sctpInitLen     = 20 // of a chunk INIT or INIT ACK without parameters
	sctpStateCookie = 7  // a parameter of INIT ACK: here it carries the answer
	// sctpOpaque is a parameter type whose receiver skips it if it does not know
	// it, as the two high bits say: here it carries the request.
	sctpOpaque = 0x8fff
)

// sctpPacket makes a packet with one chunk INIT or INIT ACK that has one parameter.
func sctpPacket(srcPort, dstPort uint16, verification, initiate uint32, chunk byte, parameter uint16, text string) []byte {
	be := binary.BigEndian
	p := make([]byte, 0, 128)
	p = be.AppendUint16(p, srcPort)
	p = be.AppendUint16(p, dstPort)
	p = be.AppendUint32(p, verification)
	p = be.AppendUint32(p, 0) // checksum, below
	p = append(p, chunk, 0)
	p = be.AppendUint16(p, uint16(sctpInitLen+4+len(text)))
	p = be.AppendUint32(p, initiate)
	p = be.AppendUint32(p, 64<<10) // receiver window
	p = be.AppendUint16(p, 1)      // outbound streams
	p = be.AppendUint16(p, 1)      // inbound streams
	p = be.AppendUint32(p, initiate)
	p = be.AppendUint16(p, parameter)
	p = be.AppendUint16(p, uint16(4+len(text)))
	p = append(p, text...)
	for len(p)%4 != 0 {
		p = append(p, 0)
	}
	// The checksum is CRC32c in little-endian order.
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return p
}

// parseSCTP reads a packet that sctpPacket made.
func parseSCTP(p []byte) (srcPort, dstPort uint16, verification, initiate uint32, chunk byte, text string, ok bool) {
	be := binary.BigEndian
	if len(p) < sctpHeaderLen+sctpInitLen+4 {
		return
	}
	c := p[sctpHeaderLen:]
	parameter := c[sctpInitLen:]
	n := int(be.Uint16(parameter[2:]))
	if n < 4 || n > len(parameter) {
		return
	}
	return be.Uint16(p), be.Uint16(p[2:]), be.Uint32(p[4:]), be.Uint32(c[4:]), c[0], string(parameter[4:n]), true
}

// sctpAnswer answers an INIT for any port by an INIT ACK.
func (s *server) sctpAnswer(packet []byte, source netip.Addr) []byte {
	srcPort, dstPort, _, initiate, chunk, request, ok := parseSCTP(packet)
	if !ok || chunk != sctpInit || strings.Contains(request, "\n") {
		return nil
	}
	answer := s.answer(netip.AddrPortFrom(source, srcPort), request)
	return sctpPacket(dstPort, srcPort, initiate, initiate, sctpInitAck, sctpStateCookie, answer)
}
