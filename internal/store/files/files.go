// Package files is the store that reads manifests: files, directories,
// standard input; YAML of one or many documents, JSON, lists.
//
// It is strict: a field that an API does not have, a key written twice or a
// value of the wrong type is a finding, with the line it stands on. What one
// object has wrong never hides the others.
package files

import (
	"io"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Options says how to read.
type Options struct {
	// Namespace is that of objects that name none; empty means "default".
	Namespace string
	// Stdin is read for the path "-".
	Stdin io.Reader
	// MaxBytes bounds the total size of what is read; 0 means 256 MiB.
	MaxBytes int64
	// ItemsFrom is how large a list is that is read item by item, in bytes; 0 means 64 KiB.
	ItemsFrom int
	// Progress is called with the number of bytes that have been read of a large list, one item
	// after the other; nil: it is not.
	Progress func(bytes int64)
}

// defaultMaxBytes is 256 MiB: a dump of a cluster of 100,000 pods, trimmed.
const defaultMaxBytes = 256 << 20

func (o *Options) namespace() string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}

func (o *Options) minItems() int {
	if o.ItemsFrom == 0 {
		return minItems
	}
	return o.ItemsFrom
}

func (o *Options) progress(bytes int64) {
	if o.Progress != nil {
		o.Progress(bytes)
	}
}

func (o *Options) maxBytes() int64 {
	if o.MaxBytes == 0 {
		return defaultMaxBytes
	}
	return o.MaxBytes
}

// Load returns the valid objects of LoadAll, and its findings.
func Load(paths []string, opts Options) ([]store.Resource, []store.Finding) {
	loaded := LoadAll(paths, opts)
	return loaded.Resources, loaded.Findings
}

// Loaded is what several files hold together.
type Loaded struct {
	// Resources are in the order of the paths, of the names in a directory and
	// of their place in the file. Of several objects of one key it has the first.
	Resources []store.Resource
	// Rejected are the objects that are not among the resources because of
	// something among the findings, as far as they could be read.
	Rejected []store.Rejected
	Findings []store.Finding
	// PassedOver is how many objects and documents decide nothing here.
	PassedOver int
}

// LoadAll reads the paths: files, directories (recursively: .yaml, .yml, .json)
// and "-" for standard input. It reads on past errors; each is a finding.
func LoadAll(paths []string, opts Options) Loaded {
	l := loader{opts: opts, left: opts.maxBytes()}
	var contents []*content
	for _, name := range l.expand(paths) {
		if c := l.read(name); c != nil {
			contents = append(contents, c)
		}
	}
	out := merge(contents)
	out.Findings = append(l.findings, out.Findings...)
	return out
}

// merge joins the files' contents. Of several objects of one key the first
// counts, but one that its file no longer holds in a valid version counts only
// if no other does.
func merge(contents []*content) Loaded {
	var out Loaded
	var objects []*object
	byKey := map[policy.Key]*object{}
	unstored := originals(contents)
	for _, c := range contents {
		out.Findings = append(out.Findings, c.findings...)
		out.PassedOver += c.passedOver
		for _, o := range c.objects {
			if o.stored && unstored[o.identity()] != nil {
				out.Findings = append(out.Findings, storedTwice(o, unstored[o.identity()]))
				continue
			}
			first := byKey[o.Key]
			switch {
			case first == nil:
				byKey[o.Key] = o
			case first.retained && !o.retained:
				byKey[o.Key] = o
			case !first.retained && !o.retained:
				out.Findings = append(out.Findings, duplicate(o, first))
				out.Rejected = append(out.Rejected, store.Rejected{Resource: o.Resource})
			}
			objects = append(objects, o)
		}
	}
	for _, o := range objects {
		if byKey[o.Key] == o {
			out.Resources = append(out.Resources, o.Resource)
		}
	}
	for _, c := range contents {
		for _, r := range c.rejected {
			if r.stored && unstored[r.identity()] != nil {
				continue
			}
			out.Rejected = append(out.Rejected, store.Rejected{Resource: r.Resource, Unread: r.unread})
			switch first := byKey[r.Key]; {
			case r.Key == policy.Key{}:
			case first == nil:
				byKey[r.Key] = &r.object
			case !first.retained:
				out.Findings = append(out.Findings, duplicate(&r.object, first))
			}
		}
	}
	return out
}

func duplicate(o, first *object) store.Finding {
	return o.At("metadata.name", "is already the name of the %s at %s: remove one of them, or rename it",
		store.WrittenKind(o.Key.Kind), first.position.String())
}
