package store_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// line3 is an origin with a single field.
type line3 struct{}

func (line3) Position(field string) (string, int) {
	if field == "spec" {
		return "a.yaml", 3
	}
	return "a.yaml", 1
}

func TestFindingText(t *testing.T) {
	key := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "web", Name: "p"}
	r := store.Resource{Key: key, Origin: line3{}}
	for _, tt := range []struct {
		finding store.Finding
		want    string
	}{
		{r.At("spec", "is %s", "wrong"), "a.yaml:3: NetworkPolicy web/p: spec: is wrong"},
		{r.At("", "is wrong"), "a.yaml:1: NetworkPolicy web/p: is wrong"},
		{(&store.Resource{Key: policy.Key{Kind: "Tier", Name: "t"}}).At("spec", "is wrong"), "Tier t: spec: is wrong"},
		{store.Finding{File: "a.yaml", Message: "cannot be read"}, "a.yaml: cannot be read"},
	} {
		if got := tt.finding.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
