package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// narrow leaves the objects of the namespace to look at, and those of none, with
// what is said of them.
func (in *input) narrow() {
	if in.scope == "" {
		return
	}
	outside := func(k policy.Key) bool { return k.Namespace != "" && k.Namespace != in.scope }
	in.resources = slices.DeleteFunc(in.resources, func(r store.Resource) bool { return outside(r.Key) })
	in.rejected = slices.DeleteFunc(in.rejected, func(r store.Rejected) bool { return outside(r.Key) })
	in.findings = slices.DeleteFunc(in.findings, func(f store.Finding) bool { return outside(f.Key) })
}

// noteScope says that not all is shown. The text has a place for the namespace.
func (in *input) noteScope(w io.Writer, format string) error {
	if in.scope == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "Note: "+format+"; -A is for all namespaces\n", in.scope)
	return err
}

// findingText returns a finding as a line. One on an object of a store has the
// object's version beside its name.
func (in *input) findingText(f store.Finding) string {
	text := f.Error()
	if f.File != "" || f.Key == (policy.Key{}) {
		return text
	}
	name := store.ObjectName(f.Key)
	if place := in.place(f.Key); place != "" {
		text = name + " (" + place + ")" + strings.TrimPrefix(text, name)
	}
	return text
}

// versionOf returns the version of an object that was read.
func (in *input) versionOf(key policy.Key) objectVersion {
	for i := range in.resources {
		if r := &in.resources[i]; r.Key == key {
			return versionOf(r)
		}
	}
	for i := range in.rejected {
		if r := &in.rejected[i]; r.Key == key {
			return versionOf(&r.Resource)
		}
	}
	return objectVersion{}
}
