package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// follower reads one kind: all that is there, and then what changes, again and
// again from where it was, or from the beginning if the server no longer knows that.
type follower struct {
	*gather
	client *client
	state  *state
	log    *slog.Logger
	// vanished is called when the server does not know the kind.
	vanished func()

	version string // up to which everything is known; empty: all has to be read
	lists   bool   // the server cannot begin a stream with what is there
}

// errSilent is why a stream is given up on which the server never said that it
// had sent everything.
var errSilent = errors.New("the server does not say that it has sent all objects")

// errNoAnswer is why a request is given up.
var errNoAnswer = errors.New("no answer to a request")

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	p := pause{min: f.timing.retryMin, max: f.timing.retryMax}
	for {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= f.timing.settle {
			p.reset()
		}
		switch {
		case err == nil:
			continue
		case isExpired(err) && f.version != "":
			f.version = ""
			f.log.Debug("versions that were not read yet are gone; reading all anew", "kind", f.state.kind.FullResource())
		case apierrors.IsNotFound(err):
			f.vanished()
			fallthrough
		default:
			f.fail(f.state, err)
			f.log.Debug("cannot be read", "kind", f.state.kind.FullResource(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(p.step(), min(retryAfter(err), time.Minute))):
		}
	}
}

// session reads all objects if it has to, and then events until the stream ends,
// which is no error if it had begun well.
func (f *follower) session(ctx context.Context) error {
	if f.version == "" && f.lists {
		if err := f.list(ctx); err != nil {
			return err
		}
	}
	lasting := jitter(f.timing.lasting)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	open := time.AfterFunc(f.timing.open, func() { cancel(errNoAnswer) })
	body, err := f.client.watch(ctx, f.state.kind, f.version, lasting)
	if !open.Stop() && err == nil {
		err = errNoAnswer
	}
	if err != nil && f.version == "" && isNoWatchList(err) {
		f.log.Debug("no stream of all objects; reading lists", "kind", f.state.kind.FullResource(), "error", err)
		f.lists = true
		return nil
	}
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { _ = body.Close() }()
	// The server ends the stream; should it forget to, we do.
	overdue := time.AfterFunc(lasting+time.Minute, func() { cancel(nil) })
	defer overdue.Stop()
	settled := time.AfterFunc(f.timing.settle, func() { f.well(f.state) })
	defer settled.Stop()
	began := time.Now()
	err = f.events(ctx, newFrames(body), cancel)
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		f.log.Debug("no end of the present objects; reading lists", "kind", f.state.kind.FullResource())
		f.lists = true
		return nil
	case isCut(err) && time.Since(began) >= f.timing.settle:
		return nil
	}
	return err
}

func causeOf(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errNoAnswer) {
		return errNoAnswer
	}
	return err
}

// events takes events in until the stream ends, and gives why it did.
func (f *follower) events(ctx context.Context, frames *frames, cancel context.CancelCauseFunc) error {
	initial := f.version == ""
	silent := time.AfterFunc(f.timing.idle, func() { cancel(errSilent) })
	defer silent.Stop()
	if initial {
		f.begin(f.state)
	} else {
		silent.Stop()
	}
	for first := true; ; first = false {
		kind, data, enc, err := frames.next()
		if err != nil {
			return err
		}
		silent.Stop()
		id, err := f.event(ctx, kind, data, enc, time.Now())
		if err != nil {
			return err
		}
		if first {
			f.well(f.state)
		}
		if initial && id.endOfInitial {
			f.end(f.state, time.Now())
			f.log.Debug("read", "kind", f.state.kind.FullResource())
			initial = false
		}
		switch {
		case initial:
			silent.Reset(f.timing.idle)
		case id.resourceVersion != "":
			f.version = id.resourceVersion
		}
	}
}

// event takes one event in.
func (f *follower) event(ctx context.Context, kind watch.EventType, data []byte, enc encoding, received time.Time) (identity, error) {
	if kind == watch.Added || kind == watch.Modified {
		o, err := f.state.decoder.decode(data, enc)
		if err != nil {
			return identity{}, &garbled{fmt.Errorf("an object %w", err)}
		}
		f.news(ctx, f.state, o, received)
		return o.identity, nil
	}
	id, err := identify(data, enc)
	if err == nil && kind == watch.Deleted && id.name == "" {
		err = errors.New("has no name")
	}
	if err != nil {
		return identity{}, &garbled{fmt.Errorf("an object %w", err)}
	}
	if kind == watch.Deleted {
		f.gone(f.state, id, received)
	}
	return id, nil
}

// list reads all objects by pages.
func (f *follower) list(ctx context.Context) error {
	f.begin(f.state)
	next := ""
	for {
		p, err := f.client.list(ctx, f.state.kind, "", next)
		if err != nil {
			return err
		}
		received := time.Now()
		for _, item := range p.items {
			o, err := f.state.decoder.decode(item, p.enc)
			if err != nil {
				return &garbled{fmt.Errorf("an object %w", err)}
			}
			f.news(ctx, f.state, o, received)
		}
		if next = p.next; next == "" {
			f.well(f.state)
			f.end(f.state, received)
			f.version = p.version
			return nil
		}
	}
}
