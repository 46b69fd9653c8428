package nfnl

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInterrupted says that what was dumped changed meanwhile, so that the dump
// may hold a mix: dump again.
var ErrInterrupted = errors.New("changed while it was read")

// ErrTooLong says that a batch is larger than the socket's buffer may be.
var ErrTooLong = errors.New("the batch is larger than the socket's send buffer may be; " +
	"without CAP_NET_ADMIN in the first user namespace, net.core.wmem_max is the limit")

// Conn is a socket for requests: batches and dumps, one after the other, each with its
// answer. It is not safe for concurrent use.
type Conn struct {
	fd     int
	sndbuf int
	buf    []byte
}

const receiveBuffer = 4 << 20 // of the socket: the answers to one batch

// Dial opens a socket in the network namespace that a file stands for, such as
// /run/netns/NAME; empty is the caller's.
func Dial(netns string) (*Conn, error) {
	c := &Conn{buf: make([]byte, datagram)}
	err := InNamespace(netns, func() (err error) {
		if c.fd, err = openSocket(receiveBuffer); err != nil {
			return err
		}
		if err := c.setUp(); err != nil {
			_ = unix.Close(c.fd)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Conn) setUp() error {
	tv := unix.Timeval{Sec: answerSeconds}
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	var err error
	c.sndbuf, err = unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	return os.NewSyscallError("getsockopt", err)
}

// Close closes the socket.
func (c *Conn) Close() error { return os.NewSyscallError("close", unix.Close(c.fd)) }

// send sends all messages in one piece.
func (c *Conn) send(b []byte) error {
	// The kernel counts a datagram's bytes and some of its own against the buffer.
	if need := len(b) + 4096; need > c.sndbuf {
		setBuffer(c.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, need)
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

// receive reads one datagram. It fails with EAGAIN if none comes in time, and
// with ENOBUFS if some were lost. The bytes are valid until the next call.
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
		b, err := c.receive(0)
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
