package input

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Restrict leaves the objects of the namespace to look at, and those of none, with
// what is said of them.
func (in *Input) Restrict() {
	if in.Namespace == "" {
		return
	}
	outside := func(k policy.Key) bool { return k.Namespace != "" && k.Namespace != in.Namespace }
	in.Resources = slices.DeleteFunc(in.Resources, func(r store.Resource) bool { return outside(r.Key) })
	in.Rejected = slices.DeleteFunc(in.Rejected, func(r store.Rejected) bool { return outside(r.Key) })
	in.Findings = slices.DeleteFunc(in.Findings, func(f store.Finding) bool { return outside(f.Key) })
}

// NoteNamespace says that not all is shown. The text has a place for the namespace.
func (in *Input) NoteNamespace(w io.Writer, format string) error {
	if in.Namespace == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "Note: "+format+"; -A is for all namespaces\n", in.Namespace)
	return err
}

// FindingText returns a finding as a line. One on an object of a store has the
// object's version beside its name.
func (in *Input) FindingText(f store.Finding) string {
	text := f.Error()
	if f.File != "" || f.Key == (policy.Key{}) {
		return text
	}
	name := store.ObjectName(f.Key)
	if place := in.Place(f.Key); place != "" {
		text = name + " (" + place + ")" + strings.TrimPrefix(text, name)
	}
	return text
}

// VersionOf returns the version of an object that was read.
func (in *Input) VersionOf(key policy.Key) ObjectVersion {
	for i := range in.Resources {
		if r := &in.Resources[i]; r.Key == key {
			return versionOf(r)
		}
	}
	for i := range in.Rejected {
		if r := &in.Rejected[i]; r.Key == key {
			return versionOf(&r.Resource)
		}
	}
	return ObjectVersion{}
}
