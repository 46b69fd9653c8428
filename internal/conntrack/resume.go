package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// Connections that began before the kernel tracked any, or whose entries somebody has
// flushed, belong to none: their segments begin no connection, and are dropped where policy
// governs. What policy allows among them is entered again. Which end began it a segment
// does not say, but its ports nearly always do: one of them is ephemeral. Where they do not, it
// is taken for that way round in which policy allows it.

// resumedTimeout is how long an entry lives without a packet, in seconds. The kernel sets its
// own time with the next one.
const resumedTimeout = 300

// Resume has the kernel track the TCP connections that segments are of, as far as the
// decider allows them the way round that the ports tell, or either way where they do not, and
// returns these as they are tracked.
func (t *Table) Resume(ctx context.Context, segments []policy.Flow, decider ConnectionDecider) ([]policy.Flow, error) {
	local, err := t.localAddrs()
	if err != nil {
		return nil, err
	}
	via := &ways{routes: t.routes, known: map[netip.Addr]string{}}
	var resumed []policy.Flow
	for _, s := range segments {
		if err := ctx.Err(); err != nil {
			return resumed, err
		}
		if s.Protocol != policy.TCP {
			continue
		}
		for _, f := range orientations(s) {
			seen := HostView{OwnSrc: local.Contains(f.Src), OwnDst: local.Contains(f.Dst), PreNATDst: netip.AddrPortFrom(f.Dst, f.DstPort), Via: via.to}
			if seen.OwnSrc && seen.OwnDst || !allowed(decider, decider, f, seen) {
				continue
			}
			err := t.add(f)
			if err == nil {
				resumed = append(resumed, f)
			} else if !errors.Is(err, unix.EEXIST) { // else another segment was first
				return resumed, fmt.Errorf("conntrack: entering %v again: %w", Entry{Flow: f}, err)
			}
			break
		}
	}
	return resumed, nil
}

// firstEphemeral is the first port that Linux gives to who begins a connection.
const firstEphemeral = 32768

// orientations returns the ways round that a segment's connection may be: one if exactly one
// of its ports is ephemeral, else first that in which the lower port is the server's.
func orientations(s policy.Flow) []policy.Flow {
	back := Reverse(s)
	switch src, dst := s.SrcPort >= firstEphemeral, s.DstPort >= firstEphemeral; {
	case src && !dst:
		return []policy.Flow{s}
	case dst && !src:
		return []policy.Flow{back}
	case s.SrcPort < s.DstPort:
		return []policy.Flow{back, s}
	}
	return []policy.Flow{s, back}
}

// Reverse returns a flow the other way round.
func Reverse(f policy.Flow) policy.Flow {
	f.Src, f.Dst, f.SrcPort, f.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
	return f
}

// add enters an established TCP connection. It fails with EEXIST if there is one.
func (t *Table) add(f policy.Flow) error {
	var w nfnl.Writer
	writeEntry(&w, f, unix.NLM_F_CREATE|unix.NLM_F_EXCL, resumedTimeout)
	return t.conn.Do(&w, 1, nil)
}

// writeEntry asks for an entry of a connection, which is taken for established.
func writeEntry(w *nfnl.Writer, f policy.Flow, flags uint16, timeout uint32) {
	family := uint8(unix.AF_INET)
	if f.Src.Is6() {
		family = unix.AF_INET6
	}
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, messageNew, flags|unix.NLM_F_ACK, family)
	writeDirection(w, attrOriginal, f.Protocol, f.Src, f.Dst, f.SrcPort, f.DstPort)
	writeDirection(w, attrReply, f.Protocol, f.Dst, f.Src, f.DstPort, f.SrcPort)
	w.Uint32(attrStatus, statusSeenReply|statusAssured|statusConfirmed)
	w.Uint32(attrTimeout, timeout)
	if f.Protocol == policy.TCP {
		info := w.Nest(attrProtocolInfo)
		tcp := w.Nest(attrTCP)
		w.Uint8(attrTCPState, tcpEstablished)
		w.Bytes(attrTCPFlagsOriginal, []byte{tcpLiberal, tcpLiberal})
		w.Bytes(attrTCPFlagsReply, []byte{tcpLiberal, tcpLiberal})
		w.EndNest(tcp)
		w.EndNest(info)
	}
	w.End()
}

// writeDirection writes one tuple of a protocol with ports.
func writeDirection(w *nfnl.Writer, attr uint16, p policy.Protocol, src, dst netip.Addr, srcPort, dstPort uint16) {
	nest := w.Nest(attr)
	addrs := w.Nest(attrTupleAddrs)
	first := uint16(1) // CTA_IP_V4_SRC
	if src.Is6() {
		first = 3 // CTA_IP_V6_SRC
	}
	w.Bytes(first, src.AsSlice())
	w.Bytes(first+1, dst.AsSlice())
	w.EndNest(addrs)
	proto := w.Nest(attrTupleProto)
	w.Uint8(attrProtocol, uint8(p))
	w.Uint16(attrSourcePort, srcPort)
	w.Uint16(attrDestPort, dstPort)
	w.EndNest(proto)
	w.EndNest(nest)
}
