package etcd

import (
	"crypto/sha256"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// state is what a watch knows of each key: enough to tell whether it has
// changed, not what it holds.
type state struct {
	known map[string]*known
	wrong map[string]*known // those with findings
	total int64             // bytes of keys and values
	at    header            // of the last complete reading
}

// known is one key.
type known struct {
	key       policy.Key
	revision  int64
	sum       [sha256.Size]byte // revisions of different clusters may be equal
	size      int64
	delivered bool // a valid version of it
	findings  []store.Finding
}

func newState() *state {
	return &state{known: map[string]*known{}, wrong: map[string]*known{}}
}

// isOther reports whether what is read at is not a later state of the same etcd.
func (st *state) isOther(at header) bool {
	return st.at != (header{}) && (at.cluster != st.at.cluster || at.revision < st.at.revision)
}

// step collects what a batch will hold: of each object the last thing that
// happened to it.
type step struct {
	updated map[policy.Key]store.Resource
	deleted map[policy.Key]struct{}
	// fresh are those of updated that were not there before the step: if they go
	// within it, nobody needs to know of them.
	fresh map[policy.Key]struct{}
}

func newStep() *step {
	return &step{map[policy.Key]store.Resource{}, map[policy.Key]struct{}{}, map[policy.Key]struct{}{}}
}

func (p *step) batch() store.Batch {
	return store.Batch{
		Updated: slices.SortedFunc(maps.Values(p.updated), func(a, b store.Resource) int { return a.Key.Compare(b.Key) }),
		Deleted: slices.SortedFunc(maps.Keys(p.deleted), policy.Key.Compare),
	}
}

// replace takes a whole state in and gives what changes by that.
func (st *state) replace(s *Store, kvs []*mvccpb.KeyValue) store.Batch {
	step := newStep()
	present := make(map[string]struct{}, len(kvs))
	for i, kv := range kvs {
		path := string(kv.Key)
		present[path] = struct{}{}
		old := st.known[path]
		if old == nil || old.revision != kv.ModRevision || old.sum != sha256.Sum256(kv.Value) {
			st.put(s, kv, step)
		}
		kvs[i] = nil // the text is of no more use, and there may be much of it
	}
	for path := range st.known {
		if _, found := present[path]; !found {
			st.delete(path, step)
		}
	}
	return step.batch()
}

// apply takes the changes of a watch in, in their order.
func (st *state) apply(s *Store, events []*mvccpb.Event) store.Batch {
	step := newStep()
	for _, e := range events {
		if e.Type == mvccpb.Event_DELETE {
			st.delete(string(e.Kv.Key), step)
		} else {
			st.put(s, e.Kv, step)
		}
	}
	return step.batch()
}

// put takes a new value in.
func (st *state) put(s *Store, kv *mvccpb.KeyValue, step *step) {
	path := string(kv.Key)
	k := st.known[path]
	if k == nil {
		k = &known{}
		st.known[path] = k
	}
	size := int64(len(kv.Key) + len(kv.Value))
	st.total += size - k.size
	d := s.decode(kv)
	k.key, k.revision, k.sum, k.size, k.findings = d.key, kv.ModRevision, sha256.Sum256(kv.Value), size, d.findings
	delete(st.wrong, path)
	if len(d.findings) > 0 {
		st.wrong[path] = k
	}
	if d.resource == nil {
		return
	}
	if _, was := step.deleted[d.key]; !was && !k.delivered {
		step.fresh[d.key] = struct{}{}
	}
	k.delivered = true
	step.updated[d.key] = *d.resource
	delete(step.deleted, d.key)
}

// delete forgets a key.
func (st *state) delete(path string, step *step) {
	k := st.known[path]
	if k == nil {
		return
	}
	st.total -= k.size
	delete(st.known, path)
	delete(st.wrong, path)
	if !k.delivered {
		return
	}
	delete(step.updated, k.key)
	if _, fresh := step.fresh[k.key]; fresh {
		delete(step.fresh, k.key)
		return
	}
	step.deleted[k.key] = struct{}{}
}

// findings returns everything that is wrong, by place.
func (st *state) findings() []store.Finding {
	var out []store.Finding
	for _, k := range st.wrong {
		out = append(out, k.findings...)
	}
	slices.SortStableFunc(out, store.Finding.Compare)
	return out
}
