package agent

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/store"
)

// TestStaleness: a store that cannot be followed is a state of its own. What was read stays in force,
// the agent lives on, and it is not ready when that lasts.
func TestStaleness(t *testing.T) {
	const why = "API server https://192.0.2.1: cannot be reached"
	cut := []store.Finding{{Message: why}}
	for name, tc := range map[string]struct {
		limit, age time.Duration
		ready      bool
	}{
		"within the limit": {time.Hour, time.Minute, true},
		"beyond it":        {time.Hour, 2 * time.Hour, false},
		"without a limit":  {0, 1000 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, c := newClusterRig(t, func(cfg *Config, _ *faults) { cfg.StaleLimit = tc.limit })
			c <- store.Batch{Updated: objects(t, agenttest.Cluster, agenttest.AllowPort("5432"))}
			r.eventually("in force", func() bool { return r.status().Ready })
			since := time.Now().Add(-tc.age)
			c <- store.Batch{Findings: cut, StaleSince: since}
			r.eventually("stale", func() bool { return r.status().Stale != nil })

			st := r.status()
			if !st.Stale.Since.Equal(since) || st.Stale.Age() < tc.age || len(st.Stale.Reasons) != 1 || st.Stale.Reasons[0] != why {
				t.Errorf("the status says %+v", st.Stale)
			}
			if st.Ready != tc.ready {
				t.Errorf("ready: %v (%s), want %v", st.Ready, st.NotReady, tc.ready)
			}
			code, body := r.get("/readyz")
			if (code == http.StatusOK) != tc.ready || !tc.ready && !strings.Contains(body, why) {
				t.Errorf("/readyz: %d %s", code, body)
			}
			if code, body := r.get("/healthz"); code != http.StatusOK {
				t.Errorf("/healthz: %d %s: it would be started again, which helps nobody", code, body)
			}
			if _, metrics := r.get("/metrics"); strings.Contains(metrics, "tierwall_store_stale_seconds 0\n") {
				t.Error("the metric says that the store is followed")
			}
			if r.k.allows("10.0.0.2", "10.0.0.1", 80) || !r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
				t.Error("what was read is not in force")
			}

			for _, other := range []string{"connection refused", "no answer", "connection refused"} {
				c <- store.Batch{Findings: []store.Finding{{Message: other}}, StaleSince: since}
			}
			c <- store.Batch{}
			r.eventually("followed again", func() bool { return r.status().Stale == nil })
			if code, body := r.get("/readyz"); code != http.StatusOK {
				t.Errorf("/readyz: %d %s", code, body)
			}
			if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "tierwall_store_stale_seconds 0\n") {
				t.Error("the metric says that the store is not followed")
			}
			r.stop()
			log := r.logs.String()
			for _, line := range []string{"the store cannot be followed; what was last read stays in force", "the store is followed again", "msg=invalid", `msg="no longer invalid"`} {
				if n := strings.Count(log, line); n != 1 {
					t.Errorf("%d lines say %q", n, line)
				}
			}
		})
	}
}

// TestInvalidObjectsLeaveTheAgentReady: a tenant's slip stops no rollout, and is listed.
func TestInvalidObjectsLeaveTheAgentReady(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")}, nil)
	r.eventually("in force", func() bool { return r.status().Ready })
	r.write("policy.yaml", agenttest.AllowPort(`"80:70"`))
	r.eventually("invalid", func() bool { return r.status().Invalid == 1 })
	code, body := r.get("/readyz")
	if want := "NetworkPolicy shop/db: last valid version in force: "; code != http.StatusOK || !strings.HasPrefix(body, "ok\n") || !strings.Contains(body, want) {
		t.Errorf("/readyz: %d %q, want %q in it", code, body, want)
	}
	if st := r.status(); !st.Ready {
		t.Errorf("not ready: %s", st.NotReady)
	}
	if code, _ := r.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
}

// TestStuck: an agent whose loop does not come back is neither ready nor alive.
func TestStuck(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster}, nil)
	r.eventually("in force", func() bool { return r.status().Ready && r.a.busy.Load() == 0 })
	r.a.busy.Store(time.Now().Add(-2 * stuckAfter).UnixNano())
	for _, path := range []string{"/readyz", "/healthz"} {
		if code, body := r.get(path); code != http.StatusServiceUnavailable || !strings.Contains(body, "the loop has been busy for 2m") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	r.a.busy.Store(0)
	if code, body := r.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
}
