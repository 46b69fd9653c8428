package nft

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// A process that hangs holds its queue open, and all that is put into it. So answers
// are queued only while their reader says, again and again, that it is at work: by a
// packet that a chain of ours takes. The packet puts an element into a set that lets
// answers be queued, and which the kernel forgets when no further packet comes. That
// is no change of the tables, which would cost whoever reads them.
const (
	// HeartbeatInterval is how often a reader of answers should say that it is at work.
	HeartbeatInterval = 250 * time.Millisecond
	// heartbeatSpan is how long answers go on being queued without that. Resolvers ask
	// again after some seconds.
	heartbeatSpan = 8 * HeartbeatInterval
	// heartbeatMark marks the packets that say so. Only who may administer the network
	// can set a mark.
	heartbeatMark = 0x74775053
	// readerCapacity is how many elements may be in the set: one, and those that have
	// expired and are not cleared away yet.
	readerCapacity = 64
	// readerSet is the set.
	readerSet = "reader"
)

// heartbeatRule takes the packets of a Heartbeat.
func heartbeatRule() codec.Rule {
	mark := make([]byte, 4)
	codec.PutNativeUint32(mark, heartbeatMark)
	return when(join(
		[]codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaMark}, is(mark...)},
		isProtocol(policy.UDP),
		anyPacket(),
		[]codec.Expr{{Kind: codec.Refresh, Register: codec.Reg1, Set: readerSet, Key: uint32(heartbeatSpan.Milliseconds())}},
	), drop)
}

// isRead matches while the queue has a reader that is at work.
func isRead() []codec.Expr { return append(anyPacket(), inSet(readerSet)) }

// anyPacket loads a byte that is the same for all packets: the key of the set's one
// element.
func anyPacket() []codec.Expr {
	return []codec.Expr{
		{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto},
		{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 1, Data: "\x00"},
	}
}

// Heartbeat says that the reader of answers is at work. Its methods may be called from
// any goroutine.
type Heartbeat struct {
	mu sync.Mutex
	fd int // -1: closed
}

// OpenHeartbeat opens one in the network namespace that a file stands for; empty is the
// caller's. It needs CAP_NET_ADMIN there.
func OpenHeartbeat(netns string) (*Heartbeat, error) {
	p := &Heartbeat{fd: -1}
	err := nfnl.InNamespace(netns, func() (err error) {
		if p.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_MARK, heartbeatMark)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("heartbeat of the reader of DNS answers: %w", err), p.Close())
	}
	return p, nil
}

// Beat lets answers be queued for two seconds more; there should be one in each
// HeartbeatInterval. Without the table for answers nothing happens.
func (p *Heartbeat) Beat() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return nil
	}
	const discard = 9 // where the packet would go if nobody took it
	err := unix.Sendto(p.fd, nil, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: discard})
	if err == nil || errors.Is(err, unix.EPERM) { // taken by the chain
		return nil
	}
	return fmt.Errorf("heartbeat of the reader of DNS answers: %w", err)
}

// Close ends it.
func (p *Heartbeat) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return nil
	}
	fd := p.fd
	p.fd = -1
	return unix.Close(fd)
}
