package dns

import "net/netip"

// The index leads from an address to the names that have it, in itself or carried by
// another: when the address becomes the cluster's, they are looked at again.

// nameSet is the names that an address leads to, with how many records of each do. Mostly
// it is one.
type nameSet struct {
	one     *name
	records int           // of one
	more    map[*name]int // nil: one is all
}

func (s nameSet) with(n *name) nameSet {
	switch {
	case s.one == nil:
		return nameSet{one: n, records: 1}
	case s.more == nil && s.one == n:
		s.records++
		return s
	case s.more == nil:
		s.more = map[*name]int{s.one: s.records}
	}
	s.more[n]++
	return s
}

// without returns the rest, and whether there is any.
func (s nameSet) without(n *name) (nameSet, bool) {
	if s.more == nil {
		s.records--
		return s, s.records > 0
	}
	if s.more[n]--; s.more[n] == 0 {
		delete(s.more, n)
	}
	return s, len(s.more) > 0
}

func (s nameSet) each(visit func(*name)) {
	if s.more == nil && s.one != nil {
		visit(s.one)
	}
	for n := range s.more {
		visit(n)
	}
}

// index has a name found by an address of a record, and by those that this carries.
func (t *Table) index(n *name, a netip.Addr) {
	t.byAddr[a] = t.byAddr[a].with(n)
	for inner := range embedded(a) {
		t.byAddr[inner] = t.byAddr[inner].with(n)
	}
}

// unindex undoes index.
func (t *Table) unindex(n *name, a netip.Addr) {
	t.unindexOne(n, a)
	for inner := range embedded(a) {
		t.unindexOne(n, inner)
	}
}

func (t *Table) unindexOne(n *name, a netip.Addr) {
	if rest, any := t.byAddr[a].without(n); any {
		t.byAddr[a] = rest
	} else {
		delete(t.byAddr, a)
	}
}

// leadsTo reports whether a record is of an address, or of one that carries it.
func (r *record) leadsTo(a netip.Addr) bool {
	if r.addr == a {
		return true
	}
	for inner := range embedded(r.addr) {
		if inner == a {
			return true
		}
	}
	return false
}
