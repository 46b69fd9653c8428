package lab

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet makes an IP packet, with whatever addresses. The hop limit is 64; see HopLimit.
func Packet(src, dst netip.Addr, protocol byte, body []byte) []byte {
	if src.Is4() {
		h := make([]byte, 20, 20+len(body))
		h[0], h[8], h[9] = 0x45, 64, protocol
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], checksum(h))
		return append(h, body...)
	}
	h := make([]byte, 40, 40+len(body))
	h[0], h[6], h[7] = 0x60, protocol, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(body)))
	copy(h[8:], src.AsSlice())
	copy(h[24:], dst.AsSlice())
	return append(h, body...)
}

// HopLimit sets the hop limit of an IPv6 packet.
func HopLimit(packet []byte, n byte) []byte {
	packet[7] = n
	return packet
}

// TTL sets how many routers an IPv4 packet without options may pass.
func TTL(packet []byte, n byte) []byte {
	packet[8], packet[10], packet[11] = n, 0, 0
	binary.BigEndian.PutUint16(packet[10:], checksum(packet[:20]))
	return packet
}

// WithOptions puts IPv4 options into a packet that has none, whose length is a multiple of four.
func WithOptions(packet, options []byte) []byte {
	p := append(append(append([]byte{}, packet[:20]...), options...), packet[20:]...)
	p[0] = byte(0x40 | (20+len(options))/4)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20+len(options)]))
	return p
}

// UDPPacket makes a UDP packet.
func UDPPacket(src, dst netip.AddrPort, payload string) []byte {
	u := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(u[0:], src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	u = append(u, payload...)
	binary.BigEndian.PutUint16(u[6:], pseudoChecksum(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, u))
	return Packet(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, u)
}

// TCPPacket makes a TCP segment without data.
func TCPPacket(src, dst netip.AddrPort, flags byte, seq, ack uint32) []byte {
	s := make([]byte, 20)
	binary.BigEndian.PutUint16(s[0:], src.Port())
	binary.BigEndian.PutUint16(s[2:], dst.Port())
	binary.BigEndian.PutUint32(s[4:], seq)
	binary.BigEndian.PutUint32(s[8:], ack)
	s[12], s[13] = 5<<4, flags
	binary.BigEndian.PutUint16(s[14:], 64000)
	binary.BigEndian.PutUint16(s[16:], pseudoChecksum(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, s))
	return Packet(src.Addr(), dst.Addr(), unix.IPPROTO_TCP, s)
}

// ICMPPacket makes an ICMP message of the addresses' family: type, code, four bytes that
// depend on both, and what follows.
func ICMPPacket(src, dst netip.Addr, typ, code byte, rest [4]byte, body []byte) []byte {
	m := append([]byte{typ, code, 0, 0}, rest[:]...)
	m = append(m, body...)
	if src.Is4() {
		binary.BigEndian.PutUint16(m[2:], checksum(m))
		return Packet(src, dst, unix.IPPROTO_ICMP, m)
	}
	binary.BigEndian.PutUint16(m[2:], pseudoChecksum(src, dst, unix.IPPROTO_ICMPV6, m))
	return Packet(src, dst, unix.IPPROTO_ICMPV6, m)
}

// pseudoChecksum is that of UDP, TCP and ICMPv6, with the addresses.
func pseudoChecksum(src, dst netip.Addr, protocol byte, body []byte) uint16 {
	all := append(append(src.AsSlice(), dst.AsSlice()...), 0, protocol, byte(len(body)>>8), byte(len(body)))
	return checksum(append(all, body...))
}
