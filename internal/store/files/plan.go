package files

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// plan tells which fields a struct type has in JSON.
type plan struct {
	fields map[string]planField
	names  []string // sorted
}

type planField struct {
	index []int // through embedded structs
	typ   reflect.Type
}

var plans sync.Map // reflect.Type -> *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{fields: map[string]planField{}}
	p.collect(t, nil)
	for name := range p.fields {
		p.names = append(p.names, name)
	}
	slices.Sort(p.names)
	stored, _ := plans.LoadOrStore(t, p)
	return stored.(*plan)
}

// collect adds the fields of t, which is reached by index. The types of the
// APIs embed structs, never pointers to them, and no two fields share a name.
func (p *plan) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		path := append(slices.Clone(index), i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inline := f.Anonymous && name == "" || strings.Contains(options, "inline")
		switch {
		case name == "-" || !f.IsExported():
		case inline && f.Type.Kind() == reflect.Struct:
			p.collect(f.Type, path)
		case name != "":
			p.fields[name] = planField{index: path, typ: f.Type}
		}
	}
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// decodesItself reports whether the type reads JSON its own way: quantities,
// times, values that are a number or a string.
func decodesItself(t reflect.Type) bool { return reflect.PointerTo(t).Implements(unmarshaler) }
