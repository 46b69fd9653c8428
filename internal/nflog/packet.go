package nflog

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// Packet is a packet that was logged.
type Packet struct {
	Prefix        string // that of the rule
	Input, Output uint32 // indexes of interfaces; 0: none
	Flow          policy.Flow
	Length        int // of the whole packet, as its header says
}

// parseMessage reads a message; false if there is no packet in it that can be read.
func parseMessage(attrs nfnl.Attrs) (Packet, bool) {
	p := Packet{
		Prefix: attrs.Get(attrPrefix).String(),
		Input:  attrs.Get(attrInput).Uint32(),
		Output: attrs.Get(attrOutput).Uint32(),
	}
	var ok bool
	p.Flow, p.Length, ok = parsePacket(attrs.Get(attrPayload))
	return p, ok && attrs.Check() == nil
}

const (
	ipv4Header = 20
	ipv6Header = 40
)

// parsePacket reads the headers of an IP packet, of which the end may be missing.
// What is behind the first fragment has no ports.
func parsePacket(b []byte) (f policy.Flow, length int, ok bool) {
	if len(b) == 0 {
		return f, 0, false
	}
	switch b[0] >> 4 {
	case 4:
		n := int(b[0]&15) * 4
		if n < ipv4Header || len(b) < n {
			return f, 0, false
		}
		f.Src, f.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		f.Protocol = policy.Protocol(b[9])
		length = int(binary.BigEndian.Uint16(b[2:]))
		if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 { // the first fragment, or all of it
			transport(&f, b[n:])
		}
		return f, length, true
	case 6:
		if len(b) < ipv6Header {
			return f, 0, false
		}
		f.Src, f.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		length = ipv6Header + int(binary.BigEndian.Uint16(b[4:]))
		var rest []byte
		f.Protocol, rest = skipExtensions(policy.Protocol(b[6]), b[ipv6Header:])
		transport(&f, rest)
		return f, length, true
	}
	return f, 0, false
}

// skipExtensions goes past the headers that IPv6 has between its own and that of
// the transport.
func skipExtensions(next policy.Protocol, b []byte) (policy.Protocol, []byte) {
	for len(b) >= 8 {
		n := 8
		switch next {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			n = 8 * (int(b[1]) + 1)
		case unix.IPPROTO_FRAGMENT:
			if binary.BigEndian.Uint16(b[2:])&^7 != 0 { // not the first one
				return policy.Protocol(b[0]), nil
			}
		default:
			return next, b
		}
		if len(b) < n {
			return policy.Protocol(b[0]), nil
		}
		next, b = policy.Protocol(b[0]), b[n:]
	}
	return next, b
}

func transport(f *policy.Flow, b []byte) {
	switch {
	case f.Protocol.HasPorts() && len(b) >= 4:
		f.SrcPort, f.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case f.Protocol.IsICMP() && len(b) >= 2:
		f.ICMPType, f.ICMPCode = b[0], b[1]
	}
}
