package cluster

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// Start is Up for a test: what goes wrong fails the test, and the cluster ends
// with the test. Without root the test is skipped, but with CI=true in the
// environment it fails.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := up(t, o)
	t.Cleanup(func() { stop(t, c) })
	return c
}

// shared is the cluster of Shared.
var shared struct {
	sync.Mutex
	cluster *Cluster
}

// Shared is Start for tests that can share a cluster: it starts one at its first
// call and gives the same at the next ones, for as long as the options are the same;
// with other options it ends the one and starts another. There is one shared cluster at a time. It
// ends with the process. Tests must leave it as they found it, and not run in parallel.
func Shared(t testing.TB, o Options) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if c := shared.cluster; c != nil {
		if c.options == o {
			return c
		}
		shared.cluster = nil
		stop(t, c)
	}
	shared.cluster = up(t, o)
	return shared.cluster
}

// EndShared ends the shared cluster, if there is one. Call it at the end of TestMain, and before a test that
// needs the machine for itself.
func EndShared() error {
	shared.Lock()
	defer shared.Unlock()
	c := shared.cluster
	shared.cluster = nil
	if c == nil {
		return nil
	}
	return c.Stop()
}

func up(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := Up(t.Context(), o)
	if errors.Is(err, errNeedsRoot) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, NOTHING TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stop(t testing.TB, c *Cluster) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}
