package policy

import (
	"cmp"
	"strings"
)

// CompareTiers orders tiers as they are evaluated: by order, then by name.
func CompareTiers(a, b *Tier) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), strings.Compare(a.Name, b.Name))
}

// ComparePolicies orders the policies of one tier as they are evaluated: by
// order, then by the string "name/namespace/kind", compared bytewise ("a-b"
// sorts before "a", since '-' sorts before '/').
func ComparePolicies(a, b *Policy) int {
	if c := cmp.Compare(a.Order, b.Order); c != 0 {
		return c
	}
	return strings.Compare(tieBreak(a.Key), tieBreak(b.Key))
}

func tieBreak(k Key) string { return k.Name + "/" + k.Namespace + "/" + k.Kind }
