package agent

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
)

func TestFollowsTheStore(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	if !r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the port that the policy opens is closed")
	}
	r.eventually("ready", func() bool { code, _ := r.get("/readyz"); return code == http.StatusOK })
	if o := r.object("NetworkPolicy", "db"); o.State != "in force" || o.LocalEndpoints == nil || *o.LocalEndpoints != 1 {
		t.Errorf("status of the policy: %+v", o)
	}

	r.write("policy.yaml", agenttest.AllowPort("3306"))
	r.eventually("the new port is open", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 3306) })
	if r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the old port is still open")
	}

	r.write("policy.yaml", agenttest.AllowPort(`"80:70"`))
	r.eventually("the invalid version is reported", func() bool {
		return r.object("NetworkPolicy", "db").State == "last valid version in force"
	})
	if o := r.object("NetworkPolicy", "db"); len(o.Findings) == 0 || !strings.Contains(o.Findings[0], "policy.yaml:") {
		t.Errorf("status does not say what is wrong where: %+v", o)
	}
	if !r.k.allows("10.0.0.2", "10.0.0.1", 3306) || r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the last valid version is not in force")
	}
	if _, m := r.get("/metrics"); !strings.Contains(m, `tierwall_resources{kind="NetworkPolicy",state="last valid version in force"} 1`) {
		t.Error("the metrics do not count the invalid object")
	}
	r.eventually("the log says so", func() bool { return strings.Contains(r.logs.String(), "80:70") })

	if err := os.Remove(filepath.Join(r.dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	r.eventually("nothing is denied without a policy", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 80) })
}

func TestRuleCounters(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	var m string
	r.eventually("counters are served", func() bool { _, m = r.get("/metrics"); return strings.Contains(m, "tierwall_rule_packets_total{") })
	for _, want := range []string{
		`tierwall_rule_packets_total{action="Allow",direction="ingress",kind="NetworkPolicy",name="db",namespace="shop",rule="0",tier="default"} 3`,
		`tierwall_rule_bytes_total{action="Deny",direction="ingress",kind="NetworkPolicy",name="db",namespace="shop",rule="end",tier="default"} 180`,
		`tierwall_resources{kind="Pod",state="in force"} 2`,
		`tierwall_local_endpoints 1`,
		`tierwall_ready 1`,
		`tierwall_connections_cut_total 0`,
		`tierwall_apply_total{result="ok"} 1`,
		`tierwall_apply_seconds_count 1`,
		`tierwall_build_info{node="here",version="test"} 1`,
	} {
		if !strings.Contains(m, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(m)
	}
}

func TestFailedStepIsTriedAgain(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")},
		func(_ *Config, k *faults) { k.fail = 3 })
	r.eventually("in force after failures", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	r.eventually("ready", func() bool { return r.status().Ready })

	r.k.mu.Lock()
	r.k.fail = 2
	r.k.mu.Unlock()
	r.write("policy.yaml", agenttest.AllowPort("3306"))
	r.eventually("the change after more failures", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 3306) })
	r.eventually("ready again", func() bool { return r.status().Ready })
	if _, m := r.get("/metrics"); !strings.Contains(m, `tierwall_apply_total{result="error"} 5`) {
		t.Error("the failures are not counted")
	}
}

func TestNotReadyWhileTheKernelIsBehind(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")},
		func(_ *Config, k *faults) { k.fail = 1 << 30 })
	r.eventually("the failure is told", func() bool {
		code, body := r.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "no buffer space")
	})
	if code, _ := r.get("/healthz"); code != http.StatusOK {
		t.Error("an agent that tries again is healthy")
	}
}

func TestDriftIsReported(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")},
		func(c *Config, k *faults) {
			c.CheckInterval, k.drift = 5*time.Millisecond, []string{"the table is gone"}
		})
	r.eventually("the drift is found", func() bool { return r.status().DriftRepairs == 1 })
	if st := r.status(); len(st.LastDrift) != 1 || st.LastDrift[0] != "the table is gone" || st.LastCheck == nil {
		t.Errorf("status says %v", st.LastDrift)
	}
	if _, m := r.get("/metrics"); !strings.Contains(m, "tierwall_drift_repairs_total 1") {
		t.Error("the repair is not counted")
	}
}

func TestOneBadFileDoesNotStopTheRest(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432"), "bad.yaml": "kind: [\n"}, nil)
	r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
	r.eventually("the bad file is reported", func() bool {
		f := r.status().Findings
		return len(f) == 1 && strings.Contains(f[0], "bad.yaml")
	})
	r.write("bad.yaml", "")
	r.eventually("and no longer", func() bool { return len(r.status().Findings) == 0 })
}

func TestAnswersAtLocalhostOnly(t *testing.T) {
	r := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster}, nil)
	for host, want := range map[string]int{
		"localhost:9098": http.StatusOK, "[::1]:1": http.StatusOK, "127.0.0.1": http.StatusOK,
		"evil.example:9098": http.StatusForbidden, "10.0.0.1": http.StatusForbidden,
	} {
		req, err := http.NewRequest(http.MethodGet, r.url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}
