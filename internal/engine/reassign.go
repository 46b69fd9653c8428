package engine

import (
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// reassignAddrs moves the addresses, of one family, that lie in the nets that moved.
// The work grows with the number of these addresses, and neither with the width of
// the nets nor with the number of other addresses.
func reassignAddrs[K addrKey](e *addressing, t *recordTable[K], moved map[netip.Prefix]struct{}) {
	var nets []netip.Prefix
	for p := range moved {
		if (p.Addr().BitLen() == 32) == (len(*new(K)) == 4) {
			nets = append(nets, p)
		}
	}
	slices.SortFunc(nets, comparePrefixes)
	var last netip.Prefix // the wider one comes first
	for _, p := range nets {
		if last.IsValid() && last.Overlaps(p) {
			continue
		}
		last = p
		if p.Addr().BitLen()-p.Bits() <= blockBits {
			reassignBlock(e, t, blockOf(t.key(p.Addr())), p)
			continue
		}
		t.order.AscendGreaterOrEqual(t.key(p.Addr()), func(block K) bool {
			if !p.Contains(addrOf(block)) {
				return false
			}
			reassignBlock(e, t, block, p)
			return true
		})
	}
}

// reassignBlock moves the addresses of a block that lie in a net.
func reassignBlock[K addrKey](e *addressing, t *recordTable[K], block K, p netip.Prefix) {
	for r := t.blocks[block]; r != 0; {
		rec := t.recs.At(r)
		next := rec.beside
		if addr := addrOf(rec.addr); p.Contains(addr) {
			placeRecord(e, t, r, addr)
		}
		r = next
	}
}

// recomputePrefixListSets brings nets, hosts and endpoint addresses into the prefix-list sets that
// follow from changed prefix lists.
func (e *addressing) recomputePrefixListSets() {
	changed := sortedFunc(e.pending.nets, func(a, b netip.Prefix) int {
		// Shorter ones first: the prefix-list set of a net builds on that of the net around it.
		if c := a.Bits() - b.Bits(); c != 0 {
			return c
		}
		return a.Addr().Compare(b.Addr())
	})
	clear(e.pending.nets)
	moved := map[netip.Prefix]struct{}{}
	for _, p := range changed {
		n, ok := e.prefixLists.nodes.Get(p)
		if !ok {
			continue
		}
		if len(n.own) == 0 && p.Bits() > 0 {
			e.prefixLists.nodes.Delete(p)
			e.leavePrefixListSet(n)
			moved[p] = struct{}{}
		}
		e.reassignNets(p, moved)
	}
	reassignAddrs(e, e.v4, moved)
	reassignAddrs(e, e.v6, moved)
	for _, addr := range sortedFunc(e.pending.hosts, netip.Addr.Compare) {
		e.reassignHost(addr)
	}
	clear(e.pending.hosts)
}

// reassignNets moves the net and all nets within it to the prefix-list sets that they should
// be in, and notes those that moved.
func (e *addressing) reassignNets(p netip.Prefix, moved map[netip.Prefix]struct{}) {
	for sub, n := range e.prefixLists.nodes.Subnets(p) {
		var around []uint32
		for super, s := range e.prefixLists.nodes.Supernets(sub) {
			if super.Bits() < sub.Bits() {
				around = e.prefixListSets.at(s.prefixListSet).lists
				break
			}
		}
		family := policy.FamilyOf(sub.Addr())
		if to := e.prefixListSetOf(family, union(around, n.own)); to != n.prefixListSet {
			e.leavePrefixListSet(n)
			e.joinPrefixListSet(n, to)
			moved[sub] = struct{}{}
		}
	}
}

// joinPrefixListSet makes the net one of those whose own addresses are in a prefix-list set;
// leavePrefixListSet takes it out.
func (e *addressing) joinPrefixListSet(n *netNode, id uint32) {
	n.prefixListSet = id
	ls := e.prefixListSets.at(id)
	ls.refs++
	ls.nets[n.prefix] = struct{}{}
	if ls.withoutEndpoint == 0 {
		ls.withoutEndpoint = e.addCellWithoutEndpoint(id)
	}
	e.addWeight(e.equivalenceCells.at(ls.withoutEndpoint), 1)
	e.pending.nodes[n.prefix] = struct{}{}
	if n.prefix.Bits() == 0 {
		e.rootPrefixListSet[policy.FamilyOf(n.prefix.Addr()).Index()] = id
	}
}

func (e *addressing) leavePrefixListSet(n *netNode) {
	e.pending.nodes[n.prefix] = struct{}{}
	if n.prefixListSet == 0 {
		return
	}
	ls := e.prefixListSets.at(n.prefixListSet)
	delete(ls.nets, n.prefix)
	e.addWeight(e.equivalenceCells.at(ls.withoutEndpoint), -1)
	if len(ls.nets) == 0 {
		e.pending.emptied[n.prefixListSet] = struct{}{}
	}
	e.releasePrefixListSet(n.prefixListSet)
	n.prefixListSet = 0
}

// reassignHost moves an address that a prefix list began or ceased to list by itself.
func (e *addressing) reassignHost(addr netip.Addr) {
	if addr.Is4() {
		placeRecord(e, e.v4, e.v4.of(addr.As4()), addr)
	} else {
		placeRecord(e, e.v6, e.v6.of(addr.As16()), addr)
	}
}
