package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUpToDate(t *testing.T) {
	stale, err := update("../..", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stale {
		t.Errorf("%s is not up to date: run make manifests", path)
	}
}

func TestUpdate(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"config/crd", "charts"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "charts/tierwall"), os.DirFS("../../charts/tierwall")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(root, "config/crd"), os.DirFS("../../config/crd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "charts/tierwall/files/crds/gone.yaml"), []byte("---\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if stale, err := update(root, true); err != nil || len(stale) == 0 {
		t.Fatalf("stale %v, error %v", stale, err)
	}
	if stale, err := update(root, false); err != nil || len(stale) > 0 {
		t.Errorf("after an update: stale %v, error %v", stale, err)
	}
	if _, err := os.Stat(filepath.Join(root, "charts/tierwall/files/crds/gone.yaml")); !os.IsNotExist(err) {
		t.Errorf("a definition that is no more stays in the chart: %v", err)
	}
}
