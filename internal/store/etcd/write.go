package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Write is one object to be written or deleted.
type Write struct {
	Key policy.Key
	// Value is the object as Encode gives it; nil deletes it.
	Value []byte
	// Revision is the version that the object must have, so that nobody's work is
	// overwritten unseen; 0: there must be no object.
	Revision int64
}

// Bounds of one transaction: etcd allows 128 operations and 1.5 MiB by default.
const (
	maxTxnWrites = 100
	maxTxnBytes  = 5 << 18 // 1.25 MiB
)

// ConflictError says which objects were changed by others since they were read.
type ConflictError struct{ Keys []policy.Key }

func (e *ConflictError) Error() string {
	names := make([]string, len(e.Keys))
	for i, k := range e.Keys {
		names[i] = store.ObjectName(k)
	}
	return strings.Join(names, ", ") + ": changed by somebody else at the same time"
}

// UnknownOutcomeError is a write of which it is unknown whether it was done:
// etcd was asked, and did not answer.
type UnknownOutcomeError struct{ Err error }

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("it is unknown whether this was written: %v", e.Err)
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// Commit makes the writes, in their order. Up to 100 of at most 1.25 MiB in all
// are one transaction: all are made, or none. More are several; done is how many
// of the writes are made for sure, also after an error. The revision is that of
// the last transaction: the version that its objects have now.
func (s *Store) Commit(ctx context.Context, writes []Write) (revision int64, done int, err error) {
	paths := make([]string, len(writes))
	seen := map[string]bool{}
	for i, w := range writes {
		if paths[i], err = s.Key(w.Key); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", store.ObjectName(w.Key), err)
		}
		if len(w.Value) > s.limits.value {
			return 0, 0, fmt.Errorf("%s: has %d bytes: expected at most %d", store.ObjectName(w.Key), len(w.Value), s.limits.value)
		}
		if seen[paths[i]] {
			return 0, 0, fmt.Errorf("%s: is written twice", store.ObjectName(w.Key))
		}
		seen[paths[i]] = true
	}
	c, err := s.signIn(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", s, err)
	}
	defer func() { _ = c.Close() }()
	for done < len(writes) {
		n := chunk(paths[done:], writes[done:])
		revision, err = s.transact(ctx, c, paths[done:done+n], writes[done:done+n])
		if err != nil {
			return revision, done, fmt.Errorf("%s: %w", s, err)
		}
		done += n
	}
	return revision, done, nil
}

// chunk returns how many of the writes fit into a transaction; at least one.
func chunk(paths []string, writes []Write) int {
	size := 0
	for i := range writes {
		// A key stands in the condition, in the operation and in its alternative.
		size += 3*len(paths[i]) + len(writes[i].Value) + 64
		if i == maxTxnWrites || i > 0 && size > maxTxnBytes {
			return i
		}
	}
	return len(writes)
}

// transact makes writes if all objects are as expected.
func (s *Store) transact(ctx context.Context, c *clientv3.Client, paths []string, writes []Write) (int64, error) {
	var conditions []clientv3.Cmp
	var puts, looks []clientv3.Op
	for i, w := range writes {
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(paths[i]), "=", w.Revision))
		looks = append(looks, clientv3.OpGet(paths[i], clientv3.WithKeysOnly()))
		if w.Value == nil {
			puts = append(puts, clientv3.OpDelete(paths[i]))
		} else {
			puts = append(puts, clientv3.OpPut(paths[i], string(w.Value)))
		}
	}
	var resp *clientv3.TxnResponse
	sent := false
	err := s.request(ctx, func(ctx context.Context) error {
		var err error
		resp, err = c.Txn(ctx).If(conditions...).Then(puts...).Else(looks...).Commit()
		sent = !neverDone(err)
		return err
	})
	switch {
	case err != nil && sent:
		return 0, &UnknownOutcomeError{err}
	case err != nil:
		return 0, err
	case resp.Succeeded:
		return resp.Header.Revision, nil
	}
	conflict := &ConflictError{}
	for i, r := range resp.Responses {
		kvs := r.GetResponseRange().Kvs
		now := int64(0)
		if len(kvs) > 0 {
			now = kvs[0].ModRevision
		}
		if now != writes[i].Revision {
			conflict.Keys = append(conflict.Keys, writes[i].Key)
		}
	}
	return 0, conflict
}

// neverDone reports whether an error means that etcd has not done what was asked,
// and will not.
func neverDone(err error) bool {
	if err == nil {
		return true
	}
	code := status.Code(err)
	if known, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = known.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.FailedPrecondition, codes.OutOfRange:
		return true
	}
	return false
}
