package source

import (
	"math"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// defaultTier is the tier of policies that name none.
const defaultTier = "default"

func tierOrDefault(name string) string {
	if name == "" {
		return defaultTier
	}
	return name
}

// orderOrLast returns the order, or what sorts after every order.
func orderOrLast(order *float64) float64 {
	if order == nil {
		return math.Inf(1)
	}
	return *order
}

// translateTier translates a tier.
func translateTier(t *v3.Tier) (*policy.Tier, Problems) {
	var ps Problems
	ps.shortName("metadata.name", t.Name, "tier")
	out := &policy.Tier{Name: t.Name, Order: orderOrLast(t.Spec.Order), DefaultAction: policy.Deny}
	a := t.Spec.DefaultAction
	known := a == nil || ps.word("spec.defaultAction", string(*a), string(v3.Deny), string(v3.Pass))
	if a != nil && *a == v3.Pass {
		out.DefaultAction = policy.Pass
	}
	for _, fixed := range policy.FixedTiers() {
		if fixed.Name != t.Name {
			continue
		}
		// What other tools rely on: Pass in tier default would turn every default
		// deny off.
		if t.Spec.Order != nil && *t.Spec.Order != fixed.Order {
			ps.add("spec.order", "%v: tier %s always has order %.0f: leave the field out", *t.Spec.Order, t.Name, fixed.Order)
		}
		if a != nil && known && out.DefaultAction != fixed.DefaultAction {
			ps.add("spec.defaultAction", "%s: tier %s always has %v: leave the field out", *a, t.Name, fixed.DefaultAction)
		}
		out = fixed
	}
	return out, ps
}
