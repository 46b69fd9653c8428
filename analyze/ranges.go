package analyze

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// addrRange is a range of addresses of the outside world that policy treats alike.
type addrRange struct {
	first, last netip.Addr
	class       int32
}

// addRanges finds the ranges of the outside world, of those families that
// endpoints have. Stand-ins of domains are no part of it.
func (r *reach) addRanges(endpoints []*policy.Endpoint) {
	var held [2][]netip.Addr
	isHeld := map[netip.Addr]bool{}
	hold := func(a netip.Addr) {
		if a = a.Unmap(); !isHeld[a] {
			isHeld[a] = true
			held[policy.FamilyOf(a).Index()] = append(held[policy.FamilyOf(a).Index()], a)
		}
	}
	for _, ep := range endpoints {
		for _, a := range ep.Addrs {
			hold(a)
		}
	}
	for _, a := range r.hosts.heldAddrs() {
		hold(a)
	}
	has := [2]bool{len(held[0]) > 0, len(held[1]) > 0}
	for _, a := range r.placeholders.all() {
		hold(a)
	}
	var nets [2][]classNet
	for n, class := range r.nets {
		nets[policy.FamilyOf(n.Addr()).Index()] = append(nets[policy.FamilyOf(n.Addr()).Index()], classNet{n, class})
	}
	for a, class := range r.addrs {
		if !isHeld[a] {
			nets[policy.FamilyOf(a).Index()] = append(nets[policy.FamilyOf(a).Index()], classNet{netip.PrefixFrom(a, a.BitLen()), class})
		}
	}
	for family := range nets {
		if !has[family] {
			continue
		}
		slices.SortFunc(held[family], netip.Addr.Compare)
		for _, x := range flatten(nets[family]) {
			if !onlyHeld(x, held[family]) {
				r.addRange(family, addrRange{x.first, x.last, r.classes[x.class]})
			}
		}
	}
}

// addRange adds a range behind those of its family, as a part of the last one
// if policy treats both alike. What lies between the two has endpoints only.
func (r *reach) addRange(family int, x addrRange) {
	list := &r.ranges[family]
	if n := len(*list); n > 0 && r.alike((*list)[n-1].class, x.class) {
		(*list)[n-1].last = x.last
		return
	}
	*list = append(*list, x)
}

// alike reports whether every program answers two classes the same, also where it decides
// about answers, and whether hosts ask their workloads the same about both.
func (r *reach) alike(a, b int32) bool {
	if a == b {
		return true
	}
	return r.tables.alike(a, b) && r.hosts.alike(a, b) && (r.untracked == nil || r.untracked.alike(a, b))
}

// classNet is a net whose addresses are of a class, unless a longer net holds them.
type classNet struct {
	prefix netip.Prefix
	class  dataplane.ClassID
}

type classRange struct {
	first, last netip.Addr
	class       dataplane.ClassID
}

// flatten returns the disjoint ranges, ascending, in which the longest net that
// holds an address is the same one. The nets hold the whole family.
func flatten(nets []classNet) []classRange {
	slices.SortFunc(nets, func(a, b classNet) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	var out []classRange
	var open []classNet // each within the one before
	var next netip.Addr // the first address that is not in out
	// upTo gives all up to an address to the innermost open net.
	upTo := func(last netip.Addr) {
		if next.IsValid() && next.Compare(last) <= 0 {
			out = append(out, classRange{next, last, open[len(open)-1].class})
			next = last.Next()
		}
	}
	closeAll := func(before netip.Addr) {
		for len(open) > 0 {
			last := lastAddr(open[len(open)-1].prefix)
			if before.IsValid() && last.Compare(before) >= 0 {
				return
			}
			upTo(last)
			open = open[:len(open)-1]
		}
	}
	for _, n := range nets {
		first := n.prefix.Addr()
		closeAll(first)
		if len(open) == 0 {
			next = first
		} else if next.Compare(first) < 0 {
			upTo(first.Prev())
		}
		open = append(open, n)
	}
	closeAll(netip.Addr{})
	return out
}

// lastAddr returns the last address of a net.
func lastAddr(n netip.Prefix) netip.Addr {
	b := n.Masked().Addr().AsSlice()
	for i := n.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// onlyHeld reports whether endpoints hold every address of a range; held is sorted.
func onlyHeld(x classRange, held []netip.Addr) bool {
	i, _ := slices.BinarySearchFunc(held, x.first, netip.Addr.Compare)
	for a := x.first; i < len(held) && held[i] == a; i++ {
		if a == x.last {
			return true
		}
		a = a.Next()
	}
	return false
}
