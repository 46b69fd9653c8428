package crdtest_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/tools/crdtest"
)

func TestMain(m *testing.M) { modeltest.Main(m, 500, 5000) }

// TestRandom draws objects with good and bad values in any combination.
func TestRandom(t *testing.T) {
	kinds := load(t)
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{
			"GlobalNetworkPolicy", "NetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy", "Tier", "NetworkSet",
		}).Draw(t, "kind")
		object := map[string]any{
			"apiVersion": "projectcalico.org/v3", "kind": kind,
			"metadata": map[string]any{"name": pick(t, "name", "a", "a", "a", "a.b", "default", "A")},
			"spec":     drawSpec(t, kind),
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		j := judge(t, kinds, string(text))
		j.check(t, string(text))
		if j.definition == "" {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("no object was accepted by its definition: the test tests little")
	}
	t.Logf("%d objects were accepted by their definitions", accepted)
}

// TestManifests checks all objects in the manifests of the main module.
func TestManifests(t *testing.T) {
	kinds := load(t)
	count := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2, d.IsDir() && d.Name() == "charts":
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".yaml":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq(string(text), "\n---") {
			if isOurs(kinds, doc) {
				count++
				j := judge(t, kinds, doc)
				j.check(t, path+"\n"+doc)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("only %d objects were found", count)
	}
}

// isOurs reports whether a document is an object of one of the definitions.
func isOurs(kinds map[string]*crdtest.Kind, doc string) bool {
	var o struct{ APIVersion, Kind string }
	err := yaml.Unmarshal([]byte(doc), &o)
	return err == nil && o.APIVersion == "projectcalico.org/v3" && kinds[o.Kind] != nil
}

// pick draws one of the values; those that are good come first and are likelier.
func pick[T any](t *rapid.T, label string, values ...T) T {
	return values[rapid.IntRange(0, len(values)-1).Draw(t, label)]
}

// fields draws some of the fields.
func fields(t *rapid.T, all map[string]func() any) map[string]any {
	out := map[string]any{}
	for _, name := range sortedKeys(all) {
		if rapid.IntRange(0, 4).Draw(t, "has "+name) == 0 {
			out[name] = all[name]()
		}
	}
	return out
}

func list(t *rapid.T, label string, most int, draw func() any) func() any {
	return func() any {
		out := make([]any, rapid.IntRange(0, most).Draw(t, label))
		for i := range out {
			out[i] = draw()
		}
		return out
	}
}

func one(t *rapid.T, label string, values ...any) func() any {
	return func() any { return pick(t, label, values...) }
}
