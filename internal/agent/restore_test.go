package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
)

// keepsIn has the agent of a rig go on with what an earlier one left in dir.
func keepsIn(dir string) func(*Config, *faults) {
	return func(c *Config, _ *faults) { c.RunDir = dir }
}

// TestRestartKeepsTheLastValidVersion: an agent starts while a policy is
// invalid, in each of the ways in which it can be.
func TestRestartKeepsTheLastValidVersion(t *testing.T) {
	for name, broken := range map[string]string{
		"the policy is invalid":         agenttest.AllowPort(`"80:70"`),
		"the policy does not parse":     agenttest.AllowPort("[[]]"),
		"the file does not parse":       "kind: [\n",
		"a selector that does not make": agenttest.AllowPort("5432") + "  serviceAccountSelector: a ==\n",
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			first := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")}, keepsIn(run))
			first.eventually("in force", func() bool { return !first.k.allows("10.0.0.2", "10.0.0.1", 80) })
			first.stop()

			first.write("policy.yaml", broken)
			second := newRigIn(t, first.dir, keepsIn(run))
			second.eventually("something is in force", func() bool { return second.status().Ready })
			if second.k.allows("10.0.0.2", "10.0.0.1", 80) || !second.k.allows("10.0.0.2", "10.0.0.1", 5432) {
				t.Error("the last valid version is not in force")
			}
			if len(second.k.steps[0].SetPrograms) == 0 {
				t.Error("the first step had no program: a window was open")
			}
			second.write("policy.yaml", agenttest.AllowPort("3306"))
			second.eventually("the next valid version", func() bool { return second.k.allows("10.0.0.2", "10.0.0.1", 3306) })
			if err := os.Remove(filepath.Join(second.dir, "policy.yaml")); err != nil {
				t.Fatal(err)
			}
			second.eventually("and none", func() bool { return second.k.allows("10.0.0.2", "10.0.0.1", 80) })
		})
	}
}

// TestHeldObjectsGoWithTheirFile: what was restored for the sake of a file that
// could not be read goes when that file does.
func TestHeldObjectsGoWithTheirFile(t *testing.T) {
	run := t.TempDir()
	first := newRig(t, map[string]string{"cluster.yaml": agenttest.Cluster, "policy.yaml": agenttest.AllowPort("5432")}, keepsIn(run))
	first.eventually("in force", func() bool { return !first.k.allows("10.0.0.2", "10.0.0.1", 80) })
	first.stop()
	first.write("policy.yaml", "kind: [\n")
	second := newRigIn(t, first.dir, keepsIn(run))
	second.eventually("in force still", func() bool { return second.status().Ready })
	if second.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("the last valid version is not in force")
	}
	if err := os.Remove(filepath.Join(first.dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	second.eventually("gone with its file", func() bool { return second.k.allows("10.0.0.2", "10.0.0.1", 80) })
	second.stop()

	third := newRigIn(t, first.dir, keepsIn(run))
	third.eventually("something is in force", func() bool { return third.status().Ready })
	if !third.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("a policy that is gone came back")
	}
}
