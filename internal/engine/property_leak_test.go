package engine

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// sizes returns the number of entries of every map, pool, slab and hash index
// that an engine holds, by path.
func sizes(e *Engine) map[string]int {
	out := map[string]int{}
	addSizes(out, "engine", reflect.ValueOf(e).Elem(), map[uintptr]bool{})
	return out
}

func addSizes(out map[string]int, path string, v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Map:
		out[path] += v.Len()
	case reflect.Struct:
		free, items, next, used := v.FieldByName("free"), v.FieldByName("items"), v.FieldByName("next"), v.FieldByName("used")
		switch {
		case free.IsValid() && items.IsValid(): // a pool; number 0 is none
			out[path] += max(0, items.Len()-1-free.Len())
			return
		case free.IsValid() && next.IsValid(): // a slab; number 0 is none
			out[path] += max(0, int(next.Uint())-1-free.Len())
			return
		case used.IsValid(): // a hash index
			out[path] += int(used.Int())
			return
		}
		for i := range v.NumField() {
			addSizes(out, path+"."+v.Type().Field(i).Name, v.Field(i), seen)
		}
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			addSizes(out, path, v.Elem(), seen)
		}
	}
}

// Whatever an engine held: once all objects are gone, nothing in it holds more
// than those of a new one.
func TestEngineIsEmptyInTheEnd(t *testing.T) {
	fresh := New(nil)
	fresh.Flush()
	want := sizes(fresh)
	rapid.Check(t, func(t *rapid.T) {
		e := New(nil)
		m := modeltest.Models().Draw(t, "model")
		t.Logf("%v", modeltest.Text{Model: m})
		e.Apply(modeltest.Changes(nil, m)...)
		e.Flush()
		for _, step := range modeltest.Steps(m).Draw(t, "steps") {
			t.Logf("%v", modeltest.ChangesText(step))
			e.Apply(step...)
			e.Flush()
			m = modeltest.Apply(m, step...)
		}
		e.Apply(modeltest.Changes(m, &policy.Model{})...)
		e.Flush()
		got := sizes(e)
		var left []string
		for _, path := range slices.Sorted(maps.Keys(got)) {
			if got[path] > want[path] {
				left = append(left, fmt.Sprintf("%s: %d, want %d", path, got[path], want[path]))
			}
		}
		if len(left) > 0 {
			t.Fatalf("left over: %v", left)
		}
	})
}
