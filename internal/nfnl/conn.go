package nfnl

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrInterrupted says that what was dumped changed meanwhile, so that the dump
// may hold a mix: dump again.
var ErrInterrupted = errors.New("changed while it was read")

// ErrTooLong says that a batch is larger than the socket's buffer may be.
var ErrTooLong = errors.New("the batch is larger than the socket's send buffer may be; " +
	"without CAP_NET_ADMIN in the first user namespace, net.core.wmem_max is the limit")

// Conn is a socket to nfnetlink. It is not safe for concurrent use.
type Conn struct {
	fd     int
	sndbuf int
	buf    []byte
}

const (
	receiveBuffer = 4 << 20 // of the socket: the answers to one batch
	datagram      = 1 << 17 // more than the kernel puts into one
	answerSeconds = 20
)

// Dial opens a socket in the network namespace that a file stands for, such as
// /run/netns/NAME; empty is the caller's.
func Dial(netns string) (*Conn, error) {
	if netns == "" {
		return open()
	}
	fd, err := unix.Open(netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", netns, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var c *Conn
	err = inNamespace(fd, func() error {
		c, err = open()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", netns, err)
	}
	return c, nil
}

// open opens a socket in the thread's network namespace.
func open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &Conn{fd: fd, buf: make([]byte, datagram)}
	if err := c.setUp(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) setUp() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	for _, option := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	tv := unix.Timeval{Sec: answerSeconds}
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	c.setBuffer(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	var err error
	c.sndbuf, err = unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return os.NewSyscallError("getsockopt", err)
}

// setBuffer asks for a buffer of n bytes, beyond the system's limit where that
// is allowed. It is not an error to get less: sending tells.
func (c *Conn) setBuffer(force, plain, n int) {
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, force, n) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, plain, n)
	}
}

// inNamespace runs f on a thread that is in another network namespace.
func inNamespace(netns int, f func() error) error {
	done := make(chan error)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and nobody
		// else gets a thread in the wrong namespace.
		runtime.LockOSThread()
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("setns", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Close closes the socket.
func (c *Conn) Close() error { return os.NewSyscallError("close", unix.Close(c.fd)) }

// Join makes the socket a listener to a multicast group; Receive gives what comes.
func (c *Conn) Join(group int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
}

// send sends all messages in one piece.
func (c *Conn) send(b []byte) error {
	// The kernel counts a datagram's bytes and some of its own against the buffer.
	if need := len(b) + 4096; need > c.sndbuf {
		c.setBuffer(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, need)
		c.sndbuf, _ = unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	}
	for {
		err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EMSGSIZE):
			return fmt.Errorf("%d bytes: %w", len(b), ErrTooLong)
		}
		return os.NewSyscallError("send", err)
	}
}

// Receive reads one datagram. It fails with EAGAIN if none comes in time, and
// with ENOBUFS if some were lost. The bytes are valid until the next call.
func (c *Conn) Receive() ([]byte, error) { return c.receive(0) }

func (c *Conn) receive(how int) ([]byte, error) {
	for {
		n, _, flags, from, err := unix.Recvmsg(c.fd, c.buf, nil, how)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, os.NewSyscallError("receive", err)
		case flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("receive: a datagram of more than %d bytes", len(c.buf))
		}
		if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 {
			continue // not from the kernel
		}
		return c.buf[:n], nil
	}
}

// Do sends messages, of which the last one asks for an answer (a batch, or one
// request with NLM_F_ACK), and waits for it. It gives the kernel's first error.
// Whatever else the kernel sends in between is handed to each, if not nil.
func (c *Conn) Do(w *Writer, last uint32, each func(Message) error) error {
	c.drain()
	if err := c.send(w.B); err != nil {
		return err
	}
	var first error
	wait := 0 // flags: for as long as it takes
	for done := false; !done; {
		b, err := c.receive(wait)
		if errors.Is(err, unix.ENOBUFS) {
			// More errors than the buffer holds: the batch failed. The kernel works
			// while a batch is sent, so the answers that are left are there already,
			// and the last one may be lost.
			first = errors.Join(first, err)
			wait = unix.MSG_DONTWAIT
			continue
		}
		if errors.Is(err, unix.EAGAIN) && first != nil {
			return first
		}
		if err != nil {
			return err
		}
		err = ParseMessages(b, func(h Header, body []byte) error {
			if h.Type != unix.NLMSG_ERROR {
				if each == nil {
					return nil
				}
				m, err := ParseMessage(h, body)
				if err != nil {
					return err
				}
				return each(m)
			}
			if err := parseError(h.Flags, h.Seq, body); err != nil && first == nil {
				first = err
			}
			done = done || h.Seq == last
			return nil
		})
		if err != nil {
			return err
		}
	}
	return first
}

// drain throws away answers to an earlier request that failed.
func (c *Conn) drain() {
	for {
		if _, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

// Dump sends one request with NLM_F_DUMP and hands out what comes. It returns
// ErrInterrupted if that may be a mix of two states.
func (c *Conn) Dump(w *Writer, each func(Message) error) error {
	c.drain()
	if err := c.send(w.B); err != nil {
		return err
	}
	var first error
	interrupted := false
	for done := false; !done; {
		b, err := c.Receive()
		if err != nil {
			return errors.Join(first, err)
		}
		err = ParseMessages(b, func(h Header, body []byte) error {
			interrupted = interrupted || h.Flags&unix.NLM_F_DUMP_INTR != 0
			switch h.Type {
			case unix.NLMSG_ERROR:
				done = true
				return parseError(h.Flags, h.Seq, body)
			case unix.NLMSG_DONE:
				done = true
				if len(body) >= 4 {
					return parseError(h.Flags&^flagAckTLVs, h.Seq, body)
				}
				return nil
			}
			if first != nil {
				return nil // read the rest, so that the socket is ready for the next
			}
			m, err := ParseMessage(h, body)
			if err == nil {
				err = each(m)
			}
			first = err
			return nil
		})
		if err != nil {
			return errors.Join(first, err)
		}
	}
	if first == nil && interrupted {
		return ErrInterrupted
	}
	return first
}

// InNamespace runs f on a thread that is in the network namespace that a file
// stands for; in the caller's if that is empty.
func InNamespace(netns string, f func() error) error {
	if netns == "" {
		return f()
	}
	fd, err := unix.Open(netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", netns, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return inNamespace(fd, f)
}
