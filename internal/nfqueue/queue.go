// Package nfqueue takes packets out of a queue of the kernel's netfilter, and lets
// them go. The queue fails open: packets for which there is no room, or that come
// while nobody has opened it, pass. It knows nothing of what is in them.
package nfqueue

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// Queue is an open queue. Receive is for one goroutine; Accept may be called by any.
type Queue struct {
	number uint16
	file   *os.File // the socket, so that Close ends a Receive
	buf    []byte

	mu sync.Mutex
	w  nfnl.Writer

	idle  atomic.Bool   // everything has been received
	idled atomic.Uint64 // how often

	next atomic.Uint32 // the number of the packet that should come next
	lost atomic.Uint64

	seen uint64 // of idled, by KeepsUp
}

const (
	receiveBuffer = 8 << 20 // of the socket
	datagram      = 1 << 17 // more than a packet of 65535 bytes and what is said of it
)

// Open opens a queue in the network namespace that a file stands for; empty is the
// caller's. room is how many packets may wait at most. It needs CAP_NET_ADMIN, and
// fails with EBUSY if another process has the queue.
func Open(netns string, number uint16, room int) (*Queue, error) {
	var q *Queue
	err := nfnl.InNamespace(netns, func() (err error) {
		q, err = open(number, room)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netfilter queue %d: %w", number, err)
	}
	return q, nil
}

func open(number uint16, room int) (*Queue, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := configure(fd, number, room); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	q := &Queue{number: number, file: os.NewFile(uintptr(fd), "netfilter queue"), buf: make([]byte, datagram)}
	q.next.Store(1)
	q.idle.Store(true)
	return q, nil
}

func configure(fd int, number uint16, room int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	// What does not fit passes: that is no error to be told at every look.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	for _, write := range []func(*nfnl.Writer){
		func(w *nfnl.Writer) { writeBind(w, number) },
		func(w *nfnl.Writer) { writeConfig(w, number, uint32(room)) }, //nolint:gosec // some thousands
	} {
		var w nfnl.Writer
		write(&w)
		if err := ask(fd, w.B); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one message and waits for its acknowledgement.
func ask(fd int, message []byte) error {
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("send", err)
	}
	buf := make([]byte, datagram)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("receive", err)
		}
		answered, err := nfnl.ParseAnswer(buf[:n])
		if err != nil || answered {
			return err
		}
	}
}

// Receive waits for packets and hands them out. It fails with os.ErrClosed once the
// queue is closed.
func (q *Queue) Receive(each func(Packet)) error {
	raw, err := q.file.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var rerr error
	if err := raw.Read(func(fd uintptr) bool {
		n, _, rerr = unix.Recvfrom(int(fd), q.buf, unix.MSG_DONTWAIT)
		if none := errors.Is(rerr, unix.EAGAIN); none {
			q.idled.Add(1)
			q.idle.Store(true)
		} else {
			q.idle.Store(false)
		}
		return !errors.Is(rerr, unix.EAGAIN) && !errors.Is(rerr, unix.EINTR)
	}); err != nil {
		return err
	}
	if errors.Is(rerr, unix.ENOBUFS) {
		return nil
	}
	if rerr != nil {
		return os.NewSyscallError("receive", rerr)
	}
	return parse(q.buf[:n], func(p Packet) {
		// The kernel counts packets, those as well that the socket had no room for.
		if missed := p.ID - q.next.Load(); missed > 0 && missed < 1<<31 {
			q.lost.Add(uint64(missed))
		}
		q.next.Store(p.ID + 1)
		each(p)
	})
}

// Accept lets packets go. A packet that is gone already is passed over.
func (q *Queue) Accept(ids ...uint32) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	const most = 512 // of one system call
	for len(ids) > 0 {
		n := min(len(ids), most)
		q.w.Reset()
		for _, id := range ids[:n] {
			writeVerdict(&q.w, q.number, id)
		}
		ids = ids[n:]
		raw, err := q.file.SyscallConn()
		if err != nil {
			return err
		}
		var serr error
		if err := raw.Write(func(fd uintptr) bool {
			serr = unix.Sendto(int(fd), q.w.B, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
			return !errors.Is(serr, unix.EAGAIN) && !errors.Is(serr, unix.EINTR)
		}); err != nil {
			return err
		}
		if serr != nil {
			return os.NewSyscallError("send", serr)
		}
	}
	return nil
}

// KeepsUp reports whether at some moment since the last call everything had been
// received, or is now: whoever reads the queue does, and fast enough. Only one
// goroutine may call it.
func (q *Queue) KeepsUp() bool {
	n := q.idled.Load()
	was := q.seen
	q.seen = n
	return n != was || q.idle.Load()
}

// Lost returns how many packets passed because the socket had no room for them.
func (q *Queue) Lost() uint64 { return q.lost.Load() }

// Close closes the queue. The kernel drops the packets that wait; those that come
// later pass.
func (q *Queue) Close() error { return q.file.Close() }
