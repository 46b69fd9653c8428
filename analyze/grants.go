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

// grant is the grant.
type grant = Grant

// httpPart is connections in which some requests only are allowed.
type httpPart struct {
	on       l4
	requests requests // never all of them
}

// everythingAllowed returns the grant of all there is.
func everythingAllowed() grant {
	var g grant
	g.open.full = allProtocols
	return g
}

// add takes connections in, of which nothing is in the grant yet.
func (g *grant) add(on l4, req requests) {
	if on.empty() {
		return
	}
	if req.all() {
		g.open = plus(&g.open, &on)
		return
	}
	i, found := slices.BinarySearchFunc(g.parts, req, func(p httpPart, r requests) int { return p.requests.compare(r) })
	if found {
		g.parts[i].on = plus(&g.parts[i].on, &on)
		return
	}
	g.parts = slices.Insert(g.parts, i, httpPart{on, req})
}

// reached returns the connections of which something is allowed.
func (g *grant) reached() l4 {
	all := g.open
	for i := range g.parts {
		all = plus(&all, &g.parts[i].on)
	}
	return all
}

// both returns what two grants allow both.
func both(a, b *grant) grant {
	out := grant{open: intersect(&a.open, &b.open)}
	for i := range a.parts {
		p := &a.parts[i]
		out.add(intersect(&p.on, &b.open), p.requests)
		for j := range b.parts {
			q := &b.parts[j]
			if on := intersect(&p.on, &q.on); !on.empty() {
				out.add(on, p.requests.and(q.requests))
			}
		}
	}
	for j := range b.parts {
		out.add(intersect(&b.parts[j].on, &a.open), b.parts[j].requests)
	}
	return out
}

// either returns what one of two grants allows.
func either(a, b *grant) grant {
	out := grant{open: plus(&a.open, &b.open)}
	if len(a.parts)+len(b.parts) == 0 {
		return out
	}
	inA, inB := a.reached(), b.reached()
	for i := range a.parts {
		p := &a.parts[i]
		out.add(minus(&p.on, &inB), p.requests)
		for j := range b.parts {
			q := &b.parts[j]
			if on := intersect(&p.on, &q.on); !on.empty() {
				out.add(on, p.requests.or(q.requests))
			}
		}
	}
	for j := range b.parts {
		out.add(minus(&b.parts[j].on, &inA), b.parts[j].requests)
	}
	return out
}

// within returns what a grant allows of some connections.
func (g *grant) within(on *l4) grant {
	out := grant{open: intersect(&g.open, on)}
	for i := range g.parts {
		out.add(intersect(&g.parts[i].on, on), g.parts[i].requests)
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
