package analyze

import (
	"hash/maphash"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Grant is what is allowed between two ends in one family: connections, and of some of
// them only those that carry certain HTTP requests. Grants are not changed once they
// are made.
type Grant struct {
	open  L4Set      // whatever a connection carries
	parts []httpPart // disjoint from it, and from one another; by requests, each once
}

// httpPart is connections in which some requests only are allowed.
type httpPart struct {
	on       L4Set
	requests requests // never all of them
}

// everythingAllowed returns the grant of all there is.
func everythingAllowed() Grant {
	var g Grant
	g.open.full = allProtocols
	return g
}

// add takes connections in, of which nothing is in the grant yet.
func (g *Grant) add(on L4Set, req requests) {
	if on.empty() {
		return
	}
	if req.all() {
		g.open = g.open.Union(on)
		return
	}
	i, found := slices.BinarySearchFunc(g.parts, req, func(p httpPart, r requests) int { return p.requests.compare(r) })
	if found {
		g.parts[i].on = g.parts[i].on.Union(on)
		return
	}
	g.parts = slices.Insert(g.parts, i, httpPart{on, req})
}

// reached returns the connections of which something is allowed.
func (g *Grant) reached() L4Set {
	all := g.open
	for i := range g.parts {
		all = all.Union(g.parts[i].on)
	}
	return all
}

// both returns what two grants allow both.
func both(a, b *Grant) Grant {
	out := Grant{open: a.open.Intersect(b.open)}
	for i := range a.parts {
		p := &a.parts[i]
		out.add(p.on.Intersect(b.open), p.requests)
		for j := range b.parts {
			q := &b.parts[j]
			if on := p.on.Intersect(q.on); !on.empty() {
				out.add(on, p.requests.and(q.requests))
			}
		}
	}
	for j := range b.parts {
		out.add(b.parts[j].on.Intersect(a.open), b.parts[j].requests)
	}
	return out
}

// either returns what one of two grants allows.
func either(a, b *Grant) Grant {
	out := Grant{open: a.open.Union(b.open)}
	if len(a.parts)+len(b.parts) == 0 {
		return out
	}
	inA, inB := a.reached(), b.reached()
	for i := range a.parts {
		p := &a.parts[i]
		out.add(p.on.Subtract(inB), p.requests)
		for j := range b.parts {
			q := &b.parts[j]
			if on := p.on.Intersect(q.on); !on.empty() {
				out.add(on, p.requests.or(q.requests))
			}
		}
	}
	for j := range b.parts {
		out.add(b.parts[j].on.Subtract(inA), b.parts[j].requests)
	}
	return out
}

// within returns what a grant allows of some connections.
func (g *Grant) within(on *L4Set) Grant {
	out := Grant{open: g.open.Intersect(*on)}
	for i := range g.parts {
		out.add(g.parts[i].on.Intersect(*on), g.parts[i].requests)
	}
	return out
}

// Connections returns the connections of which something is allowed.
func (g *Grant) Connections() L4Set { return g.reached() }

// Contains reports whether a connection is allowed: with its request, where one is
// known, and otherwise where some request could be.
func (g *Grant) Contains(f policy.Flow) bool {
	return g.open.Contains(f) || slices.ContainsFunc(g.parts, func(p httpPart) bool {
		return p.on.Contains(f) && (f.HTTP == nil || p.requests.contain(f.HTTP))
	})
}

// Equal reports whether two grants are of the same.
func (g Grant) Equal(o Grant) bool {
	return g.open.Equal(o.open) && slices.EqualFunc(g.parts, o.parts, func(a, b httpPart) bool {
		return a.on.Equal(b.on) && a.requests.compare(b.requests) == 0
	})
}

func (g *Grant) empty() bool { return g.open.empty() && len(g.parts) == 0 }

// hashInto adds the grant to a hash.
func (g *Grant) hashInto(h *maphash.Hash) {
	g.open.hashInto(h)
	for i := range g.parts {
		g.parts[i].on.hashInto(h)
		g.parts[i].requests.hashInto(h)
	}
}

// seed is that of the hashes of one process.
var seed = maphash.MakeSeed()

func (g *Grant) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	g.hashInto(&h)
	return h.Sum64()
}

func newGrants() interner[Grant] {
	return newInterner((*Grant).hash, func(a, b *Grant) bool { return a.Equal(*b) })
}
