package lab

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// isICMP reports whether the protocol is the ICMP of the address's family.
func isICMP(p policy.Protocol, a netip.Addr) bool {
	return a.Is4() && p == policy.ICMP || a.Is6() && p == policy.ICMPv6
}

const (
	icmpEchoRequest   = 8
	icmpEchoReply     = 0
	icmpv6EchoRequest = 128
	icmpv6EchoReply   = 129
)

// isEcho reports whether the flow is an echo request, which kernels answer.
func isEcho(f policy.Flow) bool {
	return f.Protocol == policy.ICMP && f.ICMPType == icmpEchoRequest ||
		f.Protocol == policy.ICMPv6 && f.ICMPType == icmpv6EchoRequest
}

// icmpMessage makes an ICMP message; its identifier and sequence number are the
// start of the payload's text, which is unlike any other's.
func icmpMessage(f policy.Flow, text string) []byte {
	m := make([]byte, 8, 8+len(text))
	m[0], m[1] = f.ICMPType, f.ICMPCode
	copy(m[4:8], text)
	m = append(m, text...)
	if f.Protocol == policy.ICMP { // the kernel fills in that of ICMPv6
		binary.BigEndian.PutUint16(m[2:], checksum(m))
	}
	return m
}

// isReply reports whether an ICMP message is the reply to the flow's echo request.
func isReply(m []byte, f policy.Flow, text string) bool {
	reply := byte(icmpEchoReply)
	if f.Protocol == policy.ICMPv6 {
		reply = icmpv6EchoReply
	}
	return len(m) >= 8 && m[0] == reply && bytes.Equal(m[8:], []byte(text))
}

// isCopy reports whether an ICMP message is the one that icmpMessage made.
func isCopy(m []byte, f policy.Flow, text string) bool {
	return len(m) >= 8 && m[0] == f.ICMPType && m[1] == f.ICMPCode && bytes.Equal(m[8:], []byte(text))
}

// checksum is the Internet checksum of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
