package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
)

// TestKindsAreWhole checks what every kind must have.
func TestKindsAreWhole(t *testing.T) {
	keys := map[string]bool{}
	for _, k := range policy.Kinds() {
		if keys[k.Key] {
			t.Errorf("%s is in the table twice", k.Key)
		}
		keys[k.Key] = true
		if k.Role == 0 {
			t.Errorf("%s has no role", k.Key)
		}
		if written := k.Version != "" && k.Resource != ""; written != k.IsWritten() {
			t.Errorf("%s: name %q, version %q, resource %q: expected all or none", k.Key, k.Name, k.Version, k.Resource)
		}
		if k.Resource != strings.ToLower(k.Resource) || k.IsWritten() && k.Resource == k.Singular() {
			t.Errorf("%s: %q is no plural in small letters", k.Key, k.Resource)
		}
		if k.Decides && (!k.IsStored() || k.Stages != "") {
			t.Errorf("%s decides, but is never in force", k.Key)
		}
	}
	for _, k := range policy.Kinds() {
		of, _ := policy.LookupKind(k.Stages)
		if k.Stages != "" && (of.Role != k.Role || of.Stages != "" || of.Namespaced != k.Namespaced) {
			t.Errorf("%s stands for %q, which is no policy of its scope", k.Key, k.Stages)
		}
	}
}

// TestWordsNameOneKind: what users write is of one kind, but for the NetworkPolicy that
// two APIs have. Each is found by its singular, its plural and its short names.
func TestWordsNameOneKind(t *testing.T) {
	words := map[string][]string{}
	for _, k := range policy.Kinds() {
		if k.IsWritten() {
			for _, word := range append([]string{k.Singular(), k.Resource}, k.ShortNames...) {
				if !k.Matches(word) {
					t.Errorf("%s is not found as %q", k.Key, word)
				}
				words[word] = append(words[word], k.Key)
			}
		}
	}
	both := []string{policy.KindKubernetesNetworkPolicy, policy.KindNetworkPolicy}
	for word, kinds := range words {
		if len(kinds) > 1 && !slices.Equal(kinds, both) || slices.Equal(kinds, both) && !strings.HasPrefix(word, "networkpolic") {
			t.Errorf("%q names %v", word, kinds)
		}
	}
	if diff := cmp.Diff([]string{policy.KindClusterNetworkPolicy}, words["cnp"]); diff != "" {
		t.Errorf("cnp: %s", diff)
	}
}

func TestObjectTypes(t *testing.T) {
	for kind, want := range map[string]policy.ObjectType{
		policy.KindTier: policy.TierObject, policy.KindNetworkPolicy: policy.PolicyObject,
		policy.KindBaselineAdminNetworkPolicy: policy.PolicyObject, policy.KindStagedNetworkPolicy: policy.NoObject,
		policy.KindGlobalNetworkSet: policy.SetObject, policy.KindService: policy.SetObject, policy.KindLearned: policy.SetObject,
		policy.KindDomains: policy.SetObject, policy.KindNodes: policy.SetObject, policy.KindEndpointSlice: policy.NoObject,
		policy.KindPod: policy.EndpointObject, policy.KindHostEndpoint: policy.EndpointObject, policy.KindDeployment: policy.EndpointObject,
		"Rollout": policy.EndpointObject, policy.KindNamespace: policy.NoObject, policy.KindNode: policy.NoObject, policy.KindProfile: policy.PolicyObject,
	} {
		if got := (policy.Key{Kind: kind, Name: "a"}).ObjectType(); got != want {
			t.Errorf("%s names object type %d, want %d", kind, got, want)
		}
	}
}
