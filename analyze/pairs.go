package analyze

import (
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// view is all that an enforcement says to others, and they to it, in one direction of
// connections.
type view struct {
	byClass   []int32    // what its program allows, by class
	byHook    [4][]int32 // what the programs of its host's hooks do, where there are any
	byProgram []int32    // what other programs allow its class
}

// look fills a view of an enforcement as the source of connections, or as their destination.
func (r *reach) look(v *view, p enforcement, asSource bool) {
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

// to returns what the enforcement of a view, the source, may send to another. Where
// one of them is a host, it is not the other's own.
func (r *reach) to(v *view, p, q *enforcement) int32 {
	set := r.both(v.byClass[q.class], v.byProgram[q.ingress])
	if r.hosts == nil {
		return set
	}
	saidToSource := func(program int32) int32 { return v.byProgram[program] }
	in, _ := r.atLink(p.linkIn, q.class, saidToSource)
	set = r.both(set, r.sending(p, q.class, in, saidToSource))
	out, _ := r.atLink(q.linkOut, p.class, func(program int32) int32 { return r.cellOf(program, q.class) })
	if within(p, q) {
		return r.both(set, out)
	}
	set = r.both(set, r.leaving(p, q.class, [3]int32{v.byHook[0][q.class], v.byHook[1][q.class], v.byHook[2][q.class]}))
	return r.both(set, r.coming(q, p.class, [4]int32{v.byProgram[q.in[0]], v.byProgram[q.in[1]], v.byProgram[q.in[2]], v.byProgram[q.in[3]]}, out))
}

// from returns what the enforcement of a view, the destination, receives from another.
func (r *reach) from(v *view, p, q *enforcement) int32 {
	set := r.both(v.byClass[q.class], v.byProgram[q.egress])
	if r.hosts == nil {
		return set
	}
	saidToSource := func(program int32) int32 { return r.cellOf(program, q.class) }
	in, _ := r.atLink(q.linkIn, p.class, saidToSource)
	set = r.both(set, r.sending(q, p.class, in, saidToSource))
	out, _ := r.atLink(p.linkOut, q.class, func(program int32) int32 { return v.byProgram[program] })
	if within(p, q) {
		return r.both(set, out)
	}
	set = r.both(set, r.leaving(q, p.class, [3]int32{v.byProgram[q.out[0]], v.byProgram[q.out[1]], v.byProgram[q.out[2]]}))
	return r.both(set, r.coming(p, q.class, [4]int32{v.byHook[0][q.class], v.byHook[1][q.class], v.byHook[2][q.class], v.byHook[3][q.class]}, out))
}

// within reports whether two workloads are on one node: only what is said at their links
// is asked of what is routed between them.
func within(p, q *enforcement) bool { return p.node != 0 && p.node == q.node && !p.host && !q.host }

// sameEnforcement reports whether two enforcements of a family reach the same, and are
// reached from the same, as far as endpoints and the outside world go.
func (r *reach) sameEnforcement(family int, a, b enforcement) bool {
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
		for _, list := range [2][]addrRange{r.ranges[family], r.placeholders.ranges[family]} {
			for _, x := range list {
				q := &enforcement{class: x.class}
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
func (r *reach) pairs() ([]Pair, map[*End]bool) {
	l := &lister{reach: r, byFamily: map[families]Allowed{}, likeAnyAddress: map[*End]bool{}}
	for i := range r.groups {
		l.ends = append(l.ends, r.groups[i].end())
	}
	for family, list := range r.ranges {
		for _, x := range list {
			l.rangeEnds[family] = append(l.rangeEnds[family], &End{Kind: RangeEnd, First: x.first, Last: x.last})
		}
	}
	var parts [][]Pair // of each source
	for i := range r.groups {
		parts = append(parts, slices.Clone(l.fromGroup(i)))
	}
	for family, list := range r.ranges {
		for i := range list {
			parts = append(parts, slices.Clone(l.fromRange(family, i)))
		}
	}
	return slices.Concat(parts...), l.likeAnyAddress
}

// lister lists pairs source by source.
type lister struct {
	*reach
	ends      []*End // of groups
	rangeEnds [2][]*End
	views     [2]view   // of the source, by family
	bySet     []Allowed // by number: the set in both families, once it is asked for
	byFamily  map[families]Allowed
	found     []Pair // of the source
	// likeAnyAddress are the destinations to whose domains the same is allowed as to
	// addresses of no domain.
	likeAnyAddress map[*End]bool
}

// fromGroup lists what a group reaches; the list is good until the next call.
func (l *lister) fromGroup(i int) []Pair {
	l.found = l.found[:0]
	src := &l.groups[i]
	for family, has := range src.enforced.has {
		if has {
			l.look(&l.views[family], src.enforced.at[family], true)
		}
	}
	for j := range l.groups {
		dst := &l.groups[j]
		if src.key == dst.key { // an endpoint always reaches itself
			continue
		}
		if (src.host || dst.host) && !l.apart(i, j) {
			continue
		}
		f := families{none, none}
		for family := range f {
			if src.enforced.has[family] && dst.enforced.has[family] {
				f[family] = l.to(&l.views[family], &src.enforced.at[family], &dst.enforced.at[family])
			}
		}
		l.add(l.ends[i], l.ends[j], f)
	}
	for family, has := range src.enforced.has {
		if !has {
			continue
		}
		for j, x := range l.ranges[family] {
			l.add(l.ends[i], l.rangeEnds[family][j], of(family, l.outside(family, src, x.class)))
		}
	}
	l.toDomains(i)
	return l.found
}

// outside returns what a group, the source of the views, may send to a class of the
// outside world.
func (l *lister) outside(family int, src *endpointGroup, class int32) int32 {
	return l.to(&l.views[family], &src.enforced.at[family], &enforcement{class: class})
}

// apart reports whether a host and another end are ones that the host's policy is
// between: two hosts, or a host and endpoints that are not on it. What endpoints
// send to their own host it lists at once.
func (l *lister) apart(i, j int) bool {
	src, dst := &l.groups[i], &l.groups[j]
	if src.host {
		_, elsewhere := dst.on(src.at[0].node)
		return elsewhere
	}
	there, elsewhere := src.on(dst.at[0].node)
	if there == nil {
		return elsewhere
	}
	if !l.listsToOwnNode(there) {
		return elsewhere
	}
	f := families{none, none}
	for family := range f {
		f[family] = l.toOwnNode(family, there, dst)
	}
	end := l.ends[i]
	if elsewhere {
		onNode := *end
		onNode.Node = l.hosts.nameOf(there.node)
		end = &onNode
	}
	l.add(end, l.ends[j], f)
	return elsewhere
}

// fromRange lists what a range of the outside world reaches; the list is good
// until the next call.
func (l *lister) fromRange(family, i int) []Pair {
	l.found = l.found[:0]
	v := &l.views[family]
	src := enforcement{class: l.ranges[family][i].class}
	l.look(v, src, true)
	for j := range l.groups {
		if dst := &l.groups[j]; dst.enforced.has[family] {
			l.add(l.rangeEnds[family][i], l.ends[j], of(family, l.to(v, &src, &dst.enforced.at[family])))
		}
	}
	return l.found
}

func (l *lister) add(src, dst *End, f families) {
	if f[0] <= nothing && f[1] <= nothing {
		return
	}
	if allowed := l.allowed(f); len(allowed) > 0 {
		l.found = append(l.found, Pair{Src: src, Dst: dst, Allowed: allowed})
	}
}

// of returns a set in one family.
func of(family int, set int32) families {
	f := families{none, none}
	f[family] = set
	return f
}

// allowed returns what is allowed in both families: one grant if it is the same, or
// if the ends have one family only in common.
func (l *lister) allowed(f families) Allowed {
	switch {
	case f[0] == none || f[0] == f[1]:
		return l.inBoth(f[1])
	case f[1] == none && (l.hosts == nil || !l.grants.values[f[0]].hasNeighbourDiscovery()):
		return l.inBoth(f[0])
	}
	out, ok := l.byFamily[f]
	if ok {
		return out
	}
	for family, set := range f {
		if set == none {
			continue
		}
		g := FamilyGrant{Grant: new(l.grants.values[set])}
		if family == 0 { // it is there because it is always open, and IPv4 has none
			*g.Grant = g.withoutNeighbourDiscovery()
		}
		if f[1] != none {
			g.Family = policy.Families[family]
		}
		if !g.empty() {
			out = append(out, g)
		}
	}
	l.byFamily[f] = out
	return out
}

// inBoth returns a set as what is allowed in both families.
func (l *lister) inBoth(set int32) Allowed {
	for int(set) >= len(l.bySet) {
		l.bySet = append(l.bySet, nil)
	}
	if l.bySet[set] == nil {
		l.bySet[set] = Allowed{{Grant: new(l.grants.values[set])}}
	}
	return l.bySet[set]
}

// hasNeighbourDiscovery reports whether what hosts never stop of IPv6 is all that the
// grant has of ICMPv6, in one of its parts.
func (g *Grant) hasNeighbourDiscovery() bool {
	return g.open.onlyNeighbourDiscovery() || slices.ContainsFunc(g.parts, func(p httpPart) bool { return p.on.onlyNeighbourDiscovery() })
}

// withoutNeighbourDiscovery returns the grant without those parts.
func (g *Grant) withoutNeighbourDiscovery() Grant {
	without := func(s L4Set) L4Set {
		if s.onlyNeighbourDiscovery() {
			s.icmp = slices.DeleteFunc(slices.Clone(s.icmp), func(p icmpPart) bool { return p.protocol == policy.ICMPv6 })
		}
		return s
	}
	out := Grant{open: without(g.open)}
	for _, p := range g.parts {
		if p.on = without(p.on); !p.on.empty() {
			out.parts = append(out.parts, p)
		}
	}
	return out
}

// onlyNeighbourDiscovery reports whether the set has exactly this of ICMPv6.
func (s *L4Set) onlyNeighbourDiscovery() bool {
	runs := s.typesOf(policy.ICMPv6).runs
	return len(runs) == 1 && runs[0].types == span{133, 136} && runs[0].allCodes()
}
