package files

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tierwall/tierwall/internal/suggest"
)

// maxProblems bounds what is said about one object: past that, it is no
// manifest with mistakes but something else.
const maxProblems = 50

// fieldProblem is one thing that keeps a node from being what a type demands.
type fieldProblem struct {
	path       string
	line       int
	message    string
	failClosed bool // see store.Finding.FailClosed
}

// decoder puts the nodes of one object into its type. It goes on past errors
// and notes where each field stands.
type decoder struct {
	base     int // added to the lines of nodes
	problems []fieldProblem
	notes    []fieldProblem // on fields that are passed over
	unread   []string       // see store.Rejected
	path     []pathPart
	lenient  int  // greater than 0 in what servers write and may extend: see writtenByServers
	strict   bool // whether unknown fields are errors: see kind.strict
	// left is how many nodes may still be visited in the whole file, repeated ones
	// again: aliases can make a short text stand for an endless one.
	left    *int
	stopped bool
}

// pathPart is one part of a path; name is empty for an element.
type pathPart struct {
	name  string
	index int
}

func (d *decoder) push(name string, index int) { d.path = append(d.path, pathPart{name, index}) }
func (d *decoder) pop()                        { d.path = d.path[:len(d.path)-1] }

// fail notes a problem that keeps the field at hand from being read.
func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.complain(n, format, args...)
	d.unread = append(d.unread, pathText(d.path))
}

// complain notes a problem of the field that is being decoded.
func (d *decoder) complain(n *yaml.Node, format string, args ...any) {
	if len(d.problems) == maxProblems {
		d.stopped = true
		return
	}
	d.problems = append(d.problems, fieldProblem{path: pathText(d.path), line: n.Line + d.base, message: fmt.Sprintf(format, args...)})
}

func pathText(path []pathPart) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.name == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case b.Len() > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// enter bounds depth and repetition, and follows aliases. It gives nil where
// decoding must not go on.
func (d *decoder) enter(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	*d.left -= 1 + len(n.Content)
	switch {
	case d.stopped:
		return nil
	case !knownTag(n):
		d.fail(n, "has the tag %s, which JSON has no values for: write the value without it", n.ShortTag())
		return nil
	case len(d.path) > maxDepth:
		d.fail(n, "nests deeper than %d", maxDepth)
		d.stopped = true
		return nil
	case *d.left < 0:
		d.fail(n, "stands for far more than is written: aliases repeat too much")
		d.stopped = true
		return nil
	}
	return n
}

// decode puts the node into v and notes the lines of what it holds in f.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, f *field) {
	if n = d.enter(n); n == nil || isNull(n) {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if decodesItself(v.Type()) {
		d.itself(n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, f)
	case reflect.Map:
		d.dictionary(n, v, f)
	case reflect.Slice:
		d.list(n, v, f)
	default:
		d.scalar(n, v)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pairs returns the keys and values of a mapping, those merged in by "<<" last.
// It reports keys that are written twice.
func (d *decoder) pairs(n *yaml.Node) [][2]*yaml.Node {
	out := make([][2]*yaml.Node, 0, len(n.Content)/2)
	var merged []*yaml.Node
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			d.complain(key, "has a key that is no text")
			continue
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if first, twice := seen[key.Value]; twice {
			d.push(key.Value, 0)
			d.complain(key, "is written twice: the first is on line %d", first+d.base)
			d.pop()
			continue
		}
		seen[key.Value] = key.Line
		out = append(out, [2]*yaml.Node{key, value})
	}
	for _, m := range merged {
		out = d.merge(out, m, seen)
	}
	return out
}

// merge adds the pairs of a "<<" whose keys are not there yet.
func (d *decoder) merge(out [][2]*yaml.Node, m *yaml.Node, seen map[string]int) [][2]*yaml.Node {
	d.push("<<", 0)
	defer d.pop()
	if m = d.enter(m); m == nil {
		return out
	}
	switch m.Kind {
	case yaml.SequenceNode:
		for _, one := range m.Content {
			out = d.merge(out, one, seen)
		}
	case yaml.MappingNode:
		for _, pair := range d.pairs(m) {
			if _, found := seen[pair[0].Value]; !found {
				seen[pair[0].Value] = pair[0].Line
				out = append(out, pair)
			}
		}
	default:
		d.fail(m, "merges something that has no fields")
	}
	return out
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, f *field) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s: expected fields (name: value)", found(n))
		return
	}
	p := planOf(v.Type())
	pairs := d.pairs(n)
	f.inside = make([]field, 0, len(pairs))
	for _, pair := range pairs {
		key, value := pair[0], pair[1]
		name := key.Value
		if name == "managedFields" && len(d.path) == 1 {
			continue // long, and of no use to us
		}
		d.push(name, 0)
		known, ok := p.fields[name]
		if !ok {
			d.unknown(n, key, v.Type(), p.names)
			d.pop()
			continue
		}
		f.inside = append(f.inside, field{name: name, line: int32(key.Line + d.base)})
		if len(d.path) == 1 && writtenByServers(v.Type(), name) {
			d.lenient++
			d.decode(value, v.FieldByIndex(known.index), &f.inside[len(f.inside)-1])
			d.lenient--
		} else {
			d.decode(value, v.FieldByIndex(known.index), &f.inside[len(f.inside)-1])
		}
		d.pop()
	}
	d.require(n, pairs, v.Type())
}

