// Package kindstest walks the table of kinds in package policy against all who have
// something of their own to add for each kind, and fails when one of them does not
// know a kind. What the agent adds is tested there (decidingKinds), the custom
// resources and the chart's roles in the tools module.
package kindstest

import (
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/etcd"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// TestFilesReadWhatIsWritten: a manifest of each kind is read as that kind, be it valid
// or not.
func TestFilesReadWhatIsWritten(t *testing.T) {
	for _, k := range policy.Kinds() {
		if read := files.NewObject(k.Key) != nil; read != k.IsWritten() {
			t.Errorf("%s: package files has a type: %v, but it is written: %v", k.Key, read, k.IsWritten())
			continue
		}
		if !k.IsWritten() {
			continue
		}
		text := "apiVersion: " + k.APIVersion() + "\nkind: " + k.Name + "\nmetadata: {name: a}\n"
		want := policy.Key{Kind: k.Key, Name: "a"}
		if k.Namespaced {
			want.Namespace = "default"
		}
		loaded := files.Parse("a.yaml", []byte(text), files.Options{})
		var got policy.Key
		for _, r := range loaded.Resources {
			got = r.Key
		}
		for _, r := range loaded.Rejected {
			got = r.Key
		}
		if got != want {
			t.Errorf("%s is read as %v: %v", text, got, loaded.Findings)
		}
	}
}

// TestEtcdStoresWhatIsStored: each kind that is stored has keys of its own in etcd.
func TestEtcdStoresWhatIsStored(t *testing.T) {
	s, err := etcd.New(etcd.Options{Endpoints: []string{"http://127.0.0.1:2379"}})
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]string{}
	for _, k := range policy.Kinds() {
		key := policy.Key{Kind: k.Key, Name: "a"}
		if k.Namespaced {
			key.Namespace = "n"
		}
		path, err := s.Key(key)
		if (err == nil) != k.IsStored() {
			t.Errorf("%s: is stored: %v, but its key is %q, %v", k.Key, k.IsStored(), path, err)
		}
		if err == nil && of[path] != "" {
			t.Errorf("%s and %s are both stored as %s", k.Key, of[path], path)
		}
		of[path] = k.Key
	}
}

// TestClustersGiveWhatDecides: what verdicts depend on, and what is staged, is read from
// a cluster.
func TestClustersGiveWhatDecides(t *testing.T) {
	for _, k := range policy.Kinds() {
		want := (k.Decides || k.Stages != "") && k.Key != policy.KindWorkloadEndpoint
		if got := kube.Reads(k); got != want {
			t.Errorf("%s is read from a cluster: %v, want %v", k.Key, got, want)
		}
	}
}

// TestTranslateKnowsAllKinds: whatever may be wrong with an empty object of a kind, it is
// not that nobody knows what to make of it.
func TestTranslateKnowsAllKinds(t *testing.T) {
	for _, k := range policy.Kinds() {
		if !k.IsWritten() {
			continue
		}
		key := policy.Key{Kind: k.Key, Name: "a"}
		if k.Namespaced {
			key.Namespace = "n"
		}
		translator := translate.New(translate.Options{Offline: true})
		translator.Update(store.Resource{Key: key, Object: files.NewObject(k.Key)})
		status := translator.Status(key)
		if status.State == 0 {
			t.Errorf("%s is taken for no object", k.Key)
		}
		for _, f := range status.Findings {
			if f.Field == "kind" {
				t.Errorf("%s: %s", k.Key, f.Message)
			}
		}
	}
}

// derived has what the scenarios of examples/ do not: rules with sets of their own.
const derived = `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: names}
spec: {types: [Egress], egress: [{action: Allow, destination: {domains: [www.example.com]}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: nodes}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]}
`

// TestChangesAreOfTheirKind: each object of the model has a key that names its type, so
// that its deletion is understood.
func TestChangesAreOfTheirKind(t *testing.T) {
	types := map[policy.ObjectType]reflect.Type{
		policy.TierObject: reflect.TypeFor[*policy.Tier](), policy.PolicyObject: reflect.TypeFor[*policy.Policy](),
		policy.SetObject: reflect.TypeFor[*policy.Set](), policy.EndpointObject: reflect.TypeFor[*policy.Endpoint](),
	}
	seen := map[string]bool{}
	check := func(path string, resources []store.Resource) {
		translate.New(translate.Options{}).Apply(store.Batch{Updated: resources}, translate.Sink{Change: func(c policy.Change) {
			seen[c.Key.Kind] = true
			if got, want := reflect.TypeOf(c.Object), types[c.Key.ObjectType()]; got != want {
				t.Errorf("%s: %v is a %v, and its key says %v", path, c.Key, got, want)
			}
		}})
	}
	check("derived", files.Parse("derived.yaml", []byte(derived), files.Options{}).Resources)
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		resources, _ := files.Load([]string{path}, files.Options{})
		check(path, resources)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		policy.KindTier, policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy,
		policy.KindClusterNetworkPolicy, policy.KindGlobalNetworkSet, policy.KindService, policy.KindDomains, policy.KindNodes,
		policy.KindPod, policy.KindHostEndpoint,
	} {
		if !seen[kind] {
			t.Errorf("no example has a %s: nothing was tested of it", kind)
		}
	}
}
