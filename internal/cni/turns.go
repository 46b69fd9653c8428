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

// turns lets one request at a time work on an attachment.
type turns struct {
	mu   sync.Mutex
	held map[wire.Attachment]*turn
}

// turn is one request's.
type turn struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// take waits for the turn of the caller, which ends with release, and interrupts the request
// that is at work, if there is one. The context that it gives ends when the
// next one interrupts. It fails only if the caller's context ends first.
func (t *turns) take(ctx context.Context, a wire.Attachment) (mine context.Context, release func(), err error) {
	mine, cancel := context.WithCancelCause(ctx)
	me := &turn{cancel: cancel, done: make(chan struct{})}
	for {
		before := t.put(a, me)
		if before == nil {
			break
		}
		before.cancel(errSuperseded)
		select {
		case <-before.done:
		case <-ctx.Done():
			err := context.Cause(ctx)
			cancel(err)
			return nil, nil, err
		}
	}
	return mine, func() {
		t.mu.Lock()
		delete(t.held, a)
		t.mu.Unlock()
		close(me.done)
		cancel(context.Canceled)
	}, nil
}

// put returns the turn to me if it is free, and otherwise says whose it is.
func (t *turns) put(a wire.Attachment, me *turn) (before *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before = t.held[a]; before == nil {
		if t.held == nil {
			t.held = make(map[wire.Attachment]*turn)
		}
		t.held[a] = me
	}
	return before
}
