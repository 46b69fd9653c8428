package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRecords(t *testing.T) {
	dir := RecordsDir(filepath.Join(t.TempDir(), "cni.sock"))
	if dir.Made() {
		t.Error("the directory is said to be there")
	}
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	first := Record{Pod: testPod(), Since: time.Unix(100, 5).UTC()}
	second := Record{Pod: testPod(func(p *Pod) { p.Interface = "net1" }), Since: time.Unix(200, 0).UTC(), Late: true}
	for _, r := range []Record{first, second, first} {
		if err := dir.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir.file(first.Attachment))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := dir.Write(Record{}); err == nil {
		t.Error("a record without a pod was written")
	}
	// What is no record is named, and what is not finished is not read.
	if err := os.Symlink("/etc/passwd", filepath.Join(string(dir), "link.json")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		".new-1":       "half",
		"a.json":       "{",
		"b.json":       `{"version":2}`,
		"d.json":       `{"version":1}`,
		"c9:eth0.json": readAll(t, dir.file(first.Attachment)),
		"e.json":       strings.Repeat(" ", maxRecord+1),
	} {
		if err := os.WriteFile(filepath.Join(string(dir), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(string(dir), "f.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	records, problems, err := dir.Read()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(records, func(a, b Record) int { return a.Since.Compare(b.Since) })
	if diff := cmp.Diff([]Record{first, second}, records, cmpAddr); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var got []string
	for _, p := range problems {
		got = append(got, strings.ReplaceAll(p.Error(), string(dir), "DIR"))
	}
	want := []string{
		"record DIR/a.json: unexpected end of JSON input",
		"record DIR/b.json: version 2: expected 1",
		"record DIR/c9:eth0.json: is about c1/eth0, whose record has another name",
		`record DIR/d.json: container "": missing containerID`,
		fmt.Sprintf("record DIR/e.json: more than %d bytes", maxRecord),
		"record DIR/f.json: is no regular file",
		"record DIR/link.json: open DIR/link.json: too many levels of symbolic links",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems: -want +got:\n%s", diff)
	}
	for range 2 {
		if err := dir.Remove(first.Attachment); err != nil {
			t.Fatal(err)
		}
	}
	if dir.Has(first.Attachment) || !dir.Has(second.Attachment) {
		t.Error("the wrong record was removed")
	}
	if err := dir.Remove(Attachment{"../..", "eth0"}); err == nil {
		t.Error("a path was taken for a container")
	}
	dir.Clean(time.Now().Add(time.Hour))
	if _, err := os.Stat(filepath.Join(string(dir), ".new-1")); err == nil {
		t.Error("what was not finished stays")
	}
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecordsDir(t *testing.T) {
	for socket, want := range map[string]Dir{
		"/run/tierwall/cni.sock": "/run/tierwall/cni",
		"/run/a":                 "/run/a.records",
		"/run/.sock":             "/run/.sock.records",
	} {
		if got := RecordsDir(socket); got != want {
			t.Errorf("%s: %s, want %s", socket, got, want)
		}
	}
}

// FuzzRecord holds that a record that is read is one that can be written.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"namespace":"a","name":"b","container":"c","interface":"eth0","network":"n","addrs":["10.0.0.1"],"since":"2026-01-02T03:04:05Z","later":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
