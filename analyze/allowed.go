package analyze

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// Allowed is what two ends may do: one Grant for both families where that is the same
// in both, or where the ends have only one in common; otherwise one for each family in
// which something is allowed. Empty is nothing.
type Allowed []FamilyGrant

// FamilyGrant is what is allowed in a family.
type FamilyGrant struct {
	Family policy.Family // AnyFamily: in each that the ends have in common
	*Grant
}

// Contains reports whether a connection between addresses of the ends is allowed.
func (a Allowed) Contains(f policy.Flow) bool {
	return slices.ContainsFunc(a, func(g FamilyGrant) bool {
		return (g.Family == policy.AnyFamily || g.Family == policy.FamilyOf(f.Src)) && g.Contains(f)
	})
}

// Equal reports whether the same is allowed.
func (a Allowed) Equal(o Allowed) bool {
	return slices.EqualFunc(a, o, func(x, y FamilyGrant) bool {
		return x.Family == y.Family && (x.Grant == y.Grant || x.Equal(*y.Grant))
	})
}

func (a Allowed) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, g := range a {
		maphash.WriteComparable(&h, g.Family)
		g.hashInto(&h)
	}
	return h.Sum64()
}

// in returns what is allowed in one family, as that of ends that have no other one.
func (a Allowed) in(family policy.Family) Allowed {
	for _, g := range a {
		if g.Family == policy.AnyFamily || g.Family == family {
			return Allowed{{Grant: g.Grant}}
		}
	}
	return nil
}

// String returns what is allowed for people: "TCP 80,443; UDP 53", "IPv4: All; IPv6:
// All but TCP 22", "TCP 8080 (GET /items/...)", "nothing".
func (a Allowed) String() string {
	if len(a) == 0 {
		return "nothing"
	}
	words := make([]string, len(a))
	for i, g := range a {
		if words[i] = g.String(); g.Family != policy.AnyFamily {
			words[i] = g.Family.String() + ": " + words[i]
		}
	}
	return strings.Join(words, "; ")
}

// MarshalJSON returns a list of entries: what is open, then what is only for some
// requests, by family where the families differ.
func (a Allowed) MarshalJSON() ([]byte, error) {
	list := []entry{}
	for _, g := range a {
		for _, e := range g.entries() {
			e.Family = g.Family.String()
			list = append(list, e)
		}
	}
	return marshal(list)
}

// String returns the grant for people: "TCP 80; TCP 8080 (GET /items/...)".
func (g Grant) String() string {
	var words []string
	if !g.open.empty() || len(g.parts) == 0 {
		words = append(words, g.open.String())
	}
	for _, p := range g.parts {
		for _, e := range p.on.entries() {
			words = append(words, e.String()+" ("+p.requests.String()+")")
		}
	}
	return strings.Join(words, "; ")
}

// entries writes the grant down: what is open, then what is only for some requests.
func (g *Grant) entries() []entry {
	out := g.open.entries()
	for i := range g.parts {
		for _, e := range g.parts[i].on.entries() {
			e.HTTP = g.parts[i].requests
			out = append(out, e)
		}
	}
	return out
}

// marshal is json.Marshal that leaves it to the caller's encoder whether signs of HTML
// are escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
