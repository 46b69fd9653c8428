package files_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// watched is a directory under watch and what the batches add up to.
type watched struct {
	*testing.T
	root       string
	batches    <-chan store.Batch
	objects    map[policy.Key]store.Resource
	findings   []store.Finding
	staleSince time.Time
}

// watch begins to watch and takes the first batch.
func watch(t *testing.T, root string) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	batches, ended := make(chan store.Batch), make(chan error, 1)
	go func() {
		ended <- files.Watch(ctx, root, files.Options{}, func(b store.Batch) error {
			select {
			case batches <- b:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	w := &watched{T: t, root: root, batches: batches, objects: map[policy.Key]store.Resource{}}
	w.take()
	return w
}

// take waits for the next batch.
func (w *watched) take() store.Batch {
	w.Helper()
	select {
	case b := <-w.batches:
		for _, r := range b.Updated {
			w.objects[r.Key] = r
		}
		for _, key := range b.Deleted {
			if _, found := w.objects[key]; !found {
				w.Errorf("%v is deleted, but was not there", key)
			}
			delete(w.objects, key)
		}
		w.findings, w.staleSince = b.Findings, b.StaleSince
		return b
	case <-time.After(20 * time.Second):
		w.Fatal("no batch comes")
	}
	return store.Batch{}
}

// until takes batches until the objects are the wanted ones and there are as
// many findings that are no notes.
func (w *watched) until(step string, findings int, want ...string) {
	w.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, errs := map[string]bool{}, 0
		for key := range w.objects {
			got[key.String()] = true
		}
		for _, f := range w.findings {
			if !f.Note {
				errs++
			}
		}
		same := len(got) == len(want) && errs == findings
		for _, key := range want {
			same = same && got[key]
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: have %v and findings %v; want %v and %d findings", step, got, texts(w.findings, w.root), want, findings)
		}
		w.take()
	}
}

// put replaces a file at once, as an editor does.
func (w *watched) put(name, text string) {
	w.Helper()
	path := filepath.Join(w.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) remove(name string) {
	w.Helper()
	if err := os.RemoveAll(filepath.Join(w.root, name)); err != nil {
		w.Fatal(err)
	}
}

func (w *watched) order(name string) string {
	r, found := w.objects[policy.Key{Kind: policy.KindTier, Name: name}]
	if !found {
		return "none"
	}
	_, line := r.Origin.Position("spec.order")
	return string(rune('0' + line))
}

func TestWatch(t *testing.T) {
	w := watch(t, write(t, map[string]string{"a.yaml": tier("a")}))
	w.until("at first", 0, "Tier/a")

	w.put("b.yaml", tier("b")+"---\n"+tier("c"))
	w.until("a new file", 0, "Tier/a", "Tier/b", "Tier/c")
	w.put("sub/dir/d.yaml", tier("d"))
	w.until("a new directory", 0, "Tier/a", "Tier/b", "Tier/c", "Tier/d")
	w.put("sub/dir/d.yaml", tier("e"))
	w.until("another object in the file", 0, "Tier/a", "Tier/b", "Tier/c", "Tier/e")
	w.remove("sub")
	w.until("a directory gone", 0, "Tier/a", "Tier/b", "Tier/c")
	w.put("README.md", "text")
	w.put("b.yaml", tier("c"))
	w.until("an object gone", 0, "Tier/a", "Tier/c")
	w.put("b.yaml", "# moved by four lines\n\n\n\n"+tier("c"))
	for file, line := "", 0; line != 5; {
		w.take()
		file, line = w.objects[policy.Key{Kind: policy.KindTier, Name: "c"}].Origin.Position("")
		_ = file
	}
}

func TestWatchKeepsLastValidVersion(t *testing.T) {
	w := watch(t, write(t, map[string]string{"a.yaml": tier("a") + "---\n" + tier("b"), "z.yaml": tier("z")}))
	w.until("at first", 0, "Tier/a", "Tier/b", "Tier/z")

	w.put("a.yaml", tier("a")+"spec: {ordr: 1}\n---\n"+tier("b"))
	w.until("one object invalid", 1, "Tier/a", "Tier/b", "Tier/z")
	w.put("a.yaml", tier("a")+"spec: {ordr: 1}\n")
	w.until("one invalid, one gone", 1, "Tier/a", "Tier/z")
	w.put("a.yaml", tier("a")+"---\n"+tier("b"))
	w.until("valid again", 0, "Tier/a", "Tier/b", "Tier/z")
	w.put("a.yaml", tier("a")+"---\na: b: c\n")
	w.until("a part that does not parse may hold the other", 1, "Tier/a", "Tier/b", "Tier/z")
	w.put("a.yaml", tier("a")+"---\n"+strings.Replace(tier("b"), "kind: Tier", "kind: Tierr", 1))
	w.until("a slip in a kind may be the other", 1, "Tier/a", "Tier/b", "Tier/z")
	w.put("a.yaml", "")
	w.until("empty", 1, "Tier/a", "Tier/b", "Tier/z")
	w.put("c.yaml", tier("b")+"spec: {order: 1}\n")
	for w.order("b") != "5" {
		w.take() // a valid version elsewhere goes before the one kept
	}
	w.remove("a.yaml")
	w.until("the file gone", 0, "Tier/b", "Tier/z")

	w.put("d.yaml", tier("z"))
	w.until("the same name twice", 1, "Tier/b", "Tier/z")
	w.remove("z.yaml")
	w.until("once again", 0, "Tier/b", "Tier/z")
	w.remove("")
	w.until("the whole directory gone", 1, "Tier/b", "Tier/z")
	if w.staleSince.IsZero() {
		t.Error("a directory that is gone is not said to be out of reach")
	}
	w.put("d.yaml", tier("n"))
	w.until("a new directory of the name", 0, "Tier/n")
	if !w.staleSince.IsZero() {
		t.Error("a directory that is back is said to be out of reach")
	}
}

// TestWatchConfigMap swaps the link behind the files, as a mounted ConfigMap
// does.
func TestWatchConfigMap(t *testing.T) {
	w := watch(t, write(t, map[string]string{
		"..1/a.yaml": tier("a"),
		"..data":     "-> ..1",
		"a.yaml":     "-> ..data/a.yaml",
	}))
	w.until("at first", 0, "Tier/a")
	w.put("..2/a.yaml", tier("b"))
	if err := os.Symlink("..2", filepath.Join(w.root, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(w.root, "..data_tmp"), filepath.Join(w.root, "..data")); err != nil {
		t.Fatal(err)
	}
	w.until("swapped", 0, "Tier/b")
}

// TestWatchLinkedDirectory: a link to a directory is followed, also when it leads elsewhere later. While it
// leads nowhere, what was read by it stays.
func TestWatchLinkedDirectory(t *testing.T) {
	away := write(t, map[string]string{"one/a.yaml": tier("a"), "two/b.yaml": tier("b")})
	w := watch(t, write(t, map[string]string{"z.yaml": tier("z"), "policies": "-> " + away + "/one"}))
	w.until("at first", 0, "Tier/a", "Tier/z")
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(w.root, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(w.root, "new"), filepath.Join(w.root, "policies")); err != nil {
			t.Fatal(err)
		}
	}
	link(away + "/two")
	w.until("led elsewhere", 0, "Tier/b", "Tier/z")
	if err := os.WriteFile(away+"/two/c.yaml", []byte(tier("c")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.until("changed there", 0, "Tier/b", "Tier/c", "Tier/z")
	link(away + "/three")
	w.until("led nowhere", 1, "Tier/b", "Tier/c", "Tier/z")
	w.remove("policies")
	w.until("gone", 0, "Tier/z")
}

func TestWatchEnds(t *testing.T) {
	if err := files.Watch(context.Background(), filepath.Join(t.TempDir(), "a/b"), files.Options{}, nil); err == nil {
		t.Error("a directory without a parent is watched")
	}
	want := errors.New("enough")
	got := files.Watch(context.Background(), t.TempDir(), files.Options{}, func(store.Batch) error { return want })
	if !errors.Is(got, want) {
		t.Errorf("Watch = %v, want what yield returned", got)
	}
}