// unknown reports a field of n that the type does not have. The status of an object
// whose type has none is of no concern.
func (d *decoder) unknown(n, key *yaml.Node, t reflect.Type, names []string) {
	if d.lenient > 0 || key.Value == "status" && len(d.path) == 1 {
		return
	}
	if !d.strict {
		if len(d.notes) < maxProblems {
			d.notes = append(d.notes, fieldProblem{path: pathText(d.path), line: key.Line + d.base, message: "unknown field, passed over" + suggest.DidYouMean(key.Value, names)})
		}
		return
	}
	if hint := misplaced(t, key.Value); hint != "" {
		d.fail(key, "unknown field: %s", hint)
		return
	}
	near := suggest.DidYouMean(key.Value, names)
	if near == "" && len(names) <= 16 {
		near = ": expected " + strings.Join(names, ", ")
	}
	d.fail(key, "unknown field%s", near)
	if meant := suggest.Nearest(key.Value, names); meant != "" && valueAt(n, meant) == nil {
		d.path[len(d.path)-1].name = meant // the caller pops it
		d.unread = append(d.unread, pathText(d.path))
	}
}

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, f *field) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s: expected names with values (name: value)", found(n))
		return
	}
	pairs := d.pairs(n)
	t := v.Type()
	v.Set(reflect.MakeMapWithSize(t, len(pairs)))
	f.inside = make([]field, 0, len(pairs))
	for _, pair := range pairs {
		key, value := pair[0], pair[1]
		d.push(key.Value, 0)
		f.inside = append(f.inside, field{name: key.Value, line: int32(key.Line + d.base)})
		element := reflect.New(t.Elem()).Elem()
		d.decode(value, element, &f.inside[len(f.inside)-1])
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(t.Key()), element)
		d.pop()
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f *field) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s: expected a list (- value)", found(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	f.inside = make([]field, len(n.Content))
	for i, element := range n.Content {
		f.inside[i].line = int32(element.Line + d.base)
		d.push("", i)
		before := len(d.problems)
		if isNull(element) {
			d.fail(element, "is empty: expected a value")
		}
		d.decode(element, v.Index(i), &f.inside[i])
		d.failClosed(v.Index(i), before)
		d.pop()
	}
}

// itself lets the type read the value as JSON.
func (d *decoder) itself(n *yaml.Node, v reflect.Value) {
	value, ok := d.plain(n)
	if !ok {
		return
	}
	data, err := json.Marshal(value)
	if err != nil {
		d.fail(n, "%v", err)
		return
	}
	if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
		if v.Type() == reflect.TypeFor[intstr.IntOrString]() {
			d.fail(n, "%s: expected a whole number of at most %d, or a text", found(n), math.MaxInt32)
			return
		}
		d.fail(n, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

// wholeNumber is one as JSON writes it.
var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// plain returns the value of a node as encoding/json knows it.
func (d *decoder) plain(n *yaml.Node) (any, bool) {
	if n = d.enter(n); n == nil {
		return nil, false
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for _, pair := range d.pairs(n) {
			d.push(pair[0].Value, 0)
			v, ok := d.plain(pair[1])
			d.pop()
			if !ok {
				return nil, false
			}
			out[pair[0].Value] = v
		}
		return out, true
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for i, element := range n.Content {
			d.push("", i)
			v, ok := d.plain(element)
			d.pop()
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, true
	}
	switch tagOf(n) {
	case "!!null":
		return nil, true
	case "!!bool":
		return isTrue(n.Value), true
	case "!!int":
		if i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64); err == nil {
			return i, true
		}
	case "!!float":
		if wholeNumber.MatchString(n.Value) { // too large for 64 bits: as it is written
			return json.Number(n.Value), true
		}
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f-f == 0 { // finite
			return f, true
		}
	}
	return n.Value, true
}
