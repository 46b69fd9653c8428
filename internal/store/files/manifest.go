package files

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// maxListDepth bounds lists in lists: aliases can make one that holds itself.
const maxListDepth = 10

// document takes in what one document holds: an object or a list.
func (b *builder) document(root *yaml.Node, base int) {
	root = target(root)
	switch {
	case isNull(root):
	case textAt(root, "kind") == "":
		b.withoutKind(root, base)
	default:
		b.manifest(root, textAt(root, "kind"), textAt(root, "apiVersion"), base, 0)
	}
}

// withoutKind tells a manifest that lacks its kind from a file that is none.
func (b *builder) withoutKind(n *yaml.Node, base int) {
	isObject := func(item *yaml.Node) bool {
		return textAt(target(item), "kind") != "" && textAt(target(item), "apiVersion") != ""
	}
	if n.Kind == yaml.SequenceNode && slices.ContainsFunc(n.Content, isObject) {
		// As Calico's tools read and write several objects.
		b.items(n, "", "", "", base, 0)
		return
	}
	for _, key := range []string{"kind", "metadata", "spec", "items"} {
		if valueAt(n, key) != nil && valueAt(n, "apiVersion") != nil {
			b.kindIsMissing(n, base)
			return
		}
	}
	if near := nearKey(n, "kind"); near != "" && (valueAt(n, "apiVersion") != nil || valueAt(n, "metadata") != nil) {
		b.kindIsMissing(n, base)
		return
	}
	b.passedOver++
	if isKustomization(b.file) {
		b.kustomization(n.Line + base)
		return
	}
	b.note(n.Line+base, "passed over: it is no manifest, since it has no kind")
}

func (b *builder) kindIsMissing(n *yaml.Node, base int) {
	if near := nearKey(n, "kind"); near != "" {
		b.fail(lineAt(n, near)+base, near, "unknown field; did you mean \"kind\"?")
		return
	}
	b.fail(lineAt(n, "kind")+base, "kind", "is missing, so that it is unknown what this is")
}

// nearKey returns the key of a mapping that was probably meant to be another.
func nearKey(n *yaml.Node, meant string) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i].Value; key != meant && suggest.Nearest(key, []string{meant}) != "" {
			return key
		}
	}
	return ""
}

// manifest takes in an object or a list, which is in as many lists.
func (b *builder) manifest(n *yaml.Node, kindText, apiVersion string, base, depth int) {
	if of, isList := strings.CutSuffix(kindText, "List"); isList && holdsList(n, of, apiVersion) {
		b.list(n, of, apiVersion, base, depth)
		return
	}
	b.object(n, kindText, apiVersion, base)
}

// holdsList tells a list of objects from a kind that happens to be called so.
func holdsList(n *yaml.Node, of, apiVersion string) bool {
	if of == "" || kinds[of] != nil {
		return true
	}
	items := valueAt(n, "items")
	if items == nil || realKinds[groupOf(apiVersion)] != nil {
		return items != nil
	}
	return items.Kind == yaml.SequenceNode && !slices.ContainsFunc(items.Content, func(item *yaml.Node) bool {
		return target(item).Kind != yaml.MappingNode
	})
}

// list takes in the items of a list. Those of a typed list (PodList) need not
// say what they are.
func (b *builder) list(n *yaml.Node, of, apiVersion string, base, depth int) {
	fields := []string{"apiVersion", "items", "kind", "metadata"}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(fields, key.Value) {
			b.fail(key.Line+base, key.Value, "is no field of a list%s", suggest.DidYouMean(key.Value, fields))
		}
	}
	items := valueAt(n, "items")
	switch {
	case items == nil:
		b.note(n.Line+base, "is a list without items")
		return
	case isNull(items):
		return
	case items.Kind != yaml.SequenceNode:
		b.fail(items.Line+base, "items", "%s: expected a list", found(items))
		return
	case depth == maxListDepth:
		b.fail(items.Line+base, "items", "holds lists in more than %d lists", maxListDepth)
		return
	}
	b.items(items, "items", of, apiVersion, base, depth)
}

