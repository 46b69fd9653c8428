package analyze

import (
	"cmp"
	"slices"
	"strings"
)

// grant is what is allowed between two ends: connections, and of some of them
// only those that carry certain HTTP requests.
type grant struct {
	open  l4         // whatever a connection carries
	parts []httpPart // disjoint from it, and from one another; by requests, each once
}

// httpPart is connections in which some requests only are allowed.
type httpPart struct {
	on       l4
	requests requests // never all of them
}

// everythingAllowed returns the grant of all there is.
func everythingAllowed() grant {
	var g grant
	for p := range g.open.full {
		g.open.full[p] = true
	}
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
	k := req.key()
	i, found := slices.BinarySearchFunc(g.parts, k, func(p httpPart, k string) int { return strings.Compare(p.requests.key(), k) })
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

// entries writes a grant down: what is open, then what is only for some requests.
func (g *grant) entries() []Allowed {
	out := g.open.entries()
	for i := range g.parts {
		for _, e := range g.parts[i].on.entries() {
			e.HTTP = g.parts[i].requests
			out = append(out, e)
		}
	}
	return out
}

// key returns a text that equal entries, and no others, have.
func key(entries []Allowed) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.Family)
		b.WriteByte(' ')
		b.WriteString(e.Protocol)
		b.WriteByte(' ')
		b.WriteString(e.Ports)
		b.WriteString(e.Types)
		if e.HTTP != nil {
			b.WriteByte(' ')
			b.WriteString(requests(e.HTTP).key())
		}
		b.WriteByte(';')
	}
	return b.String()
}

// sameAllowed reports whether two lists of entries say the same.
func sameAllowed(a, b []Allowed) bool {
	return slices.EqualFunc(a, b, func(x, y Allowed) bool {
		return cmp.Or(strings.Compare(x.Family, y.Family), strings.Compare(x.Protocol, y.Protocol), strings.Compare(x.Ports, y.Ports),
			strings.Compare(x.Types, y.Types)) == 0 &&
			(x.HTTP == nil) == (y.HTTP == nil) && (x.HTTP == nil || requests(x.HTTP).key() == requests(y.HTTP).key())
	})
}
