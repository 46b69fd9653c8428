package etcd

import (
	"bytes"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/mvccpb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// MaxValue bounds one object, in bytes: what etcd takes by default is 1.5 MiB
// for a whole request.
const MaxValue = 1 << 20

// maxTotal bounds all objects together, in bytes.
const maxTotal = files.MaxBytes

// decoded is what one key holds: a resource, or findings that say why not.
type decoded struct {
	key      policy.Key // zero if the key itself names no object
	resource *store.Resource
	rejected *store.Rejected
	findings []store.Finding
}

// decode reads the value of a key, as strictly as a file.
func (s *Store) decode(kv *mvccpb.KeyValue) decoded {
	path := string(kv.Key)
	key, err := s.parseKey(path)
	if err != nil {
		return decoded{findings: []store.Finding{{File: shown(path), Message: err.Error()}}}
	}
	d := decoded{key: key}
	if len(kv.Value) > s.limits.value {
		d.fail(path, "", "has %d bytes: expected at most %d", len(kv.Value), s.limits.value)
		return d
	}
	loaded := files.ParseJSON(shown(path), kv.Value, files.Options{Namespace: key.Namespace})
	found := d.foundKeys(&loaded)
	switch {
	case len(found) > 1:
		d.fail(path, "", "holds %d objects: expected one", len(found))
		return d
	case len(found) == 1 && found[0] != key && found[0] != (policy.Key{}):
		field, written, expected := difference(found[0], key)
		d.fail(path, field, "is %q, but the key says %q: they must be the same", written, expected)
		return d
	}
	for _, f := range loaded.Findings {
		f.Key = key // also of those whose object is unknown: it is this one
		if bytes.IndexByte(bytes.TrimSpace(kv.Value), '\n') < 0 {
			f.Line = 0 // of one line; the field says where
		}
		d.findings = append(d.findings, f)
	}
	switch {
	case len(loaded.Resources) == 1:
		r := loaded.Resources[0]
		r.Origin = nil
		setRevision(&r, kv.ModRevision)
		d.resource = &r
	case len(loaded.Rejected) == 1:
		r := loaded.Rejected[0]
		r.Key, r.Origin = key, nil
		setRevision(&r.Resource, kv.ModRevision)
		d.rejected = &r
	case !d.isWrong():
		d.findings = nil // notes on why it is passed over: here it must not be
		d.fail(path, "", "holds no %s: expected one object, in JSON", store.ObjectName(key))
	}
	return d
}

// foundKeys returns the keys of the objects in a value.
func (d *decoded) foundKeys(loaded *files.Loaded) []policy.Key {
	var keys []policy.Key
	for _, r := range loaded.Resources {
		keys = append(keys, r.Key)
	}
	for _, r := range loaded.Rejected {
		keys = append(keys, r.Key)
	}
	return keys
}

func (d *decoded) fail(path, field, format string, args ...any) {
	d.findings = append(d.findings, store.Finding{File: shown(path), Key: d.key, Field: field, Message: fmt.Sprintf(format, args...)})
}

// isWrong reports whether one of the findings is no note.
func (d *decoded) isWrong() bool {
	for _, f := range d.findings {
		if !f.Note {
			return true
		}
	}
	return false
}

// difference returns the first field that makes two keys differ.
func difference(written, expected policy.Key) (field, is, should string) {
	switch {
	case written.Kind != expected.Kind:
		return "kind", written.Kind, expected.Kind
	case written.Namespace != expected.Namespace:
		return "metadata.namespace", written.Namespace, expected.Namespace
	}
	return "metadata.name", written.Name, expected.Name
}

// setRevision puts the version into the object, where Kubernetes has its own.
func setRevision(r *store.Resource, revision int64) {
	if meta, ok := r.Object.(metav1.Object); ok {
		meta.SetResourceVersion(strconv.FormatInt(revision, 10))
	}
}
