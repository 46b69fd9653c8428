// Package learn watches the answers of DNS servers on their way to clients, keeps
// what they state of names in use, and holds each answer up until that is in force.
//
// The answers wait in a queue of the kernel's. One goroutine reads them; the agent's
// loop asks with Flush what has changed for the model, and says with InForce that it
// is in the kernel. An answer that brings nothing new goes at once. None is held up
// for longer than a client would wait: whatever happens to the agent, names resolve.
package learn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/lasterror"
	"github.com/tierwall/tierwall/internal/nfqueue"
	"github.com/tierwall/tierwall/policy"
)

// Config says how a Learner works.
type Config struct {
	// NetNS is a file that stands for a network namespace; empty is the caller's.
	NetNS string
	// Queue is the number of the kernel's queue.
	Queue uint16
	// Journal is the file that keeps records from one agent to the next; empty: none.
	Journal string
	Limits  dns.Limits
	// MaxHold is how long an answer is held up at most.
	MaxHold time.Duration
	// News is called when Flush has something to say; it must not wait. It may be
	// called from any goroutine.
	News func()
	// Heartbeat is called often while answers are read, and as fast as they come: if it is
	// not, no more of them should wait here. Nil: nobody is told.
	Heartbeat func() error
	// HeartbeatInterval is how often; zero: a quarter of MaxHold.
	HeartbeatInterval time.Duration
	// Observe is told how long each answer waited that had to; nil: nobody is.
	Observe func(time.Duration)
	Log     *slog.Logger

	now func() time.Time
}

const (
	// DefaultQueue is a number that others are unlikely to use.
	DefaultQueue = 21553
	// DefaultMaxHold is well below the five seconds after which resolvers ask again.
	DefaultMaxHold = time.Second
	// maxWaiting is how many answers may wait; beyond that they pass unread.
	maxWaiting = 4096
	// maxHeld is how many of them are held up: the rest is for those that are not read yet.
	maxHeld = maxWaiting / 2
	// reopenPause is between two tries to open the queue.
	reopenPause = 2 * time.Second
)

// Stats sums up what a Learner did.
type Stats struct {
	dns.Counts
	Domains int // in use
	// Answers are the packets that were read; Useless those without addresses,
	// Malformed those that could not be read as messages.
	Answers, Useless, Malformed uint64
	// Delayed are those that had to wait, and Late those that went without what they
	// state being in force.
	Delayed, Late uint64
	// OverStreams are connections over TCP whose answers were not read, or not to their end,
	// since there are too many.
	OverStreams uint64
	// Lost are those that passed unread, since there was no room for them.
	Lost uint64
	// Waiting are held up at this moment.
	Waiting int
	// Failure is why answers are not read at present; empty if they are, or need not be.
	Failure string
	// Unsaved is why records are not kept for the next agent.
	Unsaved string
}

// Learner learns. Its methods may be called from any goroutine.
type Learner struct {
	cfg Config

	mu      sync.Mutex
	table   *dns.Table
	journal *dns.Journal
	stats   Stats
	queue   *nfqueue.Queue // nil while it is not open
	waiting waitingAnswers
	// namespaces are those of clients.
	namespaces map[netip.Addr]string
	// flushed is the generation of the last Flush, inForce what the kernel holds.
	flushed, inForce uint64
	restored         int
	failure          lasterror.Error // of reading answers, and of the heartbeat
	unsaved          lasterror.Error // of the journal

	// Of the reading goroutine.
	answer  dns.Answer
	streams dns.Streams
}

