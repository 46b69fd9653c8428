package analyze

import (
	"hash/maphash"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Union returns what is in one of two sets.
func (s L4Set) Union(o L4Set) L4Set { return plus(&s, &o) }

// Intersect returns what is in both of two sets.
func (s L4Set) Intersect(o L4Set) L4Set { return intersect(&s, &o) }

// Subtract returns what is in the set and not in another one.
func (s L4Set) Subtract(o L4Set) L4Set { return minus(&s, &o) }

// Complement returns all that is not in the set.
func (s L4Set) Complement() L4Set { return complement(&s) }

// IsEmpty reports whether nothing is in the set.
func (s L4Set) IsEmpty() bool { return s.empty() }

// Contains reports whether the set has a connection, by its protocol, destination
// port, and ICMP type and code.
func (s L4Set) Contains(f policy.Flow) bool {
	in := func(spans []span, n int) bool {
		return slices.ContainsFunc(spans, func(r span) bool { return r.first <= n && n <= r.last })
	}
	switch {
	case s.full.has(f.Protocol):
		return true
	case f.Protocol.HasPorts():
		return in(s.portsOf(f.Protocol), int(f.DstPort))
	}
	return slices.ContainsFunc(s.typesOf(f.Protocol).runs, func(r icmpRun) bool {
		return in([]span{r.types}, int(f.ICMPType)) && in(r.codes, int(f.ICMPCode))
	})
}

// Equal reports whether two sets are the same.
func (s L4Set) Equal(o L4Set) bool {
	return s.full == o.full &&
		slices.EqualFunc(s.ports, o.ports, func(a, b portPart) bool { return a.protocol == b.protocol && slices.Equal(a.spans, b.spans) }) &&
		slices.EqualFunc(s.icmp, o.icmp, func(a, b icmpPart) bool {
			return a.protocol == b.protocol && slices.EqualFunc(a.runs, b.runs, icmpRun.equal)
		})
}

func (r icmpRun) equal(o icmpRun) bool { return r.types == o.types && slices.Equal(r.codes, o.codes) }

// hashInto adds the set to a hash.
func (s *L4Set) hashInto(h *maphash.Hash) {
	maphash.WriteComparable(h, s.full)
	for _, p := range s.ports {
		maphash.WriteComparable(h, p.protocol)
		for _, x := range p.spans {
			maphash.WriteComparable(h, x)
		}
	}
	for _, p := range s.icmp {
		maphash.WriteComparable(h, p.protocol)
		for _, r := range p.runs {
			maphash.WriteComparable(h, r.types)
			for _, x := range r.codes {
				maphash.WriteComparable(h, x)
			}
		}
	}
}

// empty reports whether nothing is in a set.
func (s *l4) empty() bool {
	return len(s.ports) == 0 && len(s.icmp) == 0 && s.full == protocolSet{}
}

// complement returns all that is not in a set.
func complement(a *l4) l4 {
	var out l4
	for i := range out.full {
		out.full[i] = ^a.full[i]
	}
	for _, part := range a.ports {
		out.full.remove(part.protocol)
		out.setPorts(part.protocol, gaps(part.spans, 65535))
	}
	for _, part := range a.icmp {
		out.full.remove(part.protocol)
		var codes [256][]span
		for t := range codes {
			codes[t] = []span{{0, 255}}
		}
		for _, r := range part.runs {
			for t := r.types.first; t <= r.types.last; t++ {
				codes[t] = gaps(r.codes, 255)
			}
		}
		out.setTypes(part.protocol, &codes)
	}
	out.sort()
	return out
}

// gaps returns what sorted spans leave out of 0 to last.
func gaps(spans []span, last int) []span {
	var out []span
	next := 0
	for _, s := range spans {
		if next < s.first {
			out = append(out, span{next, s.first - 1})
		}
		next = s.last + 1
	}
	if next <= last {
		out = append(out, span{next, last})
	}
	return out
}

// minus returns what is in a and not in b.
func minus(a, b *l4) l4 {
	rest := complement(b)
	return intersect(a, &rest)
}

// plus returns what is in one of two sets.
func plus(a, b *l4) l4 {
	switch {
	case a.empty():
		return *b
	case b.empty():
		return *a
	}
	x, y := complement(a), complement(b)
	neither := intersect(&x, &y)
	return complement(&neither)
}

// onPorts returns the set of some destination ports of a protocol; none means all
// of the protocol.
func onPorts(p policy.Protocol, ports ...span) l4 {
	var s l4
	if len(ports) == 0 {
		s.full.add(p)
	} else {
		s.setPorts(p, union(ports))
	}
	return s
}
