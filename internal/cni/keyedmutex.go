package cni

import (
	"context"
	"errors"
	"sync"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// errSuperseded ends the wait of a request for an attachment that another request
// is about: its plugin was given up by the runtime, or its pod ends already.
var errSuperseded = errors.New("another request for the same sandbox has come")

// keyedMutex lets one request at a time work on an attachment. Unlike others of its kind
// it interrupts the one at work when another one comes.
type keyedMutex struct {
	mu      sync.Mutex
	holders map[wire.Attachment]*holder
}

// holder is the request at work.
type holder struct {
	interrupt context.CancelCauseFunc
	done      chan struct{}
}

// lock waits until the attachment is the caller's, which ends with unlock, and interrupts the
// request that is at work, if there is one. The context that it returns ends when the
// next one interrupts. It fails only if the caller's context ends first.
func (m *keyedMutex) lock(ctx context.Context, a wire.Attachment) (mine context.Context, unlock func(), err error) {
	mine, cancel := context.WithCancelCause(ctx)
	me := &holder{interrupt: cancel, done: make(chan struct{})}
	for {
		before := m.tryLock(a, me)
		if before == nil {
			break
		}
		before.interrupt(errSuperseded)
		select {
		case <-before.done:
		case <-ctx.Done():
			err := context.Cause(ctx)
			cancel(err)
			return nil, nil, err
		}
	}
	return mine, func() {
		m.mu.Lock()
		delete(m.holders, a)
		m.mu.Unlock()
		close(me.done)
		cancel(context.Canceled)
	}, nil
}

// tryLock makes the attachment mine if it is free, and otherwise returns whose it is.
func (m *keyedMutex) tryLock(a wire.Attachment, me *holder) (before *holder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before = m.holders[a]; before == nil {
		if m.holders == nil {
			m.holders = make(map[wire.Attachment]*holder)
		}
		m.holders[a] = me
	}
	return before
}
