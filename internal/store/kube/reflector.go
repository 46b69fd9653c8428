package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/tierwall/tierwall/internal/backoff"
)

// reflector reads one kind: all that is there, and then what changes, again and
// again from where it was, or from the beginning if the server no longer knows that.
type reflector struct {
	*coalescer
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

// run reads until the context ends.
func (r *reflector) run(ctx context.Context) {
	pause := backoff.Backoff{Min: r.timing.retryMin, Max: r.timing.retryMax}
	for {
		began := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= r.timing.settle {
			pause.Reset()
		}
		switch {
		case err == nil:
			continue
		case isExpired(err) && r.version != "":
			r.version = ""
			r.log.Debug("versions that were not read yet are gone; reading all anew", "kind", r.state.kind.FullResource())
		case apierrors.IsNotFound(err):
			r.vanished()
			fallthrough
		default:
			r.fail(r.state, err)
			r.log.Debug("cannot be read", "kind", r.state.kind.FullResource(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(backoff.Jitter(pause.Next()), min(retryAfter(err), time.Minute))):
		}
	}
}

// session reads all objects if it has to, and then events until the stream ends,
// which is no error if it had begun well.
func (r *reflector) session(ctx context.Context) error {
	if r.version == "" && r.lists {
		if err := r.list(ctx); err != nil {
			return err
		}
	}
	lasting := backoff.Jitter(r.timing.lasting)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	open := time.AfterFunc(r.timing.open, func() { cancel(errNoAnswer) })
	body, err := r.client.watch(ctx, r.state.kind, r.version, lasting)
	if !open.Stop() && err == nil {
		err = errNoAnswer
	}
	if err != nil && r.version == "" && isNoWatchList(err) {
		r.log.Debug("no stream of all objects; reading lists", "kind", r.state.kind.FullResource(), "error", err)
		r.lists = true
		return nil
	}
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { _ = body.Close() }()
	// The server ends the stream; should it forget to, we do.
	overdue := time.AfterFunc(lasting+time.Minute, func() { cancel(nil) })
	defer overdue.Stop()
	settled := time.AfterFunc(r.timing.settle, func() { r.well(r.state) })
	defer settled.Stop()
	began := time.Now()
	err = r.events(ctx, newFrames(body), cancel)
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		r.log.Debug("no end of the present objects; reading lists", "kind", r.state.kind.FullResource())
		r.lists = true
		return nil
	case isUnreachable(err) && time.Since(began) >= r.timing.settle:
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
func (r *reflector) events(ctx context.Context, frames *frames, cancel context.CancelCauseFunc) error {
	initial := r.version == ""
	silent := time.AfterFunc(r.timing.idle, func() { cancel(errSilent) })
	defer silent.Stop()
	if initial {
		r.begin(r.state)
	} else {
		silent.Stop()
	}
	for first := true; ; first = false {
		kind, data, enc, err := frames.next()
		if err != nil {
			return err
		}
		silent.Stop()
		id, err := r.event(ctx, kind, data, enc, time.Now())
		if err != nil {
			return err
		}
		if first {
			r.well(r.state)
		}
		if initial && id.endOfInitial {
			r.end(r.state, time.Now())
			r.log.Debug("read", "kind", r.state.kind.FullResource())
			initial = false
		}
		switch {
		case initial:
			silent.Reset(r.timing.idle)
		case id.resourceVersion != "":
			r.version = id.resourceVersion
		}
	}
}

// event takes one event in.
func (r *reflector) event(ctx context.Context, kind watch.EventType, data []byte, enc encoding, received time.Time) (identity, error) {
	if kind == watch.Added || kind == watch.Modified {
		o, err := r.state.decoder.decode(data, enc)
		if err != nil {
			return identity{}, &malformed{fmt.Errorf("an object %w", err)}
		}
		r.onUpdate(ctx, r.state, o, received)
		return o.identity, nil
	}
	id, err := identify(data, enc)
	if err == nil && kind == watch.Deleted && id.name == "" {
		err = errors.New("has no name")
	}
	if err != nil {
		return identity{}, &malformed{fmt.Errorf("an object %w", err)}
	}
	if kind == watch.Deleted {
		r.onDelete(r.state, id, received)
	}
	return id, nil
}

// list reads all objects by pages.
func (r *reflector) list(ctx context.Context) error {
	r.begin(r.state)
	next := ""
	for {
		p, err := r.client.list(ctx, r.state.kind, "", next)
		if err != nil {
			return err
		}
		received := time.Now()
		for _, item := range p.items {
			o, err := r.state.decoder.decode(item, p.enc)
			if err != nil {
				return &malformed{fmt.Errorf("an object %w", err)}
			}
			r.onUpdate(ctx, r.state, o, received)
		}
		if next = p.next; next == "" {
			r.well(r.state)
			r.end(r.state, received)
			r.version = p.version
			return nil
		}
	}
}
