package etcd

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd/etcdtest"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// quick are times for tests, so that an outage is noticed soon.
var quick = times{
	request: 20 * time.Second, doubt: 300 * time.Millisecond, open: 2 * time.Second, grace: 100 * time.Millisecond,
	minPause: 10 * time.Millisecond, maxPause: 100 * time.Millisecond, settled: time.Second,
}

func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.times = quick
	return s
}

// one returns a cluster of one member, a store on it, and a client beside the store.
func one(t testing.TB, args ...string) (*etcdtest.Cluster, *Store, *clientv3.Client) {
	t.Helper()
	c := etcdtest.Start(t, etcdtest.Options{Args: args})
	return c, newStore(t, Options{Endpoints: c.URLs()}), c.Client("", "")
}

func set(name string, nets ...string) string {
	return fmt.Sprintf(`{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet", "metadata": {"name": %q}, "spec": {"nets": ["%s"]}}`,
		name, strings.Join(nets, `","`))
}

func setKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindGlobalNetworkSet, Name: name}
}

func setPath(name string) string { return "/tierwall/v1/projectcalico.org/GlobalNetworkSet/" + name }

// resource reads one manifest.
func resource(t testing.TB, text string) store.Resource {
	t.Helper()
	loaded := files.ParseJSON("test", []byte(text), files.Options{})
	if len(loaded.Resources) != 1 || len(loaded.Findings) > 0 {
		t.Fatalf("%s: %v", text, loaded.Findings)
	}
	return loaded.Resources[0]
}

// encoded returns the value of a manifest that is new.
func encoded(t testing.TB, text string) (policy.Key, []byte) {
	t.Helper()
	r := resource(t, text)
	value, _, err := Encode(&r, nil, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return r.Key, value
}

func create(t testing.TB, s *Store, texts ...string) int64 {
	t.Helper()
	var writes []Write
	for _, text := range texts {
		key, value := encoded(t, text)
		writes = append(writes, Write{Key: key, Value: value})
	}
	revision, _, err := s.Commit(t.Context(), writes)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func put(t testing.TB, c *clientv3.Client, path, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), etcdtest.Patience)
	defer cancel()
	if _, err := c.Put(ctx, path, value); err != nil {
		t.Fatal(err)
	}
}

// follower is what an agent knows of a store.
type follower struct {
	t          testing.TB
	mu         sync.Mutex
	changed    *sync.Cond
	state      map[policy.Key]any
	findings   []store.Finding
	staleSince time.Time
	batches    int
	ended      bool
	err        error
}

// follow watches the store until the test ends.
func follow(t testing.TB, s *Store) *follower {
	t.Helper()
	f := &follower{t: t, state: map[policy.Key]any{}}
	f.changed = sync.NewCond(&f.mu)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Watch(ctx, f.take)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended, f.err = true, err
		f.changed.Broadcast()
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *follower) take(b store.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range b.Deleted {
		if _, found := f.state[k]; !found {
			f.t.Errorf("%v is deleted, and was not there", k)
		}
		delete(f.state, k)
	}
	for _, r := range b.Updated {
		f.state[r.Key] = r.Object
	}
	f.findings, f.staleSince = b.Findings, b.StaleSince
	f.batches++
	f.changed.Broadcast()
	return nil
}

// wait waits until the condition, called with the lock held, is true.
func (f *follower) wait(what string, condition func() bool) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	late := false
	timer := time.AfterFunc(etcdtest.Patience, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		late = true
		f.changed.Broadcast()
	})
	defer timer.Stop()
	for !condition() {
		if late || f.ended {
			f.t.Fatalf("%s: not so: objects %v, findings %v, ended %v with %v", what, f.names(), f.findings, f.ended, f.err)
		}
		f.changed.Wait()
	}
}

// names returns the objects as "name@nets", with the lock held.
func (f *follower) names() []string {
	var out []string
	for k := range f.state {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return out
}

// waitNames waits until the state has objects of just these names.
func (f *follower) waitNames(names ...string) {
	f.t.Helper()
	f.wait("objects "+strings.Join(names, ", "), func() bool { return slices.Equal(f.names(), names) })
}

// waitSound waits until nothing is wrong.
func (f *follower) waitSound() {
	f.t.Helper()
	f.wait("no findings", func() bool { return len(f.findings) == 0 })
}

// waitFinding waits for a finding that holds the text.
func (f *follower) waitFinding(text string) {
	f.t.Helper()
	f.wait("a finding with "+text, func() bool {
		return slices.ContainsFunc(f.findings, func(x store.Finding) bool { return strings.Contains(x.Error(), text) })
	})
}

// waitListed waits until the state is what a listing says.
func (f *follower) waitListed(s *Store) {
	f.t.Helper()
	listing, err := s.List(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	want := map[policy.Key]any{}
	for _, r := range listing.Resources {
		want[r.Key] = r.Object
	}
	f.wait(fmt.Sprint("the objects listed: ", slices.Collect(maps.Keys(want))), func() bool { return reflect.DeepEqual(want, f.state) })
}

func revisionOf(object any) string { return object.(metav1.Object).GetResourceVersion() }
