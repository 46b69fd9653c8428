package lab

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// reply is what an exchange brought: who answered, and whom it saw.
type reply struct {
	server string
	seen   netip.AddrPort
}

// exchange makes the flow's connection from a host and waits for the answer, or
// until the context ends.
func (l *Lab) exchange(ctx context.Context, from *Host, f policy.Flow) (reply, error) {
	text := rand.Text()
	switch {
	case f.Protocol == policy.TCP:
		return from.exchangeTCP(ctx, f, text)
	case f.Protocol == policy.UDP:
		r := reply{}
		conn, err := from.dialFlow(ctx, "udp", f)
		if err != nil {
			return r, err
		}
		return r, exchangePackets(ctx, conn, []byte(text), func(p []byte) (ok bool) {
			r.server, r.seen, ok = parseAnswer(string(p), text)
			return ok
		})
	case isICMP(f.Protocol, f.Dst) && isEcho(f):
		conn, err := from.dialFlow(ctx, rawKind(f), f)
		if err != nil {
			return reply{}, err
		}
		return l.kernelReply(f), exchangePackets(ctx, conn, icmpMessage(f, text), func(p []byte) bool {
			return isReply(p, f, text)
		})
	case isICMP(f.Protocol, f.Dst):
		return l.kernelReply(f), l.deliver(ctx, from, f, text)
	case f.Protocol == policy.SCTP:
		return from.exchangeSCTP(ctx, f, text)
	}
	r := reply{}
	conn, err := from.dialFlow(ctx, rawKind(f), f)
	if err != nil {
		return r, err
	}
	err = exchangePackets(ctx, conn, []byte(rawRequest+text), func(p []byte) bool {
		answer, ok := strings.CutPrefix(string(p), rawReply)
		if ok {
			r.server, r.seen, ok = parseAnswer(answer, text)
		}
		return ok
	})
	return r, err
}

// kernelReply is the reply of the destination's kernel, which says no name.
func (l *Lab) kernelReply(f policy.Flow) reply {
	return reply{server: l.Owner(f.Dst).Name(), seen: netip.AddrPortFrom(f.Src, 0)}
}

// rawKind returns the network of package net for the flow's protocol, without the
// family.
func rawKind(f policy.Flow) string { return fmt.Sprintf("ip:%d", f.Protocol) }

// dialFlow makes a socket of the given kind (tcp, udp, ip:47) from the flow's
// source to its destination.
func (h *Host) dialFlow(ctx context.Context, kind string, f policy.Flow) (net.Conn, error) {
	if number, ok := strings.CutPrefix(kind, "ip:"); ok {
		d := net.Dialer{LocalAddr: &net.IPAddr{IP: f.Src.AsSlice()}}
		return h.dial(ctx, d, networkOf("ip", f.Dst)+":"+number, f.Dst.String())
	}
	return h.DialFrom(ctx, networkOf(kind, f.Dst),
		netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort))
}

func (h *Host) exchangeTCP(ctx context.Context, f policy.Flow, text string) (r reply, err error) {
	conn, err := h.dialFlow(ctx, "tcp", f)
	if err != nil {
		return r, err
	}
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// Ending by RST leaves no TIME_WAIT, so that the port can be used again.
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		return r, err
	}
	if _, err := fmt.Fprintln(conn, text); err != nil {
		return r, err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return r, err
	}
	var ok bool
	if r.server, r.seen, ok = parseAnswer(line, text); !ok {
		return r, errStranger
	}
	return r, nil
}

// errStranger is the error of an answer that no server of a lab gives.
var errStranger = errors.New("something else than the lab's own server answered")

// exchangePackets sends a packet and waits for the one that is its answer. It
// closes the socket.
func exchangePackets(ctx context.Context, conn net.Conn, packet []byte, isAnswer func([]byte) bool) error {
	defer conn.Close() //nolint:errcheck // nothing is left to lose
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	read := conn.Read
	if raw, ok := conn.(*net.IPConn); ok {
		// Unlike Read, it leaves the header of IPv4 out.
		read = func(b []byte) (int, error) {
			n, _, err := raw.ReadFrom(b)
			return n, err
		}
	}
	buf := make([]byte, maxLine)
	for {
		n, err := read(buf)
		if err != nil {
			return err
		}
		if isAnswer(buf[:n]) {
			return nil
		}
	}
}

func (h *Host) exchangeSCTP(ctx context.Context, f policy.Flow, text string) (r reply, err error) {
	conn, err := h.dialFlow(ctx, rawKind(f), f)
	if err != nil {
		return r, err
	}
	var tag [4]byte
	copy(tag[:], text)
	initiate := binary.BigEndian.Uint32(tag[:])
	if f.SrcPort == 0 {
		f.SrcPort = 49152 | uint16(initiate) // an ephemeral one
	}
	packet := sctpPacket(f.SrcPort, f.DstPort, 0, initiate, sctpInit, sctpOpaque, text)
	err = exchangePackets(ctx, conn, packet, func(p []byte) bool {
		_, _, verification, _, chunk, answer, ok := parseSCTP(p)
		if ok && chunk == sctpInitAck && verification == initiate {
			r.server, r.seen, ok = parseAnswer(answer, text)
			return ok
		}
		return false
	})
	return r, err
}

// deliver sends an ICMP message that nothing answers and waits until it arrives at
// its destination.
func (l *Lab) deliver(ctx context.Context, from *Host, f policy.Flow, text string) error {
	in, err := l.Owner(f.Dst).ListenPacket(rawNetwork(uint8(f.Protocol), f.Dst), f.Dst.String())
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing is left to lose
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	out, err := from.dialFlow(ctx, rawKind(f), f)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // nothing is left to lose
	if _, err := out.Write(icmpMessage(f, text)); err != nil {
		return err
	}
	buf := make([]byte, maxLine)
	for {
		n, source, err := in.ReadFrom(buf)
		if err != nil {
			return err
		}
		if source.(*net.IPAddr).IP.Equal(f.Src.AsSlice()) && isCopy(buf[:n], f, text) {
			return nil
		}
	}
}
