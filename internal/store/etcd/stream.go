package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// The client's own watcher hides outages: it goes on at another member without
// a word, from a revision of its own counting. We want to see them, to say so,
// and to count ourselves, so the stream is spoken directly.

// stream takes changes in, from the revision after the present one, until the
// stream ends.
func (w *watcher) stream(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opening := time.AfterFunc(w.store.times.open, func() {
		err := w.store.diagnose(ctx)
		if err == nil {
			err = fmt.Errorf("no answer within %s", w.store.times.open)
		}
		cancel(err)
	})
	defer opening.Stop()
	watch, err := etcdserverpb.NewWatchClient(c.ActiveConnection()).
		// A member that is cut off from the others must not be listened to.
		Watch(clientv3.WithRequireLeader(ctx), grpc.MaxCallRecvMsgSize(maxMessage))
	if err == nil {
		err = watch.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{
			CreateRequest: &etcdserverpb.WatchCreateRequest{
				Key: []byte(w.store.root), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(w.store.root)),
				StartRevision: w.at.revision + 1, Fragment: true, ProgressNotify: true,
			},
		}})
	}
	var events []*mvccpb.Event
	var received time.Time // the first of them
	for err == nil {
		var resp *etcdserverpb.WatchResponse
		if resp, err = watch.Recv(); err != nil {
			break
		}
		if len(events) == 0 {
			received = time.Now()
		}
		switch {
		case resp.CompactRevision != 0:
			return errCompacted
		case resp.Canceled:
			return w.store.plain(canceled(resp.CancelReason))
		case resp.Created:
			if !opening.Stop() {
				return context.Cause(ctx)
			}
			err = w.opened(ctx, c, resp.Header)
		case len(resp.Events) == 0:
			// All up to here is known, so that an idle time is no reason to read anew.
			w.at.revision = max(w.at.revision, resp.Header.Revision)
		default:
			if events = append(events, resp.Events...); resp.Fragment {
				continue // a part of a step: taking it in would show a state that never was
			}
			err = w.take(events, received)
			events = nil
		}
	}
	if ended, ok := errors.AsType[deliverError](err); ok {
		return ended
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return w.store.plain(err)
}

// canceled makes an error of the reason for which etcd ends a watch.
func canceled(reason string) error {
	if reason == "" {
		reason = "etcd has ended the watch"
	}
	return errors.New(reason)
}

// opened makes sure that the watch goes on where the state is.
func (w *watcher) opened(ctx context.Context, c *clientv3.Client, h *etcdserverpb.ResponseHeader) error {
	if h.ClusterId == w.at.cluster && h.Revision >= w.at.revision {
		return w.back()
	}
	// A member may lag behind the one that we read from. All of them together
	// cannot, unless this is a state from before, out of a backup.
	var now header
	err := w.store.request(ctx, func(ctx context.Context) error {
		resp, err := c.Get(ctx, w.store.root, clientv3.WithCountOnly())
		if err == nil {
			now = header{resp.Header.Revision, resp.Header.ClusterId}
		}
		return err
	})
	if err != nil {
		return err
	}
	if now.cluster != w.at.cluster || now.revision < w.at.revision {
		w.store.opts.Log.Warn("etcd is another one now, or restored from a backup: reading it anew", "store", w.store.String())
		w.at = header{}
		return errRestored
	}
	return w.back()
}

var errRestored = errors.New("it is another etcd now, or one restored from a backup")

// take takes changes in and delivers them.
func (w *watcher) take(events []*mvccpb.Event, received time.Time) error {
	batch := w.state.apply(w.store, events)
	batch.Received = received
	w.at.revision = events[len(events)-1].Kv.ModRevision
	w.state.at = w.at
	if err := w.send(batch); err != nil {
		return err
	}
	if err := w.store.limits.check(len(w.state.known), w.state.total); err != nil {
		w.at = header{} // what is too much is read again, until it is not
		return err
	}
	return nil
}