// items takes in the objects of a list; field is what it is called, if it has a name.
func (b *builder) items(items *yaml.Node, field, of, apiVersion string, base, depth int) {
	for _, item := range items.Content {
		item = target(item)
		if b.left--; b.left < 0 {
			b.fail(items.Line+base, field, "stands for far more than is written: aliases repeat too much")
			return
		}
		kindText, version := textAt(item, "kind"), textAt(item, "apiVersion")
		if kindText == "" && of != "" {
			kindText, version = of, apiVersion
		}
		switch {
		case item.Kind != yaml.MappingNode:
			b.fail(item.Line+base, field, "%s: expected an object", found(item))
		case kindText == "":
			b.kindIsMissing(item, base)
		default:
			b.manifest(item, kindText, version, base, depth+1)
		}
	}
}

// object takes in one object.
func (b *builder) object(n *yaml.Node, kindText, apiVersion string, base int) {
	key := policy.Key{Kind: kindText, Name: textAt(valueAt(n, "metadata"), "name"), Namespace: textAt(valueAt(n, "metadata"), "namespace")}
	k, validity := findKind(kindText, apiVersion)
	switch {
	case validity.skip:
		b.skip(kindText, apiVersion, n.Line+base)
		return
	case validity.problem != "":
		// What was it called before? If that is unknown, so is what to keep.
		b.broken = b.broken || !validity.real
		b.findings = append(b.findings, store.Finding{File: b.file, Line: lineAt(n, validity.field) + base, Key: key, Field: validity.field, Message: validity.problem})
		return
	}
	key.Kind = k.Key
	b.namespace(&key, &k, n, base)
	d := &decoder{base: base, left: &b.left, strict: k.strict()}
	p := &position{file: b.file, root: &field{line: int32(n.Line + base)}}
	into := reflect.New(k.typ)
	d.decode(n, into.Elem(), p.root)
	if key.Name == "" {
		d.problems = append(d.problems, fieldProblem{path: "metadata.name", line: lineAt(n, "metadata") + base, message: "is missing: a " + kindText + " needs a name"})
		d.unread = append(d.unread, "metadata.name")
		key = policy.Key{}
	}
	if meta, ok := into.Interface().(metav1.Object); ok {
		meta.SetNamespace(key.Namespace)
	}
	p.line = p.root.line
	p.root = b.interner.shape(p.root)
	if pod, ok := into.Interface().(*corev1.Pod); ok && len(d.problems) == 0 {
		b.interner.pod(pod)
	}
	if k.stored {
		d.problems = append(d.problems, asV3(into.Interface(), &key, p)...)
	}
	o := object{
		Resource: store.Resource{Key: key, Object: into.Interface(), Origin: p},
		position: p,
		stored:   k.stored,
	}
	for i := range d.notes {
		b.unknownField(&o, &d.notes[i])
	}
	for _, f := range d.problems {
		b.findings = append(b.findings, store.Finding{File: b.file, Line: f.line, Key: key, Field: f.path, Message: f.message, FailClosed: f.failClosed})
	}
	if !d.isOpen() {
		b.objects = append(b.objects, &o)
		return
	}
	b.broken = b.broken || key == policy.Key{}
	if !d.stopped {
		b.rejected = append(b.rejected, &rejected{o, d.unread})
	}
}

// namespace settles which namespace the object is in.
func (b *builder) namespace(key *policy.Key, k *kind, n *yaml.Node, base int) {
	switch {
	case k.Namespaced && key.Namespace == "":
		key.Namespace = b.opts.namespace()
	case !k.Namespaced && key.Namespace != "":
		line := lineAt(valueAt(n, "metadata"), "namespace") + base
		key.Namespace = ""
		b.findings = append(b.findings, store.Finding{File: b.file, Line: line, Key: *key, Field: "metadata.namespace", Note: true,
			Message: "has no effect: a " + store.WrittenKind(key.Kind) + " is in no namespace"})
	}
}
