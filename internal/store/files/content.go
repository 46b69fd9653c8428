package files

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// content is what one file holds.
type content struct {
	file     string
	objects  []*object
	findings []store.Finding
	// broken says that a part of the file did not parse, so that it is unknown
	// which objects it held.
	broken bool
}

// object is one object of a file.
type object struct {
	store.Resource
	place *place
	// retained says that the file no longer holds it, or not in this version: it
	// is the last valid one.
	retained bool
}

// builder makes a content.
type builder struct {
	*content
	opts         *Options
	left         int // nodes that may still be visited
	skips        map[string]*skipped
	skippedKinds []string // in the order of their first
}

// skipped counts objects of a kind that is of no concern.
type skipped struct{ count, line int }

// parseContent reads the text of a file.
func parseContent(file string, text []byte, opts *Options) *content {
	// A text without aliases has fewer nodes than bytes; aliases may add a little.
	b := &builder{content: &content{file: file}, opts: opts, left: 10_000 + 2*len(text), skips: map[string]*skipped{}}
	if looksLikeJSON(file, text) {
		roots, syntax := parseJSON(text)
		for _, root := range roots {
			b.document(root, 0)
		}
		b.syntax(syntax)
	} else {
		for _, d := range splitYAML(text) {
			root, syntax := parseYAML(d)
			b.syntax(syntax)
			if root != nil {
				b.document(root, d.firstLine-1)
			}
		}
	}
	b.notes()
	return b.content
}

// looksLikeJSON tells JSON from YAML: by the file's name, or else by how it
// begins, if it then parses as JSON or at least not as YAML.
func looksLikeJSON(file string, text []byte) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		return true
	case ".yaml", ".yml":
		// Valid JSON may stand in such a file, and YAML reads most of it, slowly.
		return json.Valid(text)
	}
	first := bytes.TrimLeft(text, "\ufeff \t\r\n")
	if len(first) == 0 || first[0] != '{' {
		return false
	}
	if json.Valid(text) {
		return true
	}
	first = bytes.TrimLeft(first[1:], " \t\r\n")
	if len(first) == 0 || first[0] != '"' {
		return false // a flow mapping of YAML: its keys need no quotes
	}
	_, syntax := parseYAML(document{text: text, firstLine: 1})
	return syntax != nil
}

func (b *builder) syntax(err *syntaxError) {
	if err != nil {
		b.broken = true
		b.findings = append(b.findings, store.Finding{File: b.file, Line: err.line, Message: err.message})
	}
}

// notes says what was passed over.
func (b *builder) notes() {
	for _, what := range b.skippedKinds {
		s := b.skips[what]
		objects := "1 object"
		if s.count > 1 {
			objects = fmt.Sprintf("%d objects", s.count)
		}
		b.note(s.line, "%s of %s passed over: it decides nothing here", objects, what)
	}
}

func (b *builder) note(line int, format string, args ...any) {
	b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Message: fmt.Sprintf(format, args...), Note: true})
}

// document takes in what one document holds: an object or a list.
func (b *builder) document(root *yaml.Node, base int) {
	for root.Kind == yaml.AliasNode {
		root = root.Alias
	}
	kindText, apiVersion := textAt(root, "kind"), textAt(root, "apiVersion")
	if kindText == "" {
		b.note(root.Line+base, "passed over: it is no manifest, since it has no kind")
		return
	}
	items := valueAt(root, "items")
	if of, isList := strings.CutSuffix(kindText, "List"); isList && (items != nil || of == "") {
		b.list(items, of, apiVersion, base)
		return
	}
	b.object(root, kindText, apiVersion, base)
}

// list takes in the items of a list. Those of a typed list (PodList) need not
// say what they are.
func (b *builder) list(items *yaml.Node, of, apiVersion string, base int) {
	if items == nil || isNull(items) {
		return
	}
	if items.Kind != yaml.SequenceNode {
		b.findings = append(b.findings, store.Finding{File: b.file, Line: items.Line + base, Field: "items", Message: found(items) + ": expected a list"})
		b.broken = true
		return
	}
	for _, item := range items.Content {
		for item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		kindText, version := textAt(item, "kind"), textAt(item, "apiVersion")
		if kindText == "" && of != "" {
			kindText, version = of, apiVersion
		}
		if kindText == "" {
			b.note(item.Line+base, "passed over: it is no manifest, since it has no kind")
			continue
		}
		b.object(item, kindText, version, base)
	}
}

// object takes in one object.
func (b *builder) object(n *yaml.Node, kindText, apiVersion string, base int) {
	key := policy.Key{Kind: kindText, Name: textAt(valueAt(n, "metadata"), "name"), Namespace: textAt(valueAt(n, "metadata"), "namespace")}
	k, known, problem := findKind(kindText, apiVersion)
	if !known {
		if problem == "" {
			b.skip(kindText, apiVersion, n.Line+base)
			return
		}
		b.findings = append(b.findings, store.Finding{File: b.file, Line: lineAt(n, "apiVersion") + base, Key: key, Field: "apiVersion", Message: problem})
		return
	}
	if k.modelKind != "" {
		key.Kind = k.modelKind
	}
	b.namespace(&key, &k, n, base)
	d := &decoder{base: base, left: &b.left}
	p := &place{file: b.file, root: &field{line: int32(n.Line + base)}}
	target := reflect.New(k.typ)
	d.decode(n, target.Elem(), p.root)
	if key.Name == "" {
		d.problems = append(d.problems, fieldProblem{"metadata.name", lineAt(n, "metadata") + base, "is missing: a " + kindText + " needs a name"})
		key = policy.Key{}
	}
	if len(d.problems) > 0 {
		for _, f := range d.problems {
			b.findings = append(b.findings, store.Finding{File: b.file, Line: f.line, Key: key, Field: f.path, Message: f.message})
		}
		b.broken = b.broken || key == policy.Key{}
		return
	}
	if meta, ok := target.Interface().(metav1.Object); ok {
		meta.SetNamespace(key.Namespace)
	}
	b.objects = append(b.objects, &object{
		Resource: store.Resource{Key: key, Object: target.Interface(), Origin: p},
		place:    p,
	})
}

// namespace settles which namespace the object is in.
func (b *builder) namespace(key *policy.Key, k *kind, n *yaml.Node, base int) {
	switch {
	case k.namespaced && key.Namespace == "":
		key.Namespace = b.opts.namespace()
	case !k.namespaced && key.Namespace != "":
		line := lineAt(valueAt(n, "metadata"), "namespace") + base
		key.Namespace = ""
		b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Key: *key, Field: "metadata.namespace", Note: true,
			Message: "has no effect: a " + store.WrittenKind(key.Kind) + " is in no namespace"})
	}
}

func (b *builder) skip(kindText, apiVersion string, line int) {
	what := kindText
	if apiVersion != "" {
		what += " (" + apiVersion + ")"
	}
	s := b.skips[what]
	if s == nil {
		s = &skipped{line: line}
		b.skips[what] = s
		b.skippedKinds = append(b.skippedKinds, what)
	}
	s.count++
}

// valueAt gives the value of a mapping's key; nil if there is none.
func valueAt(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			value := n.Content[i+1]
			for value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			return value
		}
	}
	return nil
}

// textAt gives the text of a mapping's key; "" if there is none.
func textAt(n *yaml.Node, key string) string {
	if v := valueAt(n, key); v != nil && v.Kind == yaml.ScalarNode && !isNull(v) {
		return v.Value
	}
	return ""
}

// lineAt gives the line of a mapping's key, or of the mapping if it has none.
func lineAt(n *yaml.Node, key string) int {
	if n == nil {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return n.Line
}
