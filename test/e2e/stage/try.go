package stage

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// Try makes one connection, and has an error if nothing is answered in the time: "tcp", "udp", or "icmp" for an echo. The
// source has port 0 for one that the kernel chooses.
func Try(where Place, protocol string, from, to netip.AddrPort, wait time.Duration) error {
	if protocol == "icmp" {
		return echo(where, from.Addr(), to.Addr(), wait)
	}
	d := net.Dialer{Timeout: wait}
	if from.Port() != 0 {
		d.Control = reusePort
	}
	d.SetMultipathTCP(false)
	if protocol == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	} else {
		d.LocalAddr = net.UDPAddrFromAddrPort(from)
	}
	var conn net.Conn
	err := where.Do(func() (err error) {
		conn, err = d.Dial(protocol, to.String())
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that the port is free at once
	}
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 16))
	return err
}

// reusePort lets sockets share a port, and use it again at once.
func reusePort(_, _ string, c syscall.RawConn) (err error) {
	controlled := c.Control(func(fd uintptr) {
		for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1))
		}
	})
	return errors.Join(controlled, err)
}

var echoes atomic.Uint32

// echo sends one echo request.
func echo(where Place, from, to netip.Addr, wait time.Duration) error {
	var conn net.PacketConn
	err := where.Do(func() (err error) {
		conn, err = net.ListenPacket("ip4:icmp", from.String())
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	request := []byte{8, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(request[4:], uint16(os.Getpid()))
	binary.BigEndian.PutUint16(request[6:], uint16(echoes.Add(1)))
	var sum uint32
	for i := 0; i < len(request); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(request[i:]))
	}
	binary.BigEndian.PutUint16(request[2:], ^uint16(sum+sum>>16))
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	answer := make([]byte, 512)
	for {
		n, _, err := conn.ReadFrom(answer)
		if err != nil {
			return err
		}
		if n >= 8 && answer[0] == 0 && slices.Equal(answer[4:8], request[4:8]) {
			return nil
		}
	}
}

// RelabelPod returns a pod these labels, and no others.
func (s *Space) RelabelPod(name string, labels map[string]string) {
	s.t.Helper()
	pods := s.Client.CoreV1().Pods(s.Name)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		ctx, cancel := context.WithTimeout(s.t.Context(), Patience)
		defer cancel()
		var p *corev1.Pod
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil || maps.Equal(p.Labels, labels) {
			return err
		}
		p.Labels = labels
		_, err = pods.Update(ctx, p, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		s.t.Fatalf("labels of pod %s: %v", name, err)
	}
}
