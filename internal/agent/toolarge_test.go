package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/policy"
)

// tooLarge is the policy of agenttest.AllowPort with more ports than can be in force: those of
// its first rule by those of the others. It allows what the others would.
func tooLarge() string {
	var ports []string
	var b strings.Builder
	for i := range 600 {
		ports = append(ports, fmt.Sprint(2*i+1))
		fmt.Fprintf(&b, "    - {action: Allow, protocol: TCP, destination: {ports: [%d]}}\n", i+1)
	}
	return agenttest.AllowPort(strings.Join(ports, ", ")+"]}, source: {ports: ["+strings.Join(ports, ", ")) + b.String()
}

// TestTooLarge follows a policy that is refused for its size: without a valid version it isolates
// what it selects, also at the next start; with one, that stays in force, also at the next start.
func TestTooLarge(t *testing.T) {
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "db"}
	state := func(r *rig) string {
		for _, o := range r.status().Objects {
			if o.Kind == key.Kind && o.Namespace == key.Namespace && o.Name == key.Name {
				return o.State
			}
		}
		return "none"
	}
	allows := func(r *rig, port uint16) bool { return r.k.allows("10.0.0.2", "10.0.0.1", port) }
	run := t.TempDir()
	first := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": tooLarge()}, keepsIn(run))
	first.eventually("isolating", func() bool { return first.status().Ready && state(first) == "isolating" })
	if allows(first, 80) || allows(first, 5432) {
		t.Error("what a policy selects that is too large is open")
	}
	if len(first.k.steps[0].SetPrograms) == 0 {
		t.Error("the first step had no program: a window was open")
	}
	first.stop()

	again := newRigIn(t, first.dir, keepsIn(run))
	again.eventually("isolating at the next start", func() bool { return again.status().Ready && state(again) == "isolating" })
	again.write("policy.yaml", agenttest.AllowPort("5432"))
	again.eventually("valid", func() bool { return allows(again, 5432) && state(again) == "in force" })
	again.write("policy.yaml", tooLarge())
	again.eventually("too large", func() bool { return state(again) == "last valid version in force" })
	if !allows(again, 5432) || allows(again, 80) {
		t.Error("the last valid version is not in force")
	}
	again.stop()

	last := newRigIn(t, first.dir, keepsIn(run))
	last.eventually("the last valid version at the next start", func() bool {
		return last.status().Ready && state(last) == "last valid version in force" && allows(last, 5432) && !allows(last, 80)
	})
	if err := os.Remove(filepath.Join(last.dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	last.eventually("and none", func() bool { return allows(last, 80) })
}