// New makes a Learner with what an earlier one has kept. That its file cannot be
// read is said in Stats: names are learned anew then.
func New(cfg Config) *Learner {
	if cfg.Limits == (dns.Limits{}) {
		cfg.Limits = dns.DefaultLimits
	}
	if cfg.MaxHold == 0 {
		cfg.MaxHold = DefaultMaxHold
	}
	if cfg.HeartbeatInterval == 0 {
		cfg.HeartbeatInterval = cfg.MaxHold / 4
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.News == nil {
		cfg.News = func() {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	l := &Learner{cfg: cfg, table: dns.NewTable(cfg.Limits)}
	if cfg.Journal == "" {
		return l
	}
	journal, saved, err := dns.OpenJournal(cfg.Journal)
	if err != nil {
		l.unsaved.Set(err)
		cfg.Log.Error("addresses that were learned before cannot be read; they are learned again when names are resolved", "error", err)
	}
	l.journal = journal
	l.table.Restore(saved, cfg.now())
	l.restored = l.table.Counts().Records
	return l
}

// Flush returns out how the learned sets of the model have changed.
func (l *Learner) Flush(change func(policy.Change)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed = l.table.Flush(change)
	l.save()
}

// Each yields all learned sets of the model, for a model that is made anew, what the
// next Flush would have said included: that sets are gone, too.
func (l *Learner) Each(yield func(policy.Change)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed = l.table.Flush(func(c policy.Change) {
		if c.Object == nil { // for who follows the sets beside that model
			yield(c)
		}
	})
	l.table.Each(yield)
	l.save()
}

// save writes down what is new. The caller holds mu.
func (l *Learner) save() {
	fresh := l.table.Fresh()
	if l.journal == nil {
		return
	}
	err := l.journal.Note(fresh, l.table.All)
	if began, _, _ := l.unsaved.Set(err); began {
		l.cfg.Log.Error("learned addresses are not kept for the next start", "error", err)
	}
}

// InForce says that the kernel holds what the last Flush or Each gave out. The
// answers that waited for it go.
func (l *Learner) InForce() {
	l.mu.Lock()
	l.inForce = l.flushed
	l.release(func(h *waitingAnswer) bool { return h.generation <= l.inForce })
}

// release lets those of the waiting go that are ready. The caller holds mu, which
// it gives back.
func (l *Learner) release(ready func(*waitingAnswer) bool) {
	now := l.cfg.now()
	var ids []uint32
	l.waiting.remove(ready, func(h *waitingAnswer) {
		ids = append(ids, h.id)
		if l.cfg.Observe != nil {
			l.cfg.Observe(now.Sub(h.since))
		}
	})
	q := l.queue
	l.mu.Unlock()
	if len(ids) > 0 && q != nil {
		l.accept(q, ids...)
	}
}

func (l *Learner) accept(q *nfqueue.Queue, ids ...uint32) {
	if err := q.Accept(ids...); err != nil && !errors.Is(err, os.ErrClosed) {
		l.cfg.Log.Warn("answers of DNS servers were not let go", "answers", len(ids), "error", err)
	}
}

// Restored returns how many records an earlier agent has left.
func (l *Learner) Restored() int { return l.restored }

// Stats sums up.
func (l *Learner) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Counts, s.Domains, s.Waiting = l.table.Counts(), l.table.Domains(), len(l.waiting.list)
	s.OverStreams = l.streams.Limited()
	s.Failure, s.Unsaved = l.failure.String(), l.unsaved.String()
	if l.queue != nil {
		s.Lost += l.queue.Lost()
	}
	return s
}

// Close closes the journal, with what was learned last. What Run holds ends with
// its context.
func (l *Learner) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.save()
	return l.journal.Close()
}

// Run reads answers until the context ends. While the queue cannot be opened, or
// read, answers pass without being learned; it is tried again.
func (l *Learner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.read(ctx)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		if began, _, _ := l.failure.Set(err); began {
			l.cfg.Log.Error("answers of DNS servers cannot be read, so the addresses of domains are not learned; trying again", "error", err)
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(reopenPause):
		}
	}
}

// read opens the queue and reads it until that fails or the context ends.
func (l *Learner) read(ctx context.Context) error {
	q, err := nfqueue.Open(l.cfg.NetNS, l.cfg.Queue, maxWaiting)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.queue = q
	l.failure.Set(nil)
	l.mu.Unlock()
	l.beat(q)
	done := make(chan struct{})
	go l.releaseExpired(ctx, q, done)
	for err == nil {
		err = q.Receive(func(p nfqueue.Packet) { l.packet(q, p) })
	}
	close(done)
	l.mu.Lock()
	l.stats.Lost += q.Lost()
	l.queue, l.waiting = nil, waitingAnswers{}
	l.mu.Unlock()
	return errors.Join(err, q.Close())
}

// releaseExpired lets answers go that have waited for too long, and closes the queue at the
// end, which ends the reading.
func (l *Learner) releaseExpired(ctx context.Context, q *nfqueue.Queue, done <-chan struct{}) {
	tick := time.NewTicker(l.cfg.HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// Those that wait are let go, not dropped: what they state will be known
			// to the next agent, from the journal.
			l.mu.Lock()
			l.release(func(*waitingAnswer) bool { return true })
			_ = q.Close() // the reader tells
			return
		case <-done:
			return
		case <-tick.C:
		}
		now := l.cfg.now()
		l.mu.Lock()
		l.release(func(h *waitingAnswer) bool {
			late := now.Sub(h.since) >= l.cfg.MaxHold
			if late {
				l.stats.Late++
			}
			return late
		})
		// That lock was to be had, and what waited has gone.
		l.beat(q)
	}
}

// Beat says at once that answers are read: after what lets them wait was made anew.
func (l *Learner) Beat() {
	l.mu.Lock()
	q := l.queue
	l.mu.Unlock()
	if q != nil && l.cfg.Heartbeat != nil {
		_ = l.cfg.Heartbeat() // said again soon, and what fails then is told
	}
}

// beat says that answers are read, unless they come faster than they are.
func (l *Learner) beat(q *nfqueue.Queue) {
	if l.cfg.Heartbeat == nil || !q.KeepsUp() {
		return
	}
	err := l.cfg.Heartbeat()
	l.mu.Lock()
	defer l.mu.Unlock()
	if began, _, _ := l.failure.Set(err); began {
		l.cfg.Log.Error("answers of DNS servers cannot be held up, so the addresses of domains are not learned; trying again", "error", err)
	}
}
