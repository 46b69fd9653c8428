package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Snapshot is one state of the store, with what it takes to change it.
type Snapshot struct {
	store.Listing
	// Revisions holds the version of each object, also of those that could not be
	// read: what Write.Revision wants.
	Revisions map[policy.Key]int64
}

// List implements store.Source.
func (s *Store) List(ctx context.Context) (store.Listing, error) {
	snapshot, err := s.Snapshot(ctx)
	return snapshot.Listing, err
}

// Snapshot reads all objects, by kind and name. What is malformed is among the findings.
func (s *Store) Snapshot(ctx context.Context) (Snapshot, error) {
	c, err := s.signIn(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", s, err)
	}
	defer func() { _ = c.Close() }()
	kvs, _, err := s.readAll(ctx, c)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", s, err)
	}
	out := Snapshot{Revisions: make(map[policy.Key]int64, len(kvs))}
	for _, kv := range kvs {
		d := s.decode(kv)
		if d.key != (policy.Key{}) {
			out.Revisions[d.key] = kv.ModRevision
		}
		if d.resource != nil {
			out.Resources = append(out.Resources, *d.resource)
		}
		if d.rejected != nil {
			out.Rejected = append(out.Rejected, *d.rejected)
		}
		out.Findings = append(out.Findings, d.findings...)
	}
	slices.SortFunc(out.Resources, func(a, b store.Resource) int { return a.Key.Compare(b.Key) })
	slices.SortFunc(out.Rejected, func(a, b store.Rejected) int { return a.Key.Compare(b.Key) })
	slices.SortStableFunc(out.Findings, store.Finding.Compare)
	return out, nil
}

// signIn is connect as a request: it waits only if a user must sign in.
func (s *Store) signIn(ctx context.Context) (*clientv3.Client, error) {
	var c *clientv3.Client
	// The client outlives the request, so the request's context must not be its own.
	clientCtx, cancel := context.WithCancel(ctx)
	err := s.request(ctx, func(requestCtx context.Context) error {
		defer context.AfterFunc(requestCtx, cancel)()
		var err error
		c, err = s.connect(clientCtx)
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

// header says of which state an answer is.
type header struct {
	revision int64
	cluster  uint64
}

// readAll reads all keys at one revision, page by page.
func (s *Store) readAll(ctx context.Context, c *clientv3.Client) ([]*mvccpb.KeyValue, header, error) {
	const tries = 3
	for try := 1; ; try++ {
		kvs, at, err := s.readOnce(ctx, c)
		// Between two pages the state may have been compacted away: begin anew.
		if errors.Is(err, errCompacted) && try < tries {
			continue
		}
		return kvs, at, err
	}
}

// errCompacted says that etcd no longer knows what happened since a revision.
var errCompacted = errors.New("its history is compacted beyond what was read")

func (s *Store) readOnce(ctx context.Context, c *clientv3.Client) ([]*mvccpb.KeyValue, header, error) {
	var kvs []*mvccpb.KeyValue
	var at header
	var total int64
	from, end, page := s.root, clientv3.GetPrefixRangeEnd(s.root), s.limits.page
	for {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(at.revision)}
		var resp *clientv3.GetResponse
		err := s.request(ctx, func(ctx context.Context) error {
			var err error
			resp, err = c.Get(ctx, from, opts...)
			if errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted) {
				return errCompacted
			}
			if status.Code(err) == codes.ResourceExhausted {
				return errTooLarge
			}
			return err
		})
		switch {
		case errors.Is(err, errTooLarge) && page > 1:
			page = max(1, page/8)
			continue
		case err != nil:
			return nil, header{}, err
		}
		if at.revision == 0 {
			at = header{resp.Header.Revision, resp.Header.ClusterId}
		}
		for _, kv := range resp.Kvs {
			total += int64(len(kv.Key) + len(kv.Value))
		}
		kvs = append(kvs, resp.Kvs...)
		if err := s.limits.check(len(kvs), total); err != nil {
			return nil, header{}, err
		}
		if !resp.More || len(resp.Kvs) == 0 {
			return kvs, at, nil
		}
		from = string(kvs[len(kvs)-1].Key) + "\x00"
	}
}

var errTooLarge = errors.New("an answer of etcd is too large")

// check refuses a store that holds too much.
func (l *limits) check(keys int, total int64) error {
	switch {
	case keys > l.keys:
		return fmt.Errorf("holds more than %d keys", l.keys)
	case total > l.total:
		return fmt.Errorf("holds more than %d MiB", l.total>>20)
	}
	return nil
}
