package cni

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// errHungUp is the cause of the end of a request whose plugin has gone: the runtime has
// given it up.
var errHungUp = errors.New("the plugin has hung up")

// lateError is the cause of the end of a request that has waited for so long.
type lateError time.Duration

func (e lateError) Error() string {
	return fmt.Sprintf("not done within %s", time.Duration(e).Round(time.Millisecond))
}

func (lateError) Is(target error) bool { return target == context.DeadlineExceeded } //nolint:errorlint // it is what Is compares

// handle answers one plugin.
func (s *Server) handle(ctx context.Context, conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	begin := time.Now()
	if err := wire.CheckPeer(conn); err != nil {
		s.cfg.Log.Warn("a process may not ask as a CNI plugin", "error", err)
		return
	}
	// Who is silent when the server ends is not waited for.
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_ = conn.SetReadDeadline(begin.Add(requestTimeout))
	q, err := wire.ReadRequest(conn)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			return
		}
		s.cfg.Log.Warn("a request of the CNI plugin is refused", "error", err)
		s.reply(conn, wire.Refuse(wire.Invalid, err))
		return
	}
	waiting, stop := s.untilHungUp(ctx, conn, q.Wait())
	defer stop()
	err = s.do(waiting, q)
	reply := wire.Reply{Version: wire.Version}
	if err != nil {
		reply = wire.Refuse(kindOf(waiting, err), err)
		s.logRefused(q, err)
	}
	s.reply(conn, reply)
	if s.cfg.Observe != nil {
		s.cfg.Observe(string(q.Op), time.Since(begin), err)
	}
}

// untilHungUp returns a context that ends when the answer is of no use any more: after
// a time, or when the plugin is gone.
func (s *Server) untilHungUp(served context.Context, conn *net.UnixConn, wait time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(served)
	ctx, cancelLate := context.WithTimeoutCause(ctx, wait, lateError(wait))
	_ = conn.SetReadDeadline(time.Time{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A plugin says nothing more, so that this ends when it is gone, or when stop is called.
		_, _ = conn.Read(make([]byte, 1))
		if served.Err() != nil {
			cancel(context.Cause(served)) // handle has ended the read
			return
		}
		cancel(errHungUp)
	}()
	return ctx, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-done
		cancelLate()
	}
}

func (s *Server) reply(conn *net.UnixConn, reply wire.Reply) {
	_ = conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	_ = wire.Write(conn, reply) // an error is the plugin's, which is gone
}

// do does what a request asks for.
func (s *Server) do(ctx context.Context, q *wire.Request) error {
	switch q.Op {
	case wire.Add:
		return s.pods.add(ctx, *q.Pod, q.Keep)
	case wire.Del:
		return s.pods.del(ctx, *q.Attachment)
	case wire.Check:
		return s.pods.check(ctx, *q.Pod)
	case wire.GC:
		s.pods.collect(ctx, q.Network, q.Valid)
	case wire.Status:
	}
	return nil
}

// kindOf tells a plugin what to make of an error.
func kindOf(ctx context.Context, err error) wire.Kind {
	switch {
	case errors.Is(context.Cause(ctx), ErrStopping), errors.Is(err, ErrStopping):
		return wire.Stopping
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Late
	}
	return wire.Failed
}

// logRefused says what a plugin was refused. A plugin that was let go will ask the next agent.
func (s *Server) logRefused(q *wire.Request, err error) {
	if errors.Is(err, ErrStopping) {
		return
	}
	log := s.cfg.Log.With("op", q.Op, "error", err)
	if q.Pod != nil {
		log = log.With("pod", q.Pod.PodID)
	}
	if q.Keep {
		log.Warn("a pod starts although its policy is not in the kernel, as failurePolicy open allows")
		return
	}
	log.Warn("the CNI plugin is refused: the pod is tried again")
}
