package modeltest

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// What follows goes through the fields of a type by reflection, at any depth, so
// that a test speaks of a field that somebody adds tomorrow as well: a key or an
// encoding that is written by hand is held against all of them.

// atomic are the types that are one value, whatever they are made of.
var atomic = map[reflect.Type]func(n int) any{
	reflect.TypeFor[netip.Addr]():         func(n int) any { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) },
	reflect.TypeFor[netip.Prefix]():       func(n int) any { return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24) },
	reflect.TypeFor[*selector.Selector](): func(n int) any { return selector.Has(fmt.Sprintf("label%04d", n)) },
	reflect.TypeFor[policy.WrittenPeer](): func(n int) any { return policy.NodesPeer{Labels: fmt.Sprintf("label%04d", n)} },
	reflect.TypeFor[policy.Action]():      func(n int) any { return policy.Allow + policy.Action(n%4) },
	reflect.TypeFor[policy.Family]():      func(n int) any { return policy.IPv4 + 2*policy.Family(n%2) },
}

// FieldPaths lists the fields of a type that have no fields of their own, and
// those that may be nil or empty: "Source.Set", "Source.Set.EndpointsOnly",
// "Rules[].Index".
func FieldPaths(t reflect.Type) []string { return fieldPaths(t, "") }

func fieldPaths(t reflect.Type, path string) []string {
	if atomic[t] != nil {
		return []string{path}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return withPath(path, fieldPaths(t.Elem(), path))
	case reflect.Slice:
		return withPath(path, fieldPaths(t.Elem(), path+"[]"))
	case reflect.Array:
		return fieldPaths(t.Elem(), path+"[]")
	case reflect.Struct:
		var all []string
		for i := range t.NumField() {
			all = append(all, fieldPaths(t.Field(i).Type, join(path, t.Field(i).Name))...)
		}
		return all
	}
	return []string{path}
}

// withPath puts a path before others, once: a pointer to what has no fields is one.
func withPath(path string, paths []string) []string {
	if path == "" || len(paths) == 1 && paths[0] == path {
		return paths
	}
	return append([]string{path}, paths...)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// VisitFields visits the value of every field of FieldPaths that v has: "" where it
// is zero, nil or empty.
func VisitFields(v any, visit func(path, value string)) { visitFields(reflect.ValueOf(v), "", visit) }

func visitFields(v reflect.Value, path string, visit func(path, value string)) {
	if atomic[v.Type()] == nil {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				visit(path, "")
				return
			}
			if e := v.Elem(); e.Kind() != reflect.Struct {
				visit(path, fmt.Sprintf("=%v", e))
				return
			}
			visit(path, "set")
			visitFields(v.Elem(), path, visit)
			return
		case reflect.Slice, reflect.Array:
			if v.Kind() == reflect.Slice {
				visit(path, lengthText(v.Len()))
			}
			for i := range v.Len() {
				visitFields(v.Index(i), path+"[]", visit)
			}
			return
		case reflect.Struct:
			for i := range v.NumField() {
				visitFields(v.Field(i), join(path, v.Type().Field(i).Name), visit)
			}
			return
		}
	}
	if v.IsZero() {
		visit(path, "")
		return
	}
	visit(path, fmt.Sprint(v))
}

func lengthText(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n, " elements")
}

// Filled returns a value of which no field is zero, nil or empty, at any depth.
// Lists have two elements; no two fields hold the same where there is a choice.
func Filled[T any]() T {
	n := 0
	return fill(reflect.TypeFor[T](), &n).Interface().(T)
}

func fill(t reflect.Type, n *int) reflect.Value {
	*n++
	if value := atomic[t]; value != nil {
		return reflect.ValueOf(value(*n))
	}
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(fill(t.Elem(), n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).Set(fill(t.Elem(), n))
		}
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(fill(t.Field(i).Type, n))
		}
	default:
		setScalar(v, *n)
	}
	return v
}

func setScalar(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%04d", n))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint8:
		v.SetUint(uint64(1 + n%math.MaxUint8))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) / 4)
	default:
		panic(fmt.Sprintf("modeltest: setScalar knows no values of kind %v (type %v): add them", v.Kind(), v.Type()))
	}
}

// Variant is a value that differs from another one in one field.
type Variant[T any] struct {
	Path  string // as FieldPaths names it
	Value T
}

// Variants returns values that each differ from v in one field: for every field of
// FieldPaths that v has, one or more. v shares parts with them.
func Variants[T any](v T) []Variant[T] {
	var all []Variant[T]
	n := 5000
	variants(reflect.ValueOf(v), "", &n, func(path string, other reflect.Value) {
		all = append(all, Variant[T]{path, other.Interface().(T)})
	})
	return all
}

func variants(v reflect.Value, path string, n *int, yield func(path string, other reflect.Value)) {
	t := v.Type()
	if atomic[t] != nil {
		yield(path, another(v, n))
		return
	}
	edit := func(change func(v reflect.Value)) reflect.Value {
		other := reflect.New(t).Elem()
		other.Set(v)
		change(other)
		return other
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			yield(path, another(v, n))
			return
		}
		if path != "" {
			yield(path, reflect.Zero(t))
		}
		variants(v.Elem(), path, n, func(path string, elem reflect.Value) {
			yield(path, edit(func(v reflect.Value) {
				v.Set(reflect.New(t.Elem()))
				v.Elem().Set(elem)
			}))
		})
	case reflect.Struct:
		for i := range t.NumField() {
			variants(v.Field(i), join(path, t.Field(i).Name), n, func(path string, field reflect.Value) {
				yield(path, edit(func(v reflect.Value) { v.Field(i).Set(field) }))
			})
		}
	case reflect.Slice:
		if v.Len() == 0 {
			yield(path, another(v, n))
			return
		}
		yield(path, reflect.Zero(t))
		yield(path, v.Slice(0, v.Len()-1))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			variants(v.Index(i), path+"[]", n, func(path string, elem reflect.Value) {
				yield(path, edit(func(v reflect.Value) {
					if t.Kind() == reflect.Slice {
						fresh := reflect.MakeSlice(t, v.Len(), v.Len())
						reflect.Copy(fresh, v)
						v.Set(fresh)
					}
					v.Index(i).Set(elem)
				}))
			})
		}
	default:
		yield(path, another(v, n))
	}
}

// another returns a value that is not v.
func another(v reflect.Value, n *int) reflect.Value {
	if v.Kind() == reflect.Bool {
		other := reflect.New(v.Type()).Elem()
		other.SetBool(!v.Bool())
		return other
	}
	for {
		if other := fill(v.Type(), n); !reflect.DeepEqual(other.Interface(), v.Interface()) {
			return other
		}
	}
}

// Only returns, for each field of a struct, the struct with that field alone: all
// others are zero.
func Only[T any](v T) []Variant[T] {
	var all []Variant[T]
	from := reflect.ValueOf(v)
	for i := range from.NumField() {
		only := reflect.New(from.Type()).Elem()
		only.Field(i).Set(from.Field(i))
		all = append(all, Variant[T]{from.Type().Field(i).Name, only.Interface().(T)})
	}
	return all
}
