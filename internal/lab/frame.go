package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Types of Ethernet frames.
const (
	EtherIPv4 = unix.ETH_P_IP
	EtherIPv6 = unix.ETH_P_IPV6
	EtherARP  = unix.ETH_P_ARP
	EtherVLAN = unix.ETH_P_8021Q
	EtherQinQ = unix.ETH_P_8021AD
)

// Frame is an Ethernet frame, as it is on the link.
type Frame struct {
	// Dst is who it is for; nil is everybody. Src is nil for the host's own.
	Dst, Src net.HardwareAddr
	// Tags stand before the type, the outermost first.
	Tags []Tag
	// Type is that of the payload. Below 0x600 it is a length.
	Type    uint16
	Payload []byte
}

// Tag is a VLAN tag: EtherVLAN or EtherQinQ, and the VLAN's number.
type Tag struct{ Type, ID uint16 }

// IPFrame makes a frame with an IP packet for somebody.
func IPFrame(dst net.HardwareAddr, packet []byte) Frame {
	f := Frame{Dst: dst, Type: EtherIPv4, Payload: packet}
	if packet[0]>>4 == 6 {
		f.Type = EtherIPv6
	}
	return f
}

func (f Frame) bytes(own net.HardwareAddr) []byte {
	dst, src := f.Dst, f.Src
	if dst == nil {
		dst = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	if src == nil {
		src = own
	}
	b := append(append([]byte{}, dst...), src...)
	for _, t := range f.Tags {
		b = binary.BigEndian.AppendUint16(b, t.Type)
		b = binary.BigEndian.AppendUint16(b, t.ID)
	}
	b = binary.BigEndian.AppendUint16(b, f.Type)
	return append(b, f.Payload...)
}

// MAC returns the hardware address of the host's end of its link.
func (h *Host) MAC() (mac net.HardwareAddr, err error) {
	err = h.Do(func() error {
		i, err := net.InterfaceByName(hostInterface)
		if err == nil {
			mac = i.HardwareAddr
		}
		return err
	})
	return mac, err
}

// SendFrames sends frames from the host, in their order.
func (h *Host) SendFrames(frames ...Frame) error {
	err := h.Do(func() error {
		i, err := net.InterfaceByName(hostInterface)
		if err != nil {
			return err
		}
		fd, err := packetSocket(0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for _, f := range frames {
			if err := unix.Sendto(fd, f.bytes(i.HardwareAddr), 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lab: send frames from %s: %w", h.name, err)
	}
	return nil
}

// SendPackets sends IP packets from the host, with whatever source, by its own routes.
func (h *Host) SendPackets(packets ...[]byte) error {
	err := h.Do(func() error {
		for _, p := range packets {
			if err := sendPacket(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lab: send packets from %s: %w", h.name, err)
	}
	return nil
}

func sendPacket(packet []byte) error {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if packet[0]>>4 == 4 {
		to = &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte(packet[24:40])}
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if family == unix.AF_INET {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, packet, 0, to)
}

func packetSocket(protocol uint16) (int, error) {
	return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(networkOrder(protocol)))
}

// networkOrder returns a number whose bytes in memory are those of the network.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// Capture takes all frames that arrive at the host's link.
type Capture struct{ file *os.File }

// Capture begins to take frames. Close it after use.
func (h *Host) Capture() (*Capture, error) {
	var c *Capture
	err := h.Do(func() error {
		i, err := net.InterfaceByName(hostInterface)
		if err != nil {
			return err
		}
		fd, err := packetSocket(unix.ETH_P_ALL)
		if err != nil {
			return err
		}
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: i.Index, Protocol: networkOrder(unix.ETH_P_ALL)}),
			unix.SetNonblock(fd, true))
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		c = &Capture{os.NewFile(uintptr(fd), "frames of "+h.name)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lab: capture frames of %s: %w", h.name, err)
	}
	return c, nil
}

// Next returns the next frame. A tag that the kernel took off is not in it.
func (c *Capture) Next(patience time.Duration) ([]byte, error) {
	if err := c.file.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	b := make([]byte, 65536)
	n, err := c.file.Read(b)
	return b[:n], err
}

// Close ends it.
func (c *Capture) Close() error { return c.file.Close() }
