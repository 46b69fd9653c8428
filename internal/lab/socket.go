package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// allowAnySource lets a socket use every address of the host's nets, which no
// interface lists.
func allowAnySource(network, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		s := int(fd)
		if strings.Contains(network, "6") && !strings.HasPrefix(network, "ip4") {
			err = unix.SetsockoptInt(s, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		} else {
			err = unix.SetsockoptInt(s, unix.SOL_IP, unix.IP_FREEBIND, 1)
		}
		if err == nil && strings.HasPrefix(network, "tcp") {
			// A client may connect from a port on which its own host listens.
			err = unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
	})
	return errors.Join(controlErr, err)
}

// shareSource is allowAnySource for clients: several may also have one source
// port, as long as their destinations differ.
func shareSource(network, address string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})
	return errors.Join(controlErr, err, allowAnySource(network, address, c))
}

// localAddr returns the address to bind for a network of package net; nil leaves
// all to the kernel.
func localAddr(network string, a netip.AddrPort) net.Addr {
	if !a.Addr().IsValid() && a.Port() == 0 {
		return nil
	}
	switch network[:2] {
	case "tc":
		return net.TCPAddrFromAddrPort(a)
	case "ud":
		return net.UDPAddrFromAddrPort(a)
	}
	return &net.IPAddr{IP: a.Addr().AsSlice()}
}

// networkOf returns a network of package net for the address's family: "tcp4".
func networkOf(kind string, a netip.Addr) string {
	if a.Is4() {
		return kind + "4"
	}
	return kind + "6"
}

// rawNetwork is networkOf for an IP protocol number: "ip4:47".
func rawNetwork(protocol uint8, a netip.Addr) string {
	return fmt.Sprintf("%s:%d", networkOf("ip", a), protocol)
}

// askDestination makes a packet socket tell to which address a packet was sent,
// in control messages that answers can be sent with: see answerFrom.
func askDestination(c syscall.Conn, is4 bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		if is4 {
			setErr = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_PKTINFO, 1)
		} else {
			setErr = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	})
	return errors.Join(err, setErr)
}

// answerFrom turns the control messages that came with a packet into those that
// send the answer from the address that the packet was sent to.
func answerFrom(received []byte) []byte {
	messages, err := syscall.ParseSocketControlMessage(received)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[8:12])})
		case m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(m.Data[:16])})
		}
	}
	return nil
}
