package etcd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd/etcdtest"
)

func TestWatchDeliversChanges(t *testing.T) {
	t.Parallel()
	_, s, c := one(t)
	f := follow(t, s)
	f.wait("an empty first batch", func() bool { return f.batches == 1 })
	create(t, s, set("a", "10.0.0.0/8"), set("b", "10.0.0.0/8"))
	f.waitNames("a", "b")
	before := f.revision("a")
	put(t, c, setPath("a"), set("a", "11.0.0.0/8"))
	f.wait("a new version", func() bool { return revisionOf(f.state[setKey("a")]) > revisionOf(f.state[setKey("b")]) })
	put(t, c, setPath("a"), "nonsense")
	f.waitFinding("is no JSON")
	if now := f.revision("a"); now <= before {
		t.Errorf("revision %d: the last valid version is not kept", now)
	}
	f.waitNames("a", "b")
	put(t, c, setPath("c"), "nonsense")
	f.waitFinding(setPath("c"))
	for _, name := range []string{"a", "c"} {
		if _, err := c.Delete(t.Context(), setPath(name)); err != nil {
			t.Fatal(err)
		}
	}
	f.waitNames("b")
	f.waitSound()
}

// TestWatchStep shows that one transaction is one batch, and that what is deleted
// and written anew within one does not keep its old version.
func TestWatchStep(t *testing.T) {
	t.Parallel()
	_, s, c := one(t)
	create(t, s, set("a", "10.0.0.0/8"), set("b", "10.0.0.0/8"))
	var batches []store.Batch
	stop := errors.New("enough")
	err := s.Watch(t.Context(), func(b store.Batch) error {
		batches = append(batches, b)
		switch len(batches) {
		case 1:
			key, value := encoded(t, set("c", "10.0.0.0/8"))
			if _, _, err := s.Commit(t.Context(), []Write{{Key: key, Value: value}, {Key: setKey("a"), Revision: 2}, {Key: setKey("b"), Revision: 2}}); err != nil {
				return err
			}
			return nil
		default:
			return stop
		}
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if b := batches[1]; len(b.Updated) != 1 || len(b.Deleted) != 2 || b.Received.IsZero() {
		t.Errorf("%+v", b)
	}
	_ = c
}

func TestWatchOutlivesRestarts(t *testing.T) {
	t.Parallel()
	cluster, s, c := one(t)
	f := follow(t, s)
	create(t, s, set("a", "10.0.0.0/8"))
	f.waitNames("a")
	m := cluster.Members()[0]
	cluster.Kill(m)
	f.waitFinding("cannot be followed since")
	f.waitFinding("connection refused")
	f.waitNames("a")
	if f.staleSince.IsZero() {
		t.Error("what was read is not said to be stale")
	}
	cluster.Restart(m)
	f.waitSound()
	if !f.staleSince.IsZero() {
		t.Error("what is read again is said to be stale")
	}
	put(t, c, setPath("b"), set("b", "10.0.0.0/8"))
	f.waitNames("a", "b")
}

// TestCompactionDuringPartition lets everything be changed, and the history be
// forgotten, while the watch is cut off.
func TestCompactionDuringPartition(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, etcdtest.Options{})
	link := etcdtest.NewLink(t, cluster.Members()[0])
	near, far := newStore(t, Options{Endpoints: cluster.URLs()}), newStore(t, Options{Endpoints: []string{link.URL()}})
	c := cluster.Client("", "")
	create(t, near, set("changed", "10.0.0.0/8"), set("deleted", "10.0.0.0/8"), set("same", "10.0.0.0/8"), set("broken", "10.0.0.0/8"), set("anew", "10.0.0.0/8"))
	f := follow(t, far)
	f.waitNames("anew", "broken", "changed", "deleted", "same")
	link.Cut()
	f.waitFinding("cannot be followed")
	put(t, c, setPath("changed"), set("changed", "11.0.0.0/8"))
	put(t, c, setPath("new"), set("new", "11.0.0.0/8"))
	put(t, c, setPath("broken"), set("broken", "300.0.0.0/8")[:60])
	for _, path := range []string{setPath("deleted"), setPath("anew")} {
		if _, err := c.Delete(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	put(t, c, setPath("anew"), set("anew", "12.0.0.0/8"))
	resp, err := c.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	f.waitNames("anew", "broken", "changed", "deleted", "same") // nothing is lost meanwhile
	same := f.state[setKey("same")]
	link.Mend()
	f.waitNames("anew", "broken", "changed", "new", "same")
	f.waitFinding("GlobalNetworkSet broken: is no JSON")
	f.wait("only what is wrong with the object", func() bool { return len(f.findings) == 1 })
	if f.state[setKey("same")] != same {
		t.Error("what has not changed was delivered again")
	}
	put(t, c, setPath("broken"), set("broken", "13.0.0.0/8"))
	f.waitSound()
	f.waitListed(near)
}

func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, etcdtest.Options{Members: 3})
	s := newStore(t, Options{Endpoints: cluster.URLs()})
	c := cluster.Client("", "")
	f := follow(t, s)
	create(t, s, set("first", "10.0.0.0/8"))
	f.waitNames("first")
	for _, name := range []string{"second", "third"} {
		leader := cluster.Leader(c)
		if leader == nil {
			t.Fatal("no leader")
		}
		cluster.Kill(leader)
		createAfterAll(t, s, name)
		f.wait(name, func() bool { return f.state[setKey(name)] != nil })
		cluster.Restart(leader)
		cluster.WaitReady()
	}
	f.waitNames("first", "second", "third")
	// Without a majority there is no leader, and what a member says may be old.
	cluster.Kill(cluster.Members()[0])
	cluster.Kill(cluster.Members()[1])
	f.waitFinding("cannot be followed")
	cluster.Restart(cluster.Members()[0])
	cluster.Restart(cluster.Members()[1])
	cluster.WaitReady()
	f.waitSound()
	create(t, s, set("fourth", "10.0.0.0/8"))
	f.waitNames("first", "fourth", "second", "third")
}

// createAfterAll creates a set where etcd may fail to answer in between.
func createAfterAll(t *testing.T, s *Store, name string) {
	t.Helper()
	key, value := encoded(t, set(name, "10.0.0.0/8"))
	for {
		_, _, err := s.Commit(t.Context(), []Write{{Key: key, Value: value}})
		_, unknown := errors.AsType[*UnknownOutcomeError](err)
		_, conflict := errors.AsType[*ConflictError](err)
		switch {
		case err == nil || conflict: // it was written before
			return
		case !unknown:
			t.Fatal(err)
		}
	}
}

// TestFrozenMember stops the members one after the other without ending their
// connections.
func TestFrozenMember(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for keep-alive, which takes 15 s at least")
	}
	cluster := etcdtest.Start(t, etcdtest.Options{Members: 3})
	s := newStore(t, Options{Endpoints: cluster.URLs()})
	c := cluster.Client("", "")
	f := follow(t, s)
	f.wait("a first batch", func() bool { return f.batches > 0 })
	for i, m := range cluster.Members() {
		cluster.Freeze(m)
		name := string(rune('a' + i))
		ctx, cancel := context.WithTimeout(t.Context(), etcdtest.Patience)
		for { // the client may ask the frozen one first
			try, stop := context.WithTimeout(ctx, etcdtest.Patience/10)
			_, err := c.Put(try, setPath(name), set(name, "10.0.0.0/8"))
			stop()
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
		cancel()
		f.wait(name, func() bool { return f.state[setKey(name)] != nil })
		cluster.Thaw(m)
		cluster.WaitReady()
	}
	f.waitNames("a", "b", "c")
}

// TestAnotherEtcd replaces etcd by one that is empty: policy must not vanish by that.
func TestAnotherEtcd(t *testing.T) {
	t.Parallel()
	cluster, s, _ := one(t)
	f := follow(t, s)
	create(t, s, set("a", "10.0.0.0/8"), set("b", "10.0.0.0/8"))
	f.waitNames("a", "b")
	m := cluster.Members()[0]
	cluster.Kill(m)
	cluster.Wipe()
	cluster.Restart(m)
	cluster.WaitReady()
	f.waitFinding("is another etcd now, which holds no objects below /tierwall/v1/")
	f.waitNames("a", "b")
	create(t, s, set("c", "10.0.0.0/8"))
	f.waitNames("c")
	f.waitSound()
}

// TestRestoredBackup puts etcd back to where it was: revisions are counted again
// from there, and must not be taken for what was read before.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	cluster, s, _ := one(t)
	m := cluster.Members()[0]
	f := follow(t, s)
	first := create(t, s, set("a", "10.0.0.0/8"))
	f.waitNames("a")
	cluster.Kill(m)
	restore := cluster.SaveData(m)
	cluster.Restart(m)
	cluster.WaitReady()
	key, value := encoded(t, set("a", "11.0.0.0/8"))
	if _, _, err := s.Commit(t.Context(), []Write{{Key: key, Value: value, Revision: first}}); err != nil {
		t.Fatal(err)
	}
	create(t, s, set("b", "10.0.0.0/8"))
	f.waitNames("a", "b")
	cluster.Kill(m)
	restore()
	cluster.Restart(m)
	cluster.WaitReady()
	f.waitNames("a")
	f.waitSound()
	f.waitListed(s)
	// The next revisions are the same as before with other objects.
	create(t, s, set("c", "10.0.0.0/8"))
	create(t, s, set("d", "10.0.0.0/8"))
	f.waitNames("a", "c", "d")
	f.waitListed(s)
}

// TestUnreachable shows what a user is told who asks where no etcd is.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	cluster, s, _ := one(t)
	cluster.Kill(cluster.Members()[0])
	_, err := s.List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "rpc error") {
		t.Errorf("error %v", err)
	}
	_, _, err = s.Commit(t.Context(), []Write{{Key: setKey("a"), Value: []byte("{}")}})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
}
