package analyze

import (
	"github.com/tierwall/tierwall/policy"
)

// empty reports whether nothing is in a set.
func (s *l4) empty() bool {
	return len(s.ports) == 0 && len(s.icmp) == 0 && s.full == [256]bool{}
}

// complement returns all that is not in a set.
func complement(a *l4) l4 {
	var out l4
	for p := range out.full {
		out.full[p] = !a.full[p]
	}
	for _, part := range a.ports {
		out.full[part.protocol] = false
		out.setPorts(part.protocol, gaps(part.spans, 65535))
	}
	for _, part := range a.icmp {
		out.full[part.protocol] = false
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
		s.full[p] = true
	} else {
		s.setPorts(p, union(ports))
	}
	return s
}
