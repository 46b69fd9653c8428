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
}

// defaultMaxBytes is 256 MiB: a dump of a cluster of 100,000 pods, trimmed.
const defaultMaxBytes = 256 << 20

func (o *Options) namespace() string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}

func (o *Options) maxBytes() int64 {
	if o.MaxBytes == 0 {
		return defaultMaxBytes
	}
	return o.MaxBytes
}

// Load reads the paths: files, directories (recursively: .yaml, .yml, .json)
// and "-" for standard input. It reads on past errors; each is a finding.
// Resources are in the order of the paths, of the names in a directory and of
// their place in the file; of several objects of one key only the first is
// given, and the others are findings.
func Load(paths []string, opts Options) ([]store.Resource, []store.Finding) {
	l := loader{opts: opts, left: opts.maxBytes()}
	var contents []*content
	for _, name := range l.expand(paths) {
		if c := l.read(name); c != nil {
			contents = append(contents, c)
		}
	}
	merged := merge(contents)
	return merged.resources, append(l.findings, merged.findings...)
}

// merged is what several files hold together.
type merged struct {
	resources []store.Resource
	findings  []store.Finding
}

// merge joins the files' contents. Of several objects of one key the first
// counts, but one that its file no longer holds in a valid version counts only
// if no other does.
func merge(contents []*content) merged {
	var out merged
	var objects []*object
	byKey := map[policy.Key]*object{}
	for _, c := range contents {
		out.findings = append(out.findings, c.findings...)
		for _, o := range c.objects {
			first := byKey[o.Key]
			switch {
			case first == nil:
				byKey[o.Key] = o
			case first.retained && !o.retained:
				byKey[o.Key] = o
			case !first.retained && !o.retained:
				out.findings = append(out.findings, duplicate(o, first))
			}
			objects = append(objects, o)
		}
	}
	for _, o := range objects {
		if byKey[o.Key] == o {
			out.resources = append(out.resources, o.Resource)
		}
	}
	return out
}

func duplicate(o, first *object) store.Finding {
	return o.At("metadata.name", "is already the name of the %s at %s: remove one of them, or rename it",
		store.WrittenKind(o.Key.Kind), first.place.String())
}
