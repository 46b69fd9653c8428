package etcd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

func TestListGivesWhatWasCommitted(t *testing.T) {
	_, s, _ := one(t)
	s.limits.page = 2 // several pages
	texts := []string{
		set("b", "10.0.0.0/8"), set("a", "10.0.0.0/8"), set("c", "10.0.0.0/8"),
		`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"team": "a"}}}`,
		`{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "prod"}, "spec": {"podSelector": {}}}`,
		`{"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "prod"}, "spec": {"selector": "all()"}}`,
	}
	revision := create(t, s, texts...)
	listing, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range listing.Resources {
		meta := r.Object.(metav1.Object)
		got = append(got, fmt.Sprintf("%s %s generation %d", r.Key.Kind, r.Key, meta.GetGeneration()))
		if meta.GetResourceVersion() != fmt.Sprint(revision) || meta.GetUID() == "" || meta.GetCreationTimestamp() == (metav1.Time{}) {
			t.Errorf("%s: not all that an API server gives an object: %+v", r.Key, meta)
		}
	}
	want := []string{
		"GlobalNetworkSet GlobalNetworkSet/a generation 1", "GlobalNetworkSet GlobalNetworkSet/b generation 1", "GlobalNetworkSet GlobalNetworkSet/c generation 1",
		"Namespace Namespace/prod generation 1", "KubernetesNetworkPolicy prod/KubernetesNetworkPolicy/x generation 1", "NetworkPolicy prod/NetworkPolicy/x generation 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(listing.Findings)+len(listing.Rejected) > 0 {
		t.Error(listing.Findings, listing.Rejected)
	}
}

func TestCommitDemandsTheRevision(t *testing.T) {
	_, s, _ := one(t)
	first := create(t, s, set("a", "10.0.0.0/8"))
	key, value := encoded(t, set("a", "11.0.0.0/8"))
	other, _ := encoded(t, set("b", "11.0.0.0/8"))
	conflict := func(what string, writes ...Write) {
		t.Helper()
		_, done, err := s.Commit(t.Context(), writes)
		c, ok := errors.AsType[*ConflictError](err)
		if !ok || done != 0 || len(c.Keys) != 1 || c.Keys[0] != key {
			t.Errorf("%s: %v after %d, want a conflict on %v only", what, err, done, key)
		}
	}
	conflict("create what is there", Write{Key: key, Value: value})
	conflict("one conflict keeps all from being written", Write{Key: other, Value: value}, Write{Key: key, Value: value})
	conflict("delete what has changed", Write{Key: key, Revision: first + 7})
	second, _, err := s.Commit(t.Context(), []Write{{Key: key, Value: value, Revision: first}})
	if err != nil {
		t.Fatal(err)
	}
	conflict("update what has changed", Write{Key: key, Value: value, Revision: first})
	if _, _, err := s.Commit(t.Context(), []Write{{Key: key, Revision: second}}); err != nil {
		t.Fatal(err)
	}
	conflict("update what is gone", Write{Key: key, Value: value, Revision: second})
	snapshot, err := s.Snapshot(t.Context())
	if err != nil || len(snapshot.Resources) != 0 || len(snapshot.Revisions) != 0 {
		t.Errorf("not empty in the end: %v %v", snapshot, err)
	}
}

func TestCommitOfMany(t *testing.T) {
	_, s, _ := one(t)
	var texts []string
	for i := range 250 {
		texts = append(texts, set(fmt.Sprintf("set-%03d", i), "10.0.0.0/8"))
	}
	create(t, s, texts...)
	listing, err := s.List(t.Context())
	if err != nil || len(listing.Resources) != 250 {
		t.Fatalf("%d objects, %v", len(listing.Resources), err)
	}
}

