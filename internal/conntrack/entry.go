package conntrack

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// Attributes of connection tracking, as linux/netfilter/nfnetlink_conntrack.h
// numbers them.
const (
	messageNew    = 0 // IPCTNL_MSG_CT_NEW: an entry in a dump
	messageGet    = 1
	messageDelete = 2

	attrOriginal     = 1 // CTA_TUPLE_ORIG
	attrReply        = 2 // CTA_TUPLE_REPLY
	attrStatus       = 3
	attrProtocolInfo = 4
	attrTimeout      = 7 // seconds
	attrID           = 12
	attrMaster       = 14 // CTA_TUPLE_MASTER
	attrZone         = 18

	attrTupleAddrs = 1
	attrTupleProto = 2

	attrProtocol   = 1
	attrSourcePort = 2
	attrDestPort   = 3
	attrICMPType   = 5
	attrICMPCode   = 6
	attrICMP6Type  = 8
	attrICMP6Code  = 9

	attrTCP              = 1 // of attrProtocolInfo
	attrTCPState         = 1
	attrTCPFlagsOriginal = 4
	attrTCPFlagsReply    = 5
	tcpEstablished       = 3
	tcpLiberal           = 8 // IP_CT_TCP_FLAG_BE_LIBERAL: windows are not checked

	statusExpected  = 1 << 0 // belongs to another connection
	statusSeenReply = 1 << 1
	statusAssured   = 1 << 2 // not to be dropped early
	statusConfirmed = 1 << 3
	statusDying     = 1 << 9
)

// Entry is one connection that the kernel tracks.
type Entry struct {
	// Flow is its first packet as a forwarding host sees it: from the original
	// source to the destination after translation, which is where replies come from.
	Flow policy.Flow

	before   netip.AddrPort // the destination that the client asked for
	family   uint8
	original string // the original tuple as the kernel wrote it
	master   string // that of the connection it belongs to; empty if none
	id, zone nfnl.Value
}

// Asked returns the destination that the client asked for, before it was translated.
func (e Entry) Asked() netip.AddrPort { return e.before }

// String returns "TCP 10.0.0.1:4000 -> 10.0.0.2:80".
func (e Entry) String() string {
	f := e.Flow
	switch {
	case f.Protocol.HasPorts():
		return fmt.Sprintf("%v %v -> %v", f.Protocol, netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort))
	case f.Protocol.IsICMP():
		return fmt.Sprintf("%v %v -> %v type %d code %d", f.Protocol, f.Src, f.Dst, f.ICMPType, f.ICMPCode)
	}
	return fmt.Sprintf("%v %v -> %v", f.Protocol, f.Src, f.Dst)
}

// tuple is one direction of a connection.
type tuple struct {
	src, dst         netip.Addr
	protocol         policy.Protocol
	srcPort, dstPort uint16
	icmpType, code   uint8
}

// parseEntry reads an entry of a dump; false for one that is going away.
func parseEntry(m nfnl.Message) (Entry, bool, error) {
	if m.Attrs.Get(attrStatus).Uint32()&statusDying != 0 {
		return Entry{}, false, nil
	}
	original, err := parseTuple(m.Attrs.Get(attrOriginal).Attrs())
	if err != nil {
		return Entry{}, false, fmt.Errorf("original tuple: %w", err)
	}
	reply, err := parseTuple(m.Attrs.Get(attrReply).Attrs())
	if err != nil {
		return Entry{}, false, fmt.Errorf("reply tuple: %w", err)
	}
	e := Entry{
		Flow: policy.Flow{
			Src: original.src, Dst: reply.src, Protocol: original.protocol,
			SrcPort: original.srcPort, DstPort: reply.srcPort,
			ICMPType: original.icmpType, ICMPCode: original.code,
		},
		before:   netip.AddrPortFrom(original.dst, original.dstPort),
		family:   m.Family,
		original: string(m.Attrs.Get(attrOriginal)),
		id:       append(nfnl.Value(nil), m.Attrs.Get(attrID)...),
		zone:     append(nfnl.Value(nil), m.Attrs.Get(attrZone)...),
	}
	if m.Attrs.Get(attrStatus).Uint32()&statusExpected != 0 {
		e.master = string(m.Attrs.Get(attrMaster))
	}
	return e, true, nil
}

func parseTuple(a nfnl.Attrs) (tuple, error) {
	var t tuple
	for typ, v := range a.Get(attrTupleAddrs).Attrs().All() {
		addr, ok := netip.AddrFromSlice(v)
		if !ok {
			return t, fmt.Errorf("%w: an address of %d bytes", nfnl.ErrMalformed, len(v))
		}
		if typ%2 == 1 { // CTA_IP_V4_SRC, CTA_IP_V6_SRC
			t.src = addr
		} else {
			t.dst = addr
		}
	}
	if !t.src.IsValid() || !t.dst.IsValid() {
		return t, fmt.Errorf("%w: no addresses", nfnl.ErrMalformed)
	}
	for typ, v := range a.Get(attrTupleProto).Attrs().All() {
		switch typ {
		case attrProtocol:
			t.protocol = policy.Protocol(v.Uint8())
		case attrSourcePort:
			t.srcPort = v.Uint16()
		case attrDestPort:
			t.dstPort = v.Uint16()
		case attrICMPType, attrICMP6Type:
			t.icmpType = v.Uint8()
		case attrICMPCode, attrICMP6Code:
			t.code = v.Uint8()
		}
	}
	return t, nil
}

// writeDelete asks to delete an entry, and only this one: the identifier keeps
// another connection safe that came to the same addresses and ports meanwhile.
func writeDelete(w *nfnl.Writer, e Entry) {
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, messageDelete, unix.NLM_F_ACK, e.family)
	w.Raw(attrOriginal|unix.NLA_F_NESTED, e.original)
	w.Bytes(attrID, e.id)
	if len(e.zone) > 0 {
		w.Bytes(attrZone, e.zone)
	}
	w.End()
}
