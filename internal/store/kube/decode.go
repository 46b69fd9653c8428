package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// encoding is how an object is written.
type encoding uint8

const (
	jsonText encoding = iota
	// protobuf is a message of the object's type; enveloped the same in what the
	// API puts around messages that stand alone.
	protobuf
	enveloped
)

// object is one object as it came. Its build is for when it has changed.
type object struct {
	identity
	digest stamp // of what is read of it
	build  func() built
}

// identity is what all objects have.
type identity struct {
	namespace, name string
	resourceVersion string
	endOfInitial    bool // of a bookmark: what is there has been sent
}

// built is an object as it is handed over: valid if there are no findings beside notes
// and what fails closed.
type built struct {
	object   any
	findings []store.Finding
	unread   []string // see store.Rejected
}

// valid reports whether the object may be used.
func (b *built) valid() bool {
	return !slices.ContainsFunc(b.findings, func(f store.Finding) bool { return !f.Note && !f.FailClosed })
}

// decoder reads the objects of one kind, one after the other.
type decoder struct {
	kind    *kind
	seed    maphash.Seed
	scratch []byte
}

func newDecoder(k *kind) *decoder { return &decoder{kind: k, seed: maphash.MakeSeed()} }

// protobufMark begins an enveloped message.
var protobufMark = []byte("k8s\x00")

// unwrap takes the envelope off.
func unwrap(data []byte, enc encoding) ([]byte, error) {
	if enc != enveloped {
		return data, nil
	}
	rest, found := bytes.CutPrefix(data, protobufMark)
	if !found {
		return nil, errors.New("is no protobuf message of the Kubernetes API")
	}
	// The message is field 2 of the envelope; it is not copied.
	for len(rest) > 0 {
		number, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, typ, rest[n:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if number == 2 && typ == protowire.BytesType {
			raw, _ := protowire.ConsumeBytes(rest[n:])
			return raw, nil
		}
		rest = rest[n+size:]
	}
	return nil, nil
}

// identify reads who an object is, and nothing else of it.
func identify(data []byte, enc encoding) (identity, error) {
	data, err := unwrap(data, enc)
	if err != nil {
		return identity{}, err
	}
	var meta struct {
		Metadata struct {
			Name            string            `json:"name"`
			Namespace       string            `json:"namespace"`
			ResourceVersion string            `json:"resourceVersion"`
			Annotations     map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	m := &meta.Metadata
	if enc == jsonText {
		err = kjson.Unmarshal(data, &meta)
	} else {
		var partial metav1.PartialObjectMetadata
		err = partial.Unmarshal(data)
		m.Name, m.Namespace, m.ResourceVersion, m.Annotations = partial.Name, partial.Namespace, partial.ResourceVersion, partial.Annotations
	}
	return identity{m.Namespace, m.Name, m.ResourceVersion, m.Annotations[metav1.InitialEventsAnnotationKey] == "true"}, err
}

// decode reads an object. An error is only for what does not tell who it is; all
// else that is wrong with it is for build to say. The data may be overwritten
// as soon as it has returned.
func (d *decoder) decode(data []byte, enc encoding) (object, error) {
	if d.kind.create == nil {
		return d.strict(data, enc)
	}
	raw, err := unwrap(data, enc)
	if err != nil {
		return object{}, err
	}
	o := d.kind.create()
	switch {
	case enc == jsonText:
		err = kjson.Unmarshal(raw, o)
	case d.kind.keeps != nil:
		if d.scratch, err = d.kind.keeps.appendTo(d.scratch[:0], raw); err == nil {
			err = o.Unmarshal(d.scratch)
		}
	default:
		err = o.Unmarshal(raw)
	}
	if err != nil {
		return d.unreadable(raw, min(enc, protobuf), err)
	}
	id := identity{namespace: o.GetNamespace(), name: o.GetName(), resourceVersion: o.GetResourceVersion()}
	if id.name == "" {
		return object{}, errors.New("has no name")
	}
	d.kind.trim(o)
	o.GetObjectKind().SetGroupVersionKind(d.kind.gvk())
	size := o.Size()
	d.scratch = slices.Grow(d.scratch[:0], size)[:size]
	if _, err := o.MarshalToSizedBuffer(d.scratch); err != nil {
		return d.unreadable(raw, min(enc, protobuf), err)
	}
	return object{id, d.hash(d.scratch), func() built { return built{object: o} }}, nil
}

func (d *decoder) hash(data []byte) stamp { return stamp(maphash.Bytes(d.seed, data)) & digestMask }

// unreadable returns an object of which no more can be read than who it is.
func (d *decoder) unreadable(data []byte, enc encoding, cause error) (object, error) {
	id, err := identify(data, enc)
	if err != nil || id.name == "" {
		return object{}, cause
	}
	return object{id, d.hash(data), func() built {
		r := store.Resource{Key: d.kind.keyOf(id)}
		return built{findings: []store.Finding{r.At("", "cannot be read: %v", cause)}}
	}}, nil
}

// metaOf is what is read of the metadata of what is read strictly.
type metaOf struct {
	Name            string            `json:"name"`
	Namespace       string            `json:"namespace,omitempty"`
	UID             string            `json:"uid,omitempty"`
	Generation      int64             `json:"generation,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
}

// strict reads JSON whose every field must be understood, but for what servers
// add: most of the metadata, and the status.
func (d *decoder) strict(data []byte, enc encoding) (object, error) {
	if enc != jsonText {
		return object{}, errors.New("is not the JSON that was asked for")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return object{}, err
	}
	var meta metaOf
	if err := kjson.Unmarshal(fields["metadata"], &meta); err != nil {
		return d.unreadable(data, jsonText, fmt.Errorf("metadata: %w", err))
	}
	if meta.Name == "" {
		return object{}, errors.New("has no name")
	}
	id := identity{namespace: meta.Namespace, name: meta.Name, resourceVersion: meta.ResourceVersion}
	meta.ResourceVersion = ""
	delete(fields, "status")
	fields["apiVersion"] = strconv.AppendQuote(nil, d.kind.APIVersion())
	fields["kind"] = strconv.AppendQuote(nil, d.kind.Name)
	var err error
	if fields["metadata"], err = json.Marshal(meta); err != nil {
		return object{}, err
	}
	text, err := json.Marshal(fields) // in the order of the names
	if err != nil {
		return object{}, err
	}
	return object{id, d.hash(text), func() built { return d.file(id, text) }}, nil
}

// file reads an object as from a file, and takes out what is true only of files.
func (d *decoder) file(id identity, text []byte) built {
	loaded := files.ParseJSON("", text, files.Options{})
	key := d.kind.keyOf(id)
	var out built
	for _, f := range loaded.Findings {
		f.File, f.Line, f.Key = "", 0, key
		out.findings = append(out.findings, f)
	}
	switch {
	case len(loaded.Resources) == 1:
		out.object = loaded.Resources[0].Object
	case len(loaded.Rejected) == 1:
		out.object, out.unread = loaded.Rejected[0].Object, loaded.Rejected[0].Unread
	}
	if out.object == nil && out.valid() {
		r := store.Resource{Key: key}
		out.findings = append(out.findings, r.At("", "is no %s that can be read", d.kind.Name))
	}
	return out
}

// keyOf names an object.
func (k *kind) keyOf(id identity) policy.Key {
	return policy.Key{Kind: k.Key, Namespace: id.namespace, Name: id.name}
}
