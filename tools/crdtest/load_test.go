package crdtest_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/tierwall/tierwall/tools/crdtest"
)

const definitions = "../../config/crd"

func load(tb testing.TB) map[string]*crdtest.Kind {
	tb.Helper()
	kinds, err := crdtest.Load(definitions)
	if err != nil {
		tb.Fatal(err)
	}
	return kinds
}

// TestKinds checks that there is a definition that an API server accepts for each
// kind. WorkloadEndpoint has none: see tools/generate.
func TestKinds(t *testing.T) {
	want := []string{
		"GlobalNetworkPolicy", "GlobalNetworkSet", "HostEndpoint", "NetworkPolicy", "NetworkSet", "NodePolicyReport", "Profile",
		"StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy", "Tier",
	}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(load(t)))); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
}

// TestCosts checks that rules leave the half of what an API server grants: other
// versions of it estimate otherwise.
func TestCosts(t *testing.T) {
	for name, kind := range load(t) {
		all, err := kind.Costs()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var sum uint64
		for _, c := range all {
			sum += c.Cost
			if c.Cost > validation.StaticEstimatedCostLimit/2 {
				t.Errorf("%s%s: %s: costs %d, more than half of %d", name, c.Path, c.Rule, c.Cost, uint64(validation.StaticEstimatedCostLimit))
			}
		}
		if sum > validation.StaticEstimatedCRDCostLimit/2 {
			t.Errorf("%s: its rules cost %d, more than half of %d", name, sum, uint64(validation.StaticEstimatedCRDCostLimit))
		}
	}
}

// policyOf returns a policy of n rules.
func policyOf(n int) map[string]any {
	rules := make([]any, n)
	for i := range rules {
		rules[i] = map[string]any{
			"action": "Allow", "protocol": "TCP",
			"source":      map[string]any{"nets": []any{fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)}},
			"destination": map[string]any{"ports": []any{int64(1000 + i%5000)}},
		}
	}
	return map[string]any{
		"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy",
		"metadata": map[string]any{"name": "large"}, "spec": map[string]any{"ingress": rules},
	}
}

// TestLargePolicy checks that a large policy is accepted. What etcd takes, 1.5 MiB,
// is about 15,000 such rules.
func TestLargePolicy(t *testing.T) {
	errs, cost := load(t)["GlobalNetworkPolicy"].Validate(t.Context(), policyOf(2000))
	if len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
	if most := int64(celconfig.RuntimeCELCostBudget) * 2000 / 15000; cost == 0 || cost > most {
		t.Errorf("its rules cost %d, want 1 to %d", cost, most)
	}
}

func BenchmarkValidate(b *testing.B) {
	kind := load(b)["GlobalNetworkPolicy"]
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			object := policyOf(n)
			b.ReportAllocs()
			for b.Loop() {
				errs, cost := kind.Validate(b.Context(), object)
				if len(errs) > 0 {
					b.Fatal(errs.ToAggregate())
				}
				b.ReportMetric(float64(cost), "CEL-cost")
			}
		})
	}
}
