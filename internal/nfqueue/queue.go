// Package nfqueue takes packets out of a queue of the kernel's netfilter, and lets
// them go. The queue fails open: packets for which there is no capacity, or that come
// while nobody has opened it, pass. It knows nothing of what is in them.
package nfqueue

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// Queue is an open queue. Receive is for one goroutine; Accept may be called by any.
type Queue struct {
	number   uint16
	listener *nfnl.Listener

	mu sync.Mutex
	w  nfnl.Writer

	idle  atomic.Bool   // everything has been received
	idled atomic.Uint64 // how often

	next atomic.Uint32 // the number of the packet that should come next
	lost atomic.Uint64

	seen uint64 // of idled, by KeepsUp
}

const receiveBuffer = 8 << 20 // of the socket

// Open opens a queue in the network namespace that a file stands for; empty is the
// caller's. capacity is how many packets may wait at most. It needs CAP_NET_ADMIN, and
// fails with EBUSY if another process has the queue.
func Open(netns string, number uint16, capacity int) (*Queue, error) {
	q := &Queue{number: number}
	if err := q.open(netns, uint32(capacity)); err != nil { //nolint:gosec // some thousands
		return nil, fmt.Errorf("netfilter queue %d: %w", number, err)
	}
	q.next.Store(1)
	q.idle.Store(true)
	return q, nil
}

func (q *Queue) open(netns string, capacity uint32) error {
	// What does not fit passes: that is no error to be told at every look.
	l, err := nfnl.Listen(nfnl.ListenerConfig{NetNS: netns, Buffer: receiveBuffer, QuietLoss: true, Idle: q.look})
	if err != nil {
		return err
	}
	for _, write := range []func(*nfnl.Writer){
		func(w *nfnl.Writer) { writeBind(w, q.number) },
		func(w *nfnl.Writer) { writeConfig(w, q.number, capacity) },
	} {
		var w nfnl.Writer
		write(&w)
		if err := l.Request(&w); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	q.listener = l
	return nil
}

// look notes whether a look at the socket has found nothing.
func (q *Queue) look(nothing bool) {
	if nothing {
		q.idled.Add(1)
	}
	q.idle.Store(nothing)
}

// Receive waits for packets and hands them out. It fails with os.ErrClosed once the
// queue is closed.
func (q *Queue) Receive(each func(Packet)) error {
	err := q.listener.Receive(func(h nfnl.Header, m nfnl.Message) error {
		p, err := parse(h, m)
		if err != nil {
			return err
		}
		// The kernel counts packets, those as well that the socket had no capacity for.
		if missed := p.ID - q.next.Load(); missed > 0 && missed < 1<<31 {
			q.lost.Add(uint64(missed))
		}
		q.next.Store(p.ID + 1)
		each(p)
		return nil
	})
	if errors.Is(err, unix.ENOBUFS) {
		return nil
	}
	return err
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
		if err := q.listener.Send(&q.w); err != nil {
			return err
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

// Lost returns how many packets passed because the socket had no capacity for them.
func (q *Queue) Lost() uint64 { return q.lost.Load() }

// Close closes the queue. The kernel drops the packets that wait; those that come
// later pass.
func (q *Queue) Close() error { return q.listener.Close() }
