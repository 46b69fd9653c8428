package crdtest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/tools/crdtest"
)

// TestNames checks that the definitions say of each kind what the table in package policy
// says: ours, and the upstream one.
func TestNames(t *testing.T) {
	definitions := load(t)
	for name, kind := range loadCluster(t) {
		definitions[name] = kind
	}
	seen := 0
	for _, k := range policy.Kinds() {
		d := definitions[k.Name]
		if d == nil || d.Names().Group != k.Group {
			continue
		}
		seen++
		want := crdtest.Names{
			Group: k.Group, Version: k.Version, Kind: k.Name, Plural: k.Resource, Singular: k.Singular(),
			ShortNames: k.ShortNames, Namespaced: k.Namespaced,
		}
		if diff := cmp.Diff(want, d.Names()); diff != "" {
			t.Errorf("%s (-table +definition):\n%s", k.Key, diff)
		}
	}
	if seen != len(definitions) {
		t.Errorf("%d definitions are of kinds of the table, want %d", seen, len(definitions))
	}
}
