package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// checkAddr reports an address that tables cannot hold.
func checkAddr(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("is no address")
	case a.Is4In6():
		return errors.New("is an IPv4-mapped IPv6 address; write it as IPv4")
	case a.Zone() != "":
		return errors.New("has a zone")
	}
	return nil
}

func (a *after) useClass(class ClassID, fam, n int) {
	use := a.classUse[class]
	use[fam] += n
	a.classUse[class] = use
}

func (a *after) addresses() error {
	for addr, class := range a.d.SetAddrs {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("address %v: %w", addr, err)
		}
		if !a.hasClass(class) {
			return fmt.Errorf("address %v: there is no class %d", addr, class)
		}
		a.useClass(class, family(addr), 1)
		if old, ok := a.addrClass(addr); ok {
			a.useClass(old, family(addr), -1)
		}
	}
	for _, addr := range a.d.DelAddrs {
		old, ok := a.addrClass(addr)
		if !ok {
			return fmt.Errorf("address %v is deleted, but has no class", addr)
		}
		if _, set := a.d.SetAddrs[addr]; set {
			return fmt.Errorf("address %v is set and deleted", addr)
		}
		a.useClass(old, family(addr), -1)
	}
	return nil
}

func (a *after) prefixes() error {
	for p, class := range a.d.SetNets {
		if err := checkAddr(p.Addr()); err != nil {
			return fmt.Errorf("net %v: %w", p, err)
		}
		switch {
		case !p.IsValid() || p != p.Masked():
			return fmt.Errorf("net %v: is no masked prefix", p)
		case p.IsSingleIP():
			return fmt.Errorf("net %v: a single address belongs into SetAddrs", p)
		case !a.hasClass(class):
			return fmt.Errorf("net %v: there is no class %d", p, class)
		}
		a.useClass(class, family(p.Addr()), 1)
		if old, ok := a.nets.Get(p); ok {
			a.useClass(old, family(p.Addr()), -1)
		}
	}
	for _, p := range a.d.DelNets {
		old, ok := a.nets.Get(p)
		if !ok {
			return fmt.Errorf("net %v is deleted, but has no class", p)
		}
		if _, set := a.d.SetNets[p]; set {
			return fmt.Errorf("net %v is set and deleted", p)
		}
		a.useClass(old, family(p.Addr()), -1)
	}
	for _, p := range WholeFamilies {
		_, set := a.d.SetNets[p]
		_, had := a.nets.Get(p)
		if _, del := slices.BinarySearchFunc(a.d.DelNets, p, netip.Prefix.Compare); !set && (!had || del) {
			return fmt.Errorf("net %v: has no class", p)
		}
	}
	return nil
}

// WholeFamilies are the prefixes that always have a class.
var WholeFamilies = [2]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// unreferenced checks that nothing refers to what is deleted, and that classes
// and programs are of one family, programs of one direction.
func (a *after) unreferenced() error {
	for _, id := range a.d.DelDeciders {
		refs := a.deciders[id].refs
		if n := refs[0] + refs[1] + a.deciderRefs[id]; n != 0 {
			return fmt.Errorf("decider %d is deleted, but %d regions refer to it", id, n)
		}
	}
	for _, id := range a.d.DelRows {
		if n := a.rows[id].refs + a.rowRefs[id]; n != 0 {
			return fmt.Errorf("row %d is deleted, but %d programs and cells refer to it", id, n)
		}
	}
	for _, id := range a.d.DelClasses {
		e, change := a.classes[id], a.classUse[id]
		if n := e.use(0) + e.use(1) + change[0] + change[1]; n != 0 {
			return fmt.Errorf("class %d is deleted, but %d addresses and nets refer to it", id, n)
		}
		if n := e.cells + a.classCells[id]; n != 0 {
			return fmt.Errorf("class %d is deleted, but %d cells refer to it", id, n)
		}
	}
	for id, use := range a.classUse {
		if e := a.classes[id]; e != nil {
			use[0] += e.use(0)
			use[1] += e.use(1)
		}
		if use[0] > 0 && use[1] > 0 {
			return fmt.Errorf("class %d: holds addresses of both families", id)
		}
	}
	for _, id := range a.d.DelPrograms {
		if use, ok := a.programUse[id]; !ok {
			a.programUse[id] = use // visited below, though its use does not change
		}
	}
	for id, use := range a.programUse {
		kinds, n := 0, 0
		for dir := range use {
			if e := a.programs[id]; e != nil {
				for addr := range e.locals[dir] {
					use[dir][family(addr)]++
				}
				if policy.Direction(dir) == policy.Egress {
					use[dir][0] += e.toNode[0]
					use[dir][1] += e.toNode[1]
				}
			}
			for _, k := range use[dir] {
				n += k
				kinds += min(k, 1)
			}
		}
		switch {
		case n > 0 && a.delPrograms[id]:
			return fmt.Errorf("program %d is deleted, but %d locals refer to it", id, n)
		case kinds > 1:
			return fmt.Errorf("program %d: is for more than one direction or family", id)
		}
	}
	return nil
}

// addDel checks that what is added has a nonzero key that is new, and that what
// is deleted is there.
func addDel[K comparable, V any](what string, add, del iter.Seq[K], have map[K]V) error {
	var zero K
	for k := range add {
		if _, ok := have[k]; ok || k == zero {
			return fmt.Errorf("%s %v is added, but exists or is 0", what, k)
		}
	}
	for k := range del {
		if _, ok := have[k]; !ok {
			return fmt.Errorf("%s %v is deleted, but does not exist", what, k)
		}
	}
	return nil
}

func setOf[K comparable](list []K) map[K]bool {
	set := make(map[K]bool, len(list))
	for _, k := range list {
		set[k] = true
	}
	return set
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
