package analyze

import (
	"hash/maphash"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// Union returns what is in one of two sets.
func (s L4Set) Union(o L4Set) L4Set {
	switch {
	case s.empty():
		return o
	case o.empty():
		return s
	}
	return s.Complement().Intersect(o.Complement()).Complement()
}

// Intersect returns what is in both of two sets.
func (s L4Set) Intersect(o L4Set) L4Set {
	var out L4Set
	for i := range out.full {
		out.full[i] = s.full[i] & o.full[i]
	}
	for _, x := range [2][2]*L4Set{{&s, &o}, {&o, &s}} {
		one, other := x[0], x[1]
		for _, part := range one.ports {
			if other.full.has(part.protocol) {
				out.ports = append(out.ports, part)
			} else if one == &s {
				out.setPorts(part.protocol, common(part.spans, other.portsOf(part.protocol)))
			}
		}
		for _, part := range one.icmp {
			if other.full.has(part.protocol) {
				out.icmp = append(out.icmp, part)
			} else if one == &s {
				out.setTypes(part.protocol, commonTypes(part, other.typesOf(part.protocol)))
			}
		}
	}
	out.sort()
	return out
}

// Subtract returns what is in the set and not in another one.
func (s L4Set) Subtract(o L4Set) L4Set { return s.Intersect(o.Complement()) }

// Complement returns all that is not in the set.
func (s L4Set) Complement() L4Set {
	var out L4Set
	for i := range out.full {
		out.full[i] = ^s.full[i]
	}
	for _, part := range s.ports {
		out.full.remove(part.protocol)
		out.setPorts(part.protocol, gaps(part.spans, 65535))
	}
	for _, part := range s.icmp {
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
func (s *L4Set) empty() bool {
	return len(s.ports) == 0 && len(s.icmp) == 0 && s.full == protocolSet{}
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

// onPorts returns the set of some destination ports of a protocol; none means all
// of the protocol.
func onPorts(p policy.Protocol, ports ...span) L4Set {
	var s L4Set
	if len(ports) == 0 {
		s.full.add(p)
	} else {
		s.setPorts(p, union(ports))
	}
	return s
}
