package nfnl

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is a socket to which the kernel sends on its own account: packets that wait in
// a queue or that are logged. What it is to send is asked for with Request, before the
// first Receive. Receive is for one goroutine; Send and Close may be called by any.
type Listener struct {
	file *os.File // non-blocking, so that Close and a deadline end a Receive
	buf  []byte
	mu   sync.Mutex // of Send
	idle func(bool)
}

// ListenerConfig says how a listener is opened.
type ListenerConfig struct {
	// NetNS is a file that stands for a network namespace; empty is the caller's.
	NetNS string
	// Buffer is how many bytes the socket holds; 0 is the system's default.
	Buffer int
	// QuietLoss says that what the socket cannot hold is no error of Receive.
	QuietLoss bool
	// Idle, if not nil, is told by Receive at each look whether all has been received.
	Idle func(bool)
}

// Listen opens a listener.
func Listen(c ListenerConfig) (*Listener, error) {
	l := &Listener{buf: make([]byte, datagram), idle: c.Idle}
	if l.idle == nil {
		l.idle = ignore
	}
	err := InNamespace(c.NetNS, func() error {
		fd, err := openSocket(c.Buffer)
		if err != nil {
			return err
		}
		if c.QuietLoss {
			_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1)
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			_ = unix.Close(fd)
			return os.NewSyscallError("fcntl", err)
		}
		l.file = os.NewFile(uintptr(fd), "nfnetlink")
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func ignore(bool) {}

// Join has the kernel send what it tells a multicast group, such as the changes of tables.
func (l *Listener) Join(group int) error { return l.setGroup(unix.NETLINK_ADD_MEMBERSHIP, group) }

// Leave ends what Join began; what the socket holds already is still received.
func (l *Listener) Leave(group int) error { return l.setGroup(unix.NETLINK_DROP_MEMBERSHIP, group) }

func (l *Listener) setGroup(option, group int) error {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, option, group)
	})
	return errors.Join(err, os.NewSyscallError("setsockopt", failed))
}

// Request sends one message with NLM_F_ACK and waits for the kernel's answer.
func (l *Listener) Request(w *Writer) error {
	if err := l.Send(w); err != nil {
		return err
	}
	if err := l.file.SetReadDeadline(time.Now().Add(answerSeconds * time.Second)); err != nil {
		return err
	}
	defer func() { _ = l.file.SetReadDeadline(time.Time{}) }()
	for answered := false; !answered; {
		b, err := l.receive(ignore)
		if err != nil {
			return err
		}
		err = ParseMessages(b, func(h Header, body []byte) error {
			if h.Type != unix.NLMSG_ERROR {
				return nil
			}
			answered = true
			return parseError(h.Flags, h.Seq, body)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Send sends messages to which there is no answer.
func (l *Listener) Send(w *Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := l.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Write(func(fd uintptr) bool {
		failed = unix.Sendto(int(fd), w.B, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("send", failed)
}

// Receive waits for one datagram and hands out its messages; answers to what was sent are
// not among them. It fails with ENOBUFS if the socket could not hold all, with
// os.ErrDeadlineExceeded after SetDeadline, and with os.ErrClosed once it is closed.
// What a message holds is valid until the next call.
func (l *Listener) Receive(each func(Header, Message) error) error {
	b, err := l.receive(l.idle)
	if err != nil {
		return err
	}
	return ParseMessages(b, func(h Header, body []byte) error {
		if h.Type == unix.NLMSG_ERROR {
			return nil
		}
		m, err := ParseMessage(h, body)
		if err != nil {
			return err
		}
		return each(h, m)
	})
}

func (l *Listener) receive(idle func(bool)) ([]byte, error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var n int
	var failed error
	if err := raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Recvfrom(int(fd), l.buf, unix.MSG_DONTWAIT)
		none := errors.Is(failed, unix.EAGAIN)
		idle(none)
		return !none && !errors.Is(failed, unix.EINTR)
	}); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, os.NewSyscallError("receive", failed)
	}
	return l.buf[:n], nil
}

// SetDeadline ends a Receive that waits then; the zero time ends none.
func (l *Listener) SetDeadline(t time.Time) error { return l.file.SetReadDeadline(t) }

// Close closes the socket.
func (l *Listener) Close() error { return l.file.Close() }
