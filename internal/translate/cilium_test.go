package translate_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// TestCiliumIsNotEnforced checks that an agent says so of Cilium's policies, and that
// nothing of them is in its model.
func TestCiliumIsNotEnforced(t *testing.T) {
	result := translate.New(translate.Options{}).ApplySorted(store.Batch{Updated: read(t, `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: a}
spec: {endpointSelector: {}, ingress: [{}]}
`)})
	for _, c := range result.Changes {
		if c.Key.Kind != "Tier" {
			t.Errorf("in the model: %v", c.Key)
		}
	}
	diff(t, "findings", []string{
		"3: kind: CiliumNetworkPolicy is enforced by Cilium, and not here: leave it out; tierwall convert makes of it policies that are",
	}, lines(result.Statuses[0].Findings))
	if s := result.Statuses[0]; s.State != translate.NotInForce {
		t.Errorf("state %v", s.State)
	}
}
