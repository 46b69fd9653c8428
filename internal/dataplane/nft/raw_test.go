package nft

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
)

// udp makes a UDP packet with whatever source.
func udp(src, dst netip.AddrPort, payload string) []byte {
	u := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(u[0:], src.Port())
	binary.BigEndian.PutUint16(u[2:], dst.Port())
	binary.BigEndian.PutUint16(u[4:], uint16(8+len(payload)))
	u = append(u, payload...)
	binary.BigEndian.PutUint16(u[6:], checksum(src.Addr(), dst.Addr(), unix.IPPROTO_UDP, u))
	if src.Addr().Is4() {
		h := make([]byte, 20)
		h[0], h[8], h[9] = 0x45, 64, unix.IPPROTO_UDP
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(u)))
		copy(h[12:], src.Addr().AsSlice())
		copy(h[16:], dst.Addr().AsSlice())
		return append(h, u...) // the kernel fills in the header's checksum
	}
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, unix.IPPROTO_UDP, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(u)))
	copy(h[8:], src.Addr().AsSlice())
	copy(h[24:], dst.Addr().AsSlice())
	return append(h, u...)
}

// checksum is that of UDP and ICMPv6, with the addresses.
func checksum(src, dst netip.Addr, protocol byte, body []byte) uint16 {
	all := append(append(src.AsSlice(), dst.AsSlice()...), 0, protocol, byte(len(body)>>8), byte(len(body)))
	all = append(all, body...)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	sum := uint32(0)
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// sendRaw sends an IP packet from a host.
func sendRaw(t *testing.T, h *lab.Host, packet []byte) {
	t.Helper()
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if packet[0]>>4 == 4 {
		to = &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte(packet[24:40])}
	}
	err := h.Do(func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Sendto(fd, packet, 0, to)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sendFrame sends an Ethernet frame from a host to everyone.
func sendFrame(t *testing.T, h *lab.Host, etherType uint16, body []byte) {
	t.Helper()
	err := h.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		var protocol [2]byte
		binary.BigEndian.PutUint16(protocol[:], etherType)
		return unix.Sendto(fd, body, 0, &unix.SockaddrLinklayer{
			Ifindex: eth0.Index, Protocol: binary.NativeEndian.Uint16(protocol[:]), Halen: 6,
			Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
