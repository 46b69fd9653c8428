package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// retryPause is the time between two tries to reach an agent: short beside what the
// start of a pod takes, and long beside what a try takes.
const retryPause = 50 * time.Millisecond

// replyMargin is by how much the agent's wait is shorter than the plugin's, so that
// its answer, which says what it waited for, arrives.
const replyMargin = 250 * time.Millisecond

// errUnreachable marks errors of Ask that mean that no agent has taken the request in.
var errUnreachable = errors.New("no agent answers")

// Unreachable reports whether Ask failed because there is no agent.
func Unreachable(err error) bool { return errors.Is(err, errUnreachable) }

// Ask sends the request to the agent at a socket and waits for the answer until the
// context ends. A yes is nil. A no is a *Refusal. All else means that there is no
// agent, or that it ended before it answered: nothing stays of the request then.
func Ask(ctx context.Context, socket string, q Request) error {
	q.Version = Version
	wait := MaxWait
	if end, ok := ctx.Deadline(); ok {
		wait = min(max(time.Until(end)-replyMargin, 0), MaxWait)
	}
	q.WaitMillis = wait.Milliseconds()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := CheckPeer(conn.(*net.UnixConn)); err != nil {
		return fmt.Errorf("%s: %w", socket, err)
	}
	if err := Write(conn, q); err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	reply, err := readReply(conn)
	if err != nil {
		return fmt.Errorf("answer of the agent: %w", err)
	}
	if reply.Error != nil {
		return reply.Error
	}
	return nil
}

// AskUntil is Ask again and again until an agent has answered or the context ends: an agent
// that is being replaced is away for a moment.
func AskUntil(ctx context.Context, socket string, q Request) error {
	for {
		err := Ask(ctx, socket, q)
		refusal, refused := errors.AsType[*Refusal](err)
		if err == nil || refused && refusal.Kind != Stopping {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryPause):
		}
	}
}
