package analyze

import "slices"

// view is all that a point says to others, and they to it, in one direction of
// connections.
type view struct {
	byClass   []int32 // what the point's program allows, by class
	byProgram []int32 // what other programs allow the point's class
}

// look fills a view of a point as the source of connections, or as their destination.
func (r *reach) look(v *view, p point, asSource bool) {
	if v.byClass == nil {
		v.byClass, v.byProgram = make([]int32, len(r.cells)), make([]int32, len(r.programs))
	}
	own := p.ingress
	if asSource {
		own = p.egress
	}
	r.answers(own, v.byClass)
	r.askers(p.class, v.byProgram)
}

// samePoint reports whether two points of a family reach the same, and are
// reached from the same, as far as endpoints and the outside world go.
func (r *reach) samePoint(family int, a, b point) bool {
	if a == b {
		return true
	}
	var va, vb view
	for _, asSource := range [2]bool{true, false} {
		r.look(&va, a, asSource)
		r.look(&vb, b, asSource)
		for _, q := range r.points[family] {
			theirs := q.egress
			if asSource {
				theirs = q.ingress
			}
			if r.both(va.byClass[q.class], va.byProgram[theirs]) != r.both(vb.byClass[q.class], vb.byProgram[theirs]) {
				return false
			}
		}
		for _, x := range r.ranges[family] {
			if va.byClass[x.class] != vb.byClass[x.class] {
				return false
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
		f := families{none, none}
		for family := range f {
			if src.ends.has[family] && dst.ends.has[family] {
				q, v := &dst.ends.point[family], &l.views[family]
				f[family] = l.both(v.byClass[q.class], v.byProgram[q.ingress])
			}
		}
		l.add(l.names[i], l.names[j], f)
	}
	for family, has := range src.ends.has {
		if !has {
			continue
		}
		for j, x := range l.ranges[family] {
			l.add(l.names[i], l.rangeNames[family][j], of(family, l.views[family].byClass[x.class]))
		}
	}
	return l.found
}

// fromRange lists what a range of the outside world reaches; the list is good
// until the next call.
func (l *lister) fromRange(family, i int) []Pair {
	l.found = l.found[:0]
	v := &l.views[family] // every unit of the family has filled it before
	l.askers(l.ranges[family][i].class, v.byProgram)
	for j := range l.units {
		if dst := &l.units[j]; dst.ends.has[family] {
			l.add(l.rangeNames[family][i], l.names[j], of(family, v.byProgram[dst.ends.point[family].ingress]))
		}
	}
	return l.found
}

func (l *lister) add(src, dst string, f families) {
	if f[0] <= nothing && f[1] <= nothing {
		return
	}
	l.found = append(l.found, Pair{src, dst, l.text(f)})
}

// of gives a set in one family.
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
	case f[1] == none:
		return l.entries[f[0]]
	}
	out, ok := l.texts[f]
	if !ok {
		for family, name := range [2]string{"IPv4", "IPv6"} {
			for _, e := range l.entries[f[family]] {
				e.Family = name
				out = append(out, e)
			}
		}
		l.texts[f] = out
	}
	return out
}
