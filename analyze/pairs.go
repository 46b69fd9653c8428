package analyze

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// view is all that a point says to others, and they to it, in one direction of
// connections.
type view struct {
	byClass   []int32    // what the point's program allows, by class
	byHook    [3][]int32 // what the programs of its host's hooks do, where there are any
	byProgram []int32    // what other programs allow the point's class
}

// look fills a view of a point as the source of connections, or as their destination.
func (r *reach) look(v *view, p point, asSource bool) {
	if v.byClass == nil {
		v.byClass, v.byProgram = make([]int32, len(r.cells)), make([]int32, len(r.programs))
	}
	own, hooks := p.ingress, p.in[:]
	if asSource {
		own, hooks = p.egress, p.out[:]
	}
	r.answers(own, v.byClass)
	r.askers(p.class, v.byProgram)
	if r.hosts == nil {
		return
	}
	for i, program := range hooks {
		if v.byHook[i] == nil {
			v.byHook[i] = make([]int32, len(r.cells))
		}
		r.answers(program, v.byHook[i])
	}
}

// to returns what the point of a view, the source, may send to another point. Where
// one of them is a host, it is not the other's own.
func (r *reach) to(v *view, p, q *point) int32 {
	set := r.both(v.byClass[q.class], v.byProgram[q.ingress])
	if r.hosts == nil {
		return set
	}
	set = r.both(set, r.sending(p, q, everything, func(program int32) int32 { return v.byProgram[program] }))
	if within(p, q) {
		return set
	}
	set = r.both(set, r.leaving(p, [2]int32{v.byHook[0][q.class], v.byHook[1][q.class]}))
	return r.both(set, r.coming(q, [3]int32{v.byProgram[q.in[0]], v.byProgram[q.in[1]], v.byProgram[q.in[2]]}))
}

// from returns what the point of a view, the destination, receives from another.
func (r *reach) from(v *view, p, q *point) int32 {
	set := r.both(v.byClass[q.class], v.byProgram[q.egress])
	if r.hosts == nil {
		return set
	}
	set = r.both(set, r.sending(q, p, everything, func(program int32) int32 { return r.cellOf(program, q.class) }))
	if within(p, q) {
		return set
	}
	set = r.both(set, r.leaving(q, [2]int32{v.byProgram[q.out[0]], v.byProgram[q.out[1]]}))
	return r.both(set, r.coming(p, [3]int32{v.byHook[0][q.class], v.byHook[1][q.class], v.byHook[2][q.class]}))
}

// within reports whether two workloads are on one node: no host endpoint is asked of
// what is routed between them.
func within(p, q *point) bool { return p.node != 0 && p.node == q.node && !p.host && !q.host }

// samePoint reports whether two points of a family reach the same, and are
// reached from the same, as far as endpoints and the outside world go.
func (r *reach) samePoint(family int, a, b point) bool {
	if a == b {
		return true
	}
	va, vb := &r.scratch[0], &r.scratch[1]
	for _, asSource := range [2]bool{true, false} {
		said := r.from
		if asSource {
			said = r.to
		}
		r.look(va, a, asSource)
		r.look(vb, b, asSource)
		for i := range r.points[family] {
			q := &r.points[family][i]
			if said(va, &a, q) != said(vb, &b, q) {
				return false
			}
		}
		for _, list := range [2][]addrRange{r.ranges[family], r.standIns.ranges[family]} {
			for _, x := range list {
				q := &point{class: x.class}
				if said(va, &a, q) != said(vb, &b, q) {
					return false
				}
			}
		}
	}
	return true
}

// none stands for a family that two ends do not have in common.
const none = -1

// families is what two ends may do by IPv4 and by IPv6: numbers of sets, or none.
type families [2]int32

// pairs lists all pairs of which something is allowed.
func (r *reach) pairs() []Pair {
	l := &lister{reach: r, texts: map[families][]Allowed{}}
	for i := range r.units {
		l.names = append(l.names, r.units[i].name())
	}
	for family, list := range r.ranges {
		for _, x := range list {
			l.rangeNames[family] = append(l.rangeNames[family], x.String())
		}
	}
	var parts [][]Pair // of each source
	for i := range r.units {
		parts = append(parts, slices.Clone(l.fromUnit(i)))
	}
	for family, list := range r.ranges {
		for i := range list {
			parts = append(parts, slices.Clone(l.fromRange(family, i)))
		}
	}
	return slices.Concat(parts...)
}

