// Package store says what a source of resources delivers: typed objects with
// the place they come from, and findings about what could not be taken.
//
// The stores themselves (files, kube, etcd) are packages below this one. A store
// parses; what an object means is for package translate.
package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tierwall/tierwall/internal/printable"
	"github.com/tierwall/tierwall/policy"
)

// AllowedSourcesAnnotation is the annotation of a Pod that lists ranges of sources which its
// packets may have beside its own addresses, where the administrator of nodes honours it.
const AllowedSourcesAnnotation = "cni.projectcalico.org/allowedSourcePrefixes"

// Resource is one object of a source API. It is immutable once handed over.
type Resource struct {
	// Key names the object. Its kind is the written one, except that a
	// networking.k8s.io NetworkPolicy is policy.KindKubernetesNetworkPolicy,
	// as it is in the model.
	Key policy.Key
	// Object points to the API's type: *corev1.Pod, *v3.Tier, ...
	Object any
	// Origin says where the object was read; nil if there is no such place.
	Origin Origin
}

// Rejected is an object that must not be used: not all of it could be read, or
// another object has its name already. It is handed over so that a user learns
// at once of all that is wrong with it.
type Rejected struct {
	Resource
	// Unread holds the fields that could not be read, and those that an unknown
	// field was probably meant to be. They are zero in Object, which says nothing
	// about what the user wrote.
	Unread []string
}

// Origin is the place that an object was read from.
type Origin interface {
	// Position returns the file and the line (from 1) of a field, written as in
	// "spec.ingress[2].ports[0]"; the nearest field above it that was written
	// if that one was not; the object itself for "".
	Position(field string) (file string, line int)
}

// Batch is one step of a store: what changed since the last one.
type Batch struct {
	Updated []Resource   // new, or in a new version
	Deleted []policy.Key // gone
	// Findings is everything that is wrong with the store's present state, not
	// only what is new: objects that do not parse, files that cannot be read.
	// An object with a finding keeps its last valid version, if it had one; it
	// is neither in Updated nor in Deleted.
	Findings []Finding
	// More says that this batch is a part of a step: the next follows at once.
	// A reader takes it in and acts when it has the last part. So a first state of
	// 100,000 objects need not be held as one list.
	More bool
	// StaleSince is since when the store, or a part of it, cannot be followed: what was read may no
	// longer be what it holds. Zero: all of it is followed. Findings say why it is not.
	StaleSince time.Time
	// Received is when the earliest of the changes reached this process; zero if
	// the store cannot tell.
	Received time.Time
}

// Source is a store to read from: a directory, a cluster, etcd.
type Source interface {
	// List returns the present state once, in the order of the objects' keys or of
	// their files.
	List(ctx context.Context) (Listing, error)
	// Watch delivers the present state as the first step, complete, and then
	// what changes, until the context or deliver ends it. A store that cannot be
	// reached for a while is no end: the state stays as it is, Findings say what
	// is wrong and StaleSince since when, and what was missed is delivered when it is back.
	Watch(ctx context.Context, deliver func(Batch) error) error
	// String returns the store as a user writes it: "files:/etc/tierwall", "kube",
	// "etcd:https://10.0.0.1:2379".
	String() string
}

// Listing is one state of a store.
type Listing struct {
	Resources []Resource
	Rejected  []Rejected
	Findings  []Finding
	// PassedOver is how many objects and documents there were beside these, which decide
	// nothing here.
	PassedOver int
}

// Finding is one thing to say about an object or a file.
type Finding struct {
	File    string     // empty if unknown; "<stdin>" is standard input
	Line    int        // from 1; 0 if it concerns the whole file or is unknown
	Key     policy.Key // zero if the file is at fault and not an object
	Field   string     // as in "spec.ingress[2].ports[0]"; empty if none
	Message string     // what is wrong and what would be right
	Note    bool       // nothing is wrong: said for the user's information
	// Warning says of a note that it concerns whatever is decided by what was read.
	Warning bool
	// Unreadable says that a file could not be read, so that nothing is known of what it holds.
	Unreadable bool
	// About is the other object that the message is about, such as one that is referred
	// to; zero if there is none.
	About policy.Key
	// FailClosed says that the field is wrong, but its object is in force all the same:
	// the field stands for what is safe. An object is handed over if all that is wrong
	// with it is so.
	FailClosed bool
}

// At makes a finding about a field of a resource, with its place.
func (r *Resource) At(field, format string, args ...any) Finding {
	f := Finding{Key: r.Key, Field: field, Message: fmt.Sprintf(format, args...)}
	if r.Origin != nil {
		f.File, f.Line = r.Origin.Position(field)
	}
	return f
}

// WrittenKind returns the kind as manifests write it.
func WrittenKind(kind string) string {
	if kind == policy.KindKubernetesNetworkPolicy {
		return "NetworkPolicy"
	}
	return kind
}

// ObjectName returns "Kind ns/name", or "Kind name" for what has no namespace, on one line.
func ObjectName(k policy.Key) string {
	if k.Namespace == "" {
		return printable.Line(WrittenKind(k.Kind) + " " + k.Name)
	}
	return printable.Line(WrittenKind(k.Kind) + " " + k.Namespace + "/" + k.Name)
}

// Error returns "file:line: Kind ns/name: field: message", without the parts that are unknown.
// It is one line, whatever is in the object.
func (f Finding) Error() string {
	s := ""
	if f.File != "" {
		s = f.File + ":"
		if f.Line > 0 {
			s += fmt.Sprintf("%d:", f.Line)
		}
		s += " "
	}
	if f.Key != (policy.Key{}) {
		s += ObjectName(f.Key) + ": "
	}
	if f.Field != "" {
		s += f.Field + ": "
	}
	return printable.Line(s + f.Message)
}

// Compare orders findings by file, line, object, field and message.
func (f Finding) Compare(o Finding) int {
	return cmp.Or(
		cmp.Compare(f.File, o.File),
		cmp.Compare(f.Line, o.Line),
		f.Key.Compare(o.Key),
		compareFields(f.Field, o.Field),
		cmp.Compare(f.Message, o.Message),
	)
}
