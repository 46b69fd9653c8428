package etcd

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tierwall/tierwall/internal/store/etcd/etcdtest"
)

// TestRandomChanges makes random changes while the way to etcd is cut and mended,
// etcd ends and begins again, and its history is compacted: in the end the
// watch knows what a listing says.
func TestRandomChanges(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cluster := etcdtest.Start(t, etcdtest.Options{})
	m := cluster.Members()[0]
	link := etcdtest.NewLink(t, m)
	near := newStore(t, Options{Endpoints: cluster.URLs()})
	far := newStore(t, Options{Endpoints: []string{link.URL()}})
	f := follow(t, far)
	c := cluster.Client("", "")
	for range 600 {
		path := setPath(fmt.Sprint("s", random.IntN(20)))
		switch n := random.IntN(100); {
		case n < 60:
			put(t, c, path, set(path[len(setPath("")):], fmt.Sprintf("10.%d.0.0/16", random.IntN(256))))
		case n < 70:
			put(t, c, path, "nonsense")
		case n < 92:
			if _, err := c.Delete(t.Context(), path); err != nil {
				t.Fatal(err)
			}
		case n < 94:
			link.Cut()
		case n < 97:
			link.Mend()
		case n < 99:
			resp, err := c.Get(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Compact(t.Context(), resp.Header.Revision) // it may be so already
		default:
			cluster.Kill(m)
			cluster.Restart(m)
			cluster.WaitReady()
		}
	}
	link.Mend()
	// What is nonsense in the end keeps its last valid version, which differs with
	// what was seen of it: mend that.
	for i := range 20 {
		name := fmt.Sprint("s", i)
		resp, err := c.Get(t.Context(), setPath(name))
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Kvs) > 0 && string(resp.Kvs[0].Value) == "nonsense" {
			put(t, c, setPath(name), set(name, "10.0.0.0/8"))
		}
	}
	f.waitListed(near)
	f.waitSound()
}
