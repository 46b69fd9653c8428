package modeltest_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// A property says nothing of a field that no model has: every field of what
// decides has more than one value in the models that are drawn.
func TestModelsDrawEveryField(t *testing.T) {
	seen := map[string]map[string]bool{}
	note := func(kind string, v any) {
		modeltest.VisitFields(v, func(path, value string) {
			path = kind + "." + path
			if seen[path] == nil {
				seen[path] = map[string]bool{}
			}
			seen[path][value] = true
		})
	}
	models := modeltest.ModelsWithEverything()
	for seed := range 600 {
		m := models.Example(seed)
		for _, o := range m.Tiers {
			note("Tier", *o)
		}
		for _, o := range m.Policies {
			note("Policy", *o)
		}
		for _, o := range m.Endpoints {
			note("Endpoint", *o)
		}
		for _, o := range m.Sets {
			note("Set", *o)
		}
	}
	kinds := map[string]reflect.Type{
		"Tier": reflect.TypeFor[policy.Tier](), "Policy": reflect.TypeFor[policy.Policy](),
		"Endpoint": reflect.TypeFor[policy.Endpoint](), "Set": reflect.TypeFor[policy.Set](),
	}
	for kind, typ := range kinds {
		for _, path := range modeltest.FieldPaths(typ) {
			path = kind + "." + path
			if n := len(seen[path]); n < 2 {
				t.Errorf("%s has %d values in the models drawn, want more than one: no property tests it", path, n)
			}
		}
	}
}

type sample struct {
	Bool   bool
	Text   string
	Number *uint8
	List   []policy.PortRange
	Array  [2]bool
	In     *sampleIn
}

type sampleIn struct{ Family policy.Family }

func TestFilledHasNoZeroField(t *testing.T) {
	modeltest.VisitFields(modeltest.Filled[policy.Policy](), func(path, value string) {
		if value == "" {
			t.Errorf("%s is zero", path)
		}
	})
}

// Variants differ from what they are variants of, from one another, and together in every field.
func TestVariantsDifferInEveryField(t *testing.T) {
	filled := modeltest.Filled[sample]()
	variants := modeltest.Variants(filled)
	var paths []string
	for i, v := range variants {
		paths = append(paths, v.Path)
		for _, other := range append([]modeltest.Variant[sample]{{"the original", filled}}, variants[:i]...) {
			if reflect.DeepEqual(v.Value, other.Value) {
				t.Errorf("variant in %s is %s", v.Path, other.Path)
			}
		}
	}
	slices.Sort(paths)
	want := slices.Sorted(slices.Values(modeltest.FieldPaths(reflect.TypeFor[sample]())))
	if got := slices.Compact(paths); !slices.Equal(got, want) {
		t.Errorf("variants in %v, want in %v", got, want)
	}
	if !reflect.DeepEqual(filled, modeltest.Filled[sample]()) {
		t.Error("the original has changed")
	}
}