// lister lists pairs source by source.
type lister struct {
	*reach
	names      []string
	rangeNames [2][]string
	views      [2]view // of the source, by family
	texts      map[families][]Allowed
	found      []Pair // of the source
}

// fromUnit lists what a unit reaches; the list is good until the next call.
func (l *lister) fromUnit(i int) []Pair {
	l.found = l.found[:0]
	src := &l.units[i]
	for family, has := range src.ends.has {
		if has {
			l.look(&l.views[family], src.ends.point[family], true)
		}
	}
	for j := range l.units {
		dst := &l.units[j]
		if src.key == dst.key { // an endpoint always reaches itself
			continue
		}
		if (src.host || dst.host) && !l.apart(i, j) {
			continue
		}
		f := families{none, none}
		for family := range f {
			if src.ends.has[family] && dst.ends.has[family] {
				f[family] = l.to(&l.views[family], &src.ends.point[family], &dst.ends.point[family])
			}
		}
		l.add(l.names[i], l.names[j], f)
	}
	for family, has := range src.ends.has {
		if !has {
			continue
		}
		for j, x := range l.ranges[family] {
			l.add(l.names[i], l.rangeNames[family][j], of(family, l.outside(family, src, x.class)))
		}
	}
	l.toDomains(i)
	return l.found
}

// outside returns what a unit, the source of the views, may send to a class of the
// outside world.
func (l *lister) outside(family int, src *unit, class int32) int32 {
	return l.to(&l.views[family], &src.ends.point[family], &point{class: class})
}

// apart reports whether a host and another end are ones that the host's policy is
// between: two hosts, or a host and endpoints that are not on it. What endpoints
// send to their own host it lists at once.
func (l *lister) apart(i, j int) bool {
	src, dst := &l.units[i], &l.units[j]
	if src.host {
		_, elsewhere := dst.on(src.at[0].node)
		return elsewhere
	}
	there, elsewhere := src.on(dst.at[0].node)
	if there == nil {
		return elsewhere
	}
	f := families{none, none}
	for family := range f {
		f[family] = l.atHome(family, there, dst)
	}
	name := l.names[i]
	if elsewhere {
		name = homeName(name, l.hosts.nameOf(there.node))
	}
	l.add(name, l.names[j], f)
	return elsewhere
}

// fromRange lists what a range of the outside world reaches; the list is good
// until the next call.
func (l *lister) fromRange(family, i int) []Pair {
	l.found = l.found[:0]
	v := &l.views[family]
	src := point{class: l.ranges[family][i].class}
	l.look(v, src, true)
	for j := range l.units {
		if dst := &l.units[j]; dst.ends.has[family] {
			l.add(l.rangeNames[family][i], l.names[j], of(family, l.to(v, &src, &dst.ends.point[family])))
		}
	}
	return l.found
}

func (l *lister) add(src, dst string, f families) {
	if f[0] <= nothing && f[1] <= nothing {
		return
	}
	if allowed := l.text(f); len(allowed) > 0 {
		l.found = append(l.found, Pair{Src: src, Dst: dst, Allowed: allowed})
	}
}

// of returns a set in one family.
func of(family int, set int32) families {
	f := families{none, none}
	f[family] = set
	return f
}

// text writes down what is allowed in both families: once if it is the same, or
// if the ends have one family only in common.
func (l *lister) text(f families) []Allowed {
	switch {
	case f[0] == none || f[0] == f[1]:
		return l.entries[f[1]]
	case f[1] == none && (l.hosts == nil || !slices.ContainsFunc(l.entries[f[0]], isNeighbourDiscovery)):
		return l.entries[f[0]]
	}
	out, ok := l.texts[f]
	if !ok {
		for family, name := range [2]string{"IPv4", "IPv6"} {
			if f[family] == none {
				continue
			}
			for _, e := range l.entries[f[family]] {
				if family == 0 && isNeighbourDiscovery(e) {
					continue // it is there because it is always open, and IPv4 has none
				}
				if f[1] != none {
					e.Family = name
				}
				out = append(out, e)
			}
		}
		l.texts[f] = out
	}
	return out
}

// isNeighbourDiscovery reports whether an entry is what hosts never stop of IPv6.
func isNeighbourDiscovery(e Allowed) bool {
	return e.Protocol == policy.ICMPv6.String() && e.Types == "133-136"
}
