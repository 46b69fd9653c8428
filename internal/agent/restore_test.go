package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// withJournal returns the agent of a rig what an earlier one left in dir.
func withJournal(t *testing.T, dir string) func(*agent) {
	return func(a *agent) {
		var err error
		if a.journal, a.earlier, err = openJournal(dir, 1); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestartKeepsTheLastValidVersion: an agent starts while a policy is
// invalid, in each of the ways in which it can be.
func TestRestartKeepsTheLastValidVersion(t *testing.T) {
	for name, broken := range map[string]string{
		"the policy is invalid":         allowPort(`"80:70"`),
		"the policy does not parse":     allowPort("[[]]"),
		"the file does not parse":       "kind: [\n",
		"a selector that does not make": allowPort("5432") + "  serviceAccountSelector: a ==\n",
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			first := newRigWith(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")}, nil, withJournal(t, run))
			first.eventually("in force", func() bool { return !first.k.allows("10.0.0.2", "10.0.0.1", 80) })
			first.stop()

			first.write("policy.yaml", broken)
			second := newRigIn(t, first.dir, nil, withJournal(t, run))
			second.eventually("something is in force", func() bool { return second.status().Ready })
			if second.k.allows("10.0.0.2", "10.0.0.1", 80) || !second.k.allows("10.0.0.2", "10.0.0.1", 5432) {
				t.Error("the last valid version is not in force")
			}
			if len(second.k.steps[0].SetPrograms) == 0 {
				t.Error("the first step had no program: a window was open")
			}
			second.write("policy.yaml", allowPort("3306"))
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
	first := newRigWith(t, map[string]string{"cluster.yaml": clusterYAML, "policy.yaml": allowPort("5432")}, nil, withJournal(t, run))
	first.eventually("in force", func() bool { return !first.k.allows("10.0.0.2", "10.0.0.1", 80) })
	first.stop()
	first.write("policy.yaml", "kind: [\n")
	second := newRigIn(t, first.dir, nil, withJournal(t, run))
	second.eventually("in force still", func() bool { return second.status().Ready })
	if second.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("the last valid version is not in force")
	}
	if err := os.Remove(filepath.Join(first.dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	second.eventually("gone with its file", func() bool { return second.k.allows("10.0.0.2", "10.0.0.1", 80) })
	second.stop()

	third := newRigIn(t, first.dir, nil, withJournal(t, run))
	third.eventually("something is in force", func() bool { return third.status().Ready })
	if !third.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("a policy that is gone came back")
	}
}

func stored(t *testing.T, j *journal, key policy.Key) any {
	t.Helper()
	r, err := j.load(key)
	if err != nil {
		t.Fatal(err)
	}
	return r.Object
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	load := func(text string) []store.Resource {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, findings := files.Load([]string{path}, files.Options{})
		if len(findings) > 0 {
			t.Fatal(findings)
		}
		return r
	}
	reopen := func() (*journal, map[policy.Key]remembered) {
		t.Helper()
		j, m, err := openJournal(dir, 7)
		if err != nil {
			t.Fatal(err)
		}
		return j, m
	}
	j, m := reopen()
	if len(m) != 0 {
		t.Fatalf("an empty journal holds %v", m)
	}
	cluster, db := load(clusterYAML), load(allowPort("1"))
	for i := range 2 * compactAt { // far more than it keeps
		if err := j.note(load(allowPort(fmt.Sprint(i%60000+1))), nil); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			if err := j.note(cluster, nil); err != nil {
				t.Fatal(err)
			}
			if err := j.note(nil, []policy.Key{cluster[1].Key, {Kind: "Pod", Name: "unknown"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(j.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"file":"cut off`)
	_ = f.Close()

	j, m = reopen()
	if j.lines > compactAt+10 {
		t.Errorf("%d lines: it was never written anew", j.lines)
	}
	if err := j.note(db, nil); err != nil {
		t.Fatal(err)
	}
	j2, again := reopen()
	got := map[string]string{}
	for k, r := range again {
		got[k.String()] = r.file
	}
	if diff := cmp.Diff(map[string]string{"shop/Pod/db": path, "shop/NetworkPolicy/db": path}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(len(m), len(again)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(db[0].Object, stored(t, j2, db[0].Key)); diff != "" {
		t.Errorf("an object comes back changed:\n%s", diff)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := removeRunFiles(dir, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("something is left after removal: %v", err)
	}
}
