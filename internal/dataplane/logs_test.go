package dataplane

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/policy"
)

func TestLogs(t *testing.T) {
	a := policy.Decider{Tier: "default", Kind: "NetworkPolicy", Namespace: "shop", Name: "db", Rule: 3}
	b := policy.Decider{Tier: "security", Kind: "GlobalNetworkPolicy", Name: "audit"}
	for _, c := range []struct{ rules, want []policy.Decider }{
		{nil, nil},
		{[]policy.Decider{b}, []policy.Decider{b}},
		{[]policy.Decider{a, a, b, a}, []policy.Decider{a, b, a}},
	} {
		if diff := cmp.Diff(c.want, LogsOf(c.rules).All()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.rules, diff)
		}
		for i := -1; i <= len(c.want); i++ {
			got, there := LogsOf(c.rules).At(i)
			if is := i >= 0 && i < len(c.want); there != is || is && got != c.want[i] {
				t.Errorf("%v: rule %d is %v, %t", c.rules, i, got, there)
			}
		}
	}
}