func TestCommitRefuses(t *testing.T) {
	_, s, _ := one(t)
	s.limits.value = 100
	long := []byte(strings.Repeat("x", 101))
	for want, w := range map[string]Write{
		"GlobalNetworkSet a: has 101 bytes: expected at most 100":         {Key: setKey("a"), Value: long},
		`GlobalNetworkSet a/b: metadata.name: "a/b" is no name`:           {Key: setKey("a/b"), Value: []byte("{}")},
		"GlobalNetworkSet : metadata.name: is missing":                    {Key: setKey(""), Value: []byte("{}")},
		"Secret x/y: Secret is no kind that can be stored":                {Key: policy.Key{Kind: "Secret", Namespace: "x", Name: "y"}},
		"NetworkPolicy y: metadata.namespace: is missing":                 {Key: policy.Key{Kind: "NetworkPolicy", Name: "y"}},
		`NetworkPolicy .. /y: metadata.namespace: ".. " is no name`:       {Key: policy.Key{Kind: "NetworkPolicy", Namespace: ".. ", Name: "y"}},
		"GlobalNetworkSet " + string(long) + ": metadata.name: has 1000 ": {Key: setKey(strings.Repeat(string(long), 10)[:1000])},
	} {
		if strings.Contains(want, "1000") {
			s.limits.value = 1
			want = "metadata.name: has 1000 characters: expected at most 253"
		}
		if _, _, err := s.Commit(t.Context(), []Write{w}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
		s.limits.value = 100
	}
	if _, _, err := s.Commit(t.Context(), []Write{{Key: setKey("a"), Value: []byte("{}")}, {Key: setKey("a")}}); err == nil {
		t.Error("an object written twice is no error")
	}
}

// TestEncode shows what stays of an object that is replaced.
func TestEncode(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	old := resource(t, set("a", "10.0.0.0/8"))
	meta := old.Object.(metav1.Object)
	meta.SetUID("the-uid")
	meta.SetGeneration(4)
	meta.SetResourceVersion("17")
	meta.SetCreationTimestamp(metav1.NewTime(now.Add(-time.Hour)))
	labelled := strings.Replace(set("a", "10.0.0.0/8"), `"name": "a"`, `"name": "a", "labels": {"x": "y"}`, 1)
	for _, test := range []struct {
		text, generation string
		changed          bool
	}{
		{set("a", "10.0.0.0/8"), `"generation":4`, false},
		{set("a", "11.0.0.0/8"), `"generation":5`, true},
		{labelled, `"generation":4`, true},
	} {
		r := resource(t, test.text)
		value, changed, err := Encode(&r, &old, now)
		if err != nil || changed != test.changed {
			t.Errorf("%s: changed %v, %v", test.text, changed, err)
		}
		for _, part := range []string{test.generation, `"uid":"the-uid"`, `"creationTimestamp":"2023-11-14T21:13:20Z"`, `"apiVersion":"projectcalico.org/v3"`, `"kind":"GlobalNetworkSet"`} {
			if !strings.Contains(string(value), part) {
				t.Errorf("%s lacks %s", value, part)
			}
		}
		if strings.Contains(string(value), "resourceVersion") {
			t.Errorf("%s: the version is the store's to say", value)
		}
	}
}

// TestMalformed shows what is said of values that are no objects, and that they
// hide no others.
func TestMalformed(t *testing.T) {
	_, s, c := one(t)
	s.limits.value = 2000
	create(t, s, set("good", "10.0.0.0/8"))
	root := "/tierwall/v1/projectcalico.org/"
	for path, value := range map[string]string{
		root + "GlobalNetworkSet/text":        "nonsense",
		root + "GlobalNetworkSet/empty":       "",
		root + "GlobalNetworkSet/null":        "null",
		root + "GlobalNetworkSet/long":        strings.Repeat(" ", 2001),
		root + "GlobalNetworkSet/two":         set("two", "10.0.0.0/8") + set("three", "10.0.0.0/8"),
		root + "GlobalNetworkSet/other":       set("another", "10.0.0.0/8"),
		root + "NetworkSet/prod/ns":           `{"apiVersion": "projectcalico.org/v3", "kind": "NetworkSet", "metadata": {"name": "ns", "namespace": "test"}}`,
		root + "GlobalNetworkSet/tier":        `{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "tier"}, "spec": {}}`,
		root + "GlobalNetworkSet/secret":      `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}}`,
		root + "GlobalNetworkSet/typo":        `{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet", "metadata": {"name": "typo"}, "spec": {"net": []}}`,
		root + "GlobalNetworkSet/lines":       "{\"apiVersion\": \"projectcalico.org/v3\", \"kind\": \"GlobalNetworkSet\",\n\"metadata\": {\"name\": \"lines\"},\n \"spec\": {\"nets\": 7}}",
		root + "GlobalNetworkSet/yaml":        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: yaml}",
		root + "GlobalNetworkSett/x":          set("x", "10.0.0.0/8"),
		root + "GlobalNetworkSet/a/b":         set("b", "10.0.0.0/8"),
		root + "NetworkSet/c":                 "{}",
		root + "GlobalNetworkSet/":            "{}",
		"/tierwall/v1/x":                      "{}",
		"/tierwall/v1/core/Pod/a/\x00\xff\n/": "{}",
	} {
		put(t, c, path, value)
	}
	f := follow(t, s)
	listing, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, finding := range listing.Findings {
		if finding.Note {
			t.Errorf("only a note: %s", finding)
		}
		got = append(got, finding.Error())
	}
	want := []string{
		`"/tierwall/v1/core/Pod/a/\x00\xff\n/": is no key of an object: expected /tierwall/v1/GROUP/KIND/NAMESPACE/NAME: a Pod is in a namespace`,
		root + `GlobalNetworkSet/: is no key of an object: its name or namespace is none`,
		root + `GlobalNetworkSet/a/b: is no key of an object: expected /tierwall/v1/GROUP/KIND/NAME: a GlobalNetworkSet is in no namespace`,
		root + `GlobalNetworkSet/empty: GlobalNetworkSet empty: holds no GlobalNetworkSet empty: expected one object, in JSON`,
		root + `GlobalNetworkSet/lines:3: GlobalNetworkSet lines: spec.nets: is the number 7: expected a list (- value)`,
		root + `GlobalNetworkSet/long: GlobalNetworkSet long: has 2001 bytes: expected at most 2000`,
		root + `GlobalNetworkSet/null: GlobalNetworkSet null: holds no GlobalNetworkSet null: expected one object, in JSON`,
		root + `GlobalNetworkSet/other: GlobalNetworkSet other: metadata.name: is "another", but the key says "other": they must be the same`,
		root + `GlobalNetworkSet/secret: GlobalNetworkSet secret: holds no GlobalNetworkSet secret: expected one object, in JSON`,
		root + `GlobalNetworkSet/text: GlobalNetworkSet text: is no JSON: invalid character 'o' in literal null (expecting 'u')`,
		root + `GlobalNetworkSet/tier: GlobalNetworkSet tier: kind: is "Tier", but the key says "GlobalNetworkSet": they must be the same`,
		root + `GlobalNetworkSet/two: GlobalNetworkSet two: holds 2 objects: expected one`,
		root + `GlobalNetworkSet/typo: GlobalNetworkSet typo: spec.net: unknown field; did you mean "nets"?`,
		root + `GlobalNetworkSet/yaml:1: GlobalNetworkSet yaml: is no JSON: invalid character 'a' looking for beginning of value`,
		root + `GlobalNetworkSett/x: is of no kind that is read; did you mean "projectcalico.org/GlobalNetworkSet"?`,
		root + `NetworkSet/c: is no key of an object: expected /tierwall/v1/GROUP/KIND/NAMESPACE/NAME: a NetworkSet is in a namespace`,
		root + `NetworkSet/prod/ns: NetworkSet prod/ns: metadata.namespace: is "test", but the key says "prod": they must be the same`,
		`/tierwall/v1/x: is no key of an object: expected /tierwall/v1/GROUP/KIND/NAMESPACE/NAME, without the namespace for kinds that are in none`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(listing.Resources) != 1 || listing.Resources[0].Key != setKey("good") {
		t.Errorf("objects: %v", listing.Resources)
	}
	f.wait("the watch says the same", func() bool { return cmp.Equal(listing.Findings, f.findings) })
	f.waitNames("good")
}

// TestLimits shows that a store that holds too much is an error and no crash.
func TestLimits(t *testing.T) {
	_, s, _ := one(t)
	create(t, s, set("a", "10.0.0.0/8"), set("b", "10.0.0.0/8"), set("c", "10.0.0.0/8"))
	f := follow(t, s)
	f.waitNames("a", "b", "c")
	s2 := *s
	s2.limits.keys = 2
	if _, err := s2.List(t.Context()); err == nil || !strings.Contains(err.Error(), "holds more than 2 keys") {
		t.Error(err)
	}
	s2.limits.keys = 4
	g := follow(t, &s2)
	g.waitNames("a", "b", "c")
	create(t, s, set("d", "10.0.0.0/8"), set("e", "10.0.0.0/8"))
	g.waitFinding("holds more than 4 keys")
	if _, _, err := s.Commit(t.Context(), []Write{{Key: setKey("b"), Revision: f.revision("b")}, {Key: setKey("c"), Revision: f.revision("c")}}); err != nil {
		t.Fatal(err)
	}
	g.waitSound()
	g.waitNames("a", "d", "e")
}

func (f *follower) revision(name string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	_, _ = fmt.Sscan(revisionOf(f.state[setKey(name)]), &n)
	return n
}

var _ store.Source = (*Store)(nil)
