package lastvalid

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

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
	reopen := func() (*journal, map[policy.Key]savedVersion) {
		t.Helper()
		j, m, err := openJournal(Path(dir, 7))
		if err != nil {
			t.Fatal(err)
		}
		return j, m
	}
	j, m := reopen()
	if len(m) != 0 {
		t.Fatalf("an empty journal holds %v", m)
	}
	cluster, db := load(agenttest.Cluster), load(agenttest.AllowPort("1"))
	for i := range 2 * compactAt { // far more than it keeps
		if err := j.note(load(agenttest.AllowPort(fmt.Sprint(i%60000+1))), nil); err != nil {
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
}
