package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

const root = "../.."

// TestCurrent checks that the generated files are those of the present types.
func TestCurrent(t *testing.T) {
	files, err := Generate(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 12 {
		t.Errorf("only %d files are generated", len(files))
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v: run make generate", err)
			continue
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s is not current: run make generate\n%s", path, d)
		}
	}
	there, err := filepath.Glob(filepath.Join(root, "config", "crd", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if files[rel] == nil {
			t.Errorf("%s is no longer generated: run make generate", rel)
		}
	}
}

// TestWrite checks that writing makes what is missing and removes what is gone.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "config", "crd", "gone.yaml")
	if err := os.MkdirAll(filepath.Dir(gone), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gone, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(dir, map[string][]byte{"api/v3/a.go": []byte("package v3\n")}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "api/v3/a.go")); err != nil || string(got) != "package v3\n" {
		t.Errorf("written is %q, %v", got, err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", gone, err)
	}
}

func TestAmend(t *testing.T) {
	schema := func() *apiextensionsv1.JSONSchemaProps {
		return &apiextensionsv1.JSONSchemaProps{Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"list": {Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Type: "string"}}},
		}}
	}
	s := schema()
	if err := amend(s, "list[]", `{"format":"cidr"}`); err != nil {
		t.Fatal(err)
	}
	want := apiextensionsv1.JSONSchemaProps{Type: "string", Format: "cidr"}
	if d := cmp.Diff(want, *s.Properties["list"].Items.Schema); d != "" {
		t.Errorf("the item (-want +got):\n%s", d)
	}
	for path, want := range map[string]string{
		"other":    "has no field other",
		"list.x":   "has no field x",
		"list[][]": "is no list",
	} {
		if err := amend(schema(), path, `{}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
