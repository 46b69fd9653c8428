package etcd

import (
	"fmt"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// TestStep shows what a receiver is told of several changes of one key in one
// step: the difference between before and after, not the way.
func TestStep(t *testing.T) {
	s, err := New(Options{Endpoints: []string{"https://etcd:2379"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ before, changes, updated, deleted string }{
		{"", "put", "a", ""},
		{"", "put delete", "", ""},
		{"", "put delete put", "a", ""},
		{"", "put bad delete", "", ""},
		{"", "bad", "", ""},
		{"", "bad delete", "", ""},
		{"put", "delete", "", "a"},
		{"put", "delete put", "a", ""},
		{"put", "delete put delete", "", "a"},
		{"put", "delete bad", "", "a"},
		{"put", "delete bad put delete", "", "a"},
		{"put", "bad", "", ""},
		{"put", "put delete", "", "a"},
		{"put bad", "delete", "", "a"},
	} {
		st := newState()
		revision := int64(0)
		events := func(text string) []*mvccpb.Event {
			var out []*mvccpb.Event
			for word := range strings.FieldsSeq(text) {
				revision++
				e := &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte(setPath("a")), ModRevision: revision}}
				switch word {
				case "delete":
					e.Type = mvccpb.Event_DELETE
				case "bad":
					e.Kv.Value = []byte("nonsense")
				default:
					e.Kv.Value = []byte(set("a", "10.0.0.0/8"))
				}
				out = append(out, e)
			}
			return out
		}
		st.apply(s, events(test.before))
		batch := st.apply(s, events(test.changes))
		var updated, deleted []string
		for _, r := range batch.Updated {
			updated = append(updated, r.Key.Name)
		}
		for _, k := range batch.Deleted {
			deleted = append(deleted, k.Name)
		}
		if got, want := fmt.Sprint(updated, deleted), fmt.Sprintf("[%s] [%s]", test.updated, test.deleted); got != want {
			t.Errorf("%q, then %q: %s, want %s", test.before, test.changes, got, want)
		}
	}
}
