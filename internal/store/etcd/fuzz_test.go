package etcd

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/tierwall/tierwall/policy"
)

// FuzzDecode shows that no key and value crash a reader, and that each value is
// either one object under its own key or has a finding that says why not.
func FuzzDecode(f *testing.F) {
	f.Add(setPath("a"), []byte(set("a", "10.0.0.0/8")))
	f.Add(setPath("a"), []byte(set("b", "10.0.0.0/8")))
	f.Add(setPath("a"), []byte("null"))
	f.Add("/tierwall/v1/core/Pod/ns/name", []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"name"},"status":{"podIP":"10.0.0.1"}}`))
	f.Add("/tierwall/v1/core/PodList/ns/name", []byte(`{"apiVersion":"v1","kind":"PodList","items":[]}`))
	s, err := New(Options{Endpoints: []string{"https://etcd:2379"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string, value []byte) {
		d := s.decode(&mvccpb.KeyValue{Key: []byte(path), Value: value, ModRevision: 7})
		switch {
		case d.resource != nil && d.isWrong():
			t.Errorf("an object with errors is taken: %v", d.findings)
		case d.resource == nil && !d.isWrong():
			t.Error("neither an object nor an error")
		case d.resource != nil && (d.resource.Key != d.key || revisionOf(d.resource.Object) != "7"):
			t.Errorf("object %v at key %v, revision %s", d.resource.Key, d.key, revisionOf(d.resource.Object))
		}
		if d.key == (policy.Key{}) {
			return
		}
		if back, err := s.Key(d.key); err != nil || back != path {
			t.Errorf("%v has key %q, %v; want %q", d.key, back, err, path)
		}
		for _, finding := range d.findings {
			if finding.Key != d.key || !strings.HasPrefix(finding.File, s.root) && len(path) < 200 {
				t.Errorf("finding of something else: %+v", finding)
			}
		}
	})
}
