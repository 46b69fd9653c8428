package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tierwall/tierwall/policy"
)

// zone is the set of sources that hold an address; addresses of one family and
// equal sets share it.
type zone struct {
	key     string
	family  policy.Family
	sources []uint32 // sorted
	refs    int      // nets and atoms that refer to it
	atoms   *roaring.Bitmap
	based   *roaring.Bitmap           // atoms for which it is the base
	nets    map[netip.Prefix]struct{} // the nets whose own addresses are in it
	bare    uint32                    // the atom of those addresses, while there are nets
}

func (z *zone) has(src uint32) bool {
	_, found := slices.BinarySearch(z.sources, src)
	return found
}

type zoneTable struct {
	pool  pool[zone]
	byKey map[string]uint32
}

func (t *zoneTable) at(id uint32) *zone { return t.pool.at(id) }

// zoneOf returns the zone of the sources. It counts no reference: a zone that
// gets none is dropped by sweepZones.
func (e *Engine) zoneOf(family policy.Family, sources []uint32) uint32 {
	key := append(e.scratch.key[:0], byte(family))
	for _, s := range sources {
		key = binary.LittleEndian.AppendUint32(key, s)
	}
	e.scratch.key = key
	if id, ok := e.zones.byKey[string(key)]; ok {
		return id
	}
	z := &zone{
		key: string(key), family: family, sources: slices.Clone(sources),
		atoms: roaring.New(), based: roaring.New(), nets: map[netip.Prefix]struct{}{},
	}
	id := e.zones.pool.add(z)
	e.zones.byKey[z.key] = id
	for _, s := range sources {
		e.sources.at(s).zones.Add(id)
	}
	e.dirty.zones[id] = struct{}{}
	return id
}

func (e *Engine) holdZone(id uint32) { e.zones.at(id).refs++ }

func (e *Engine) releaseZone(id uint32) {
	z := e.zones.at(id)
	if z.refs--; z.refs == 0 {
		e.dirty.zones[id] = struct{}{}
	}
}

// sweepZones drops the zones that nothing refers to any more.
func (e *Engine) sweepZones() {
	for id := range e.dirty.zones {
		z := e.zones.at(id)
		if z.refs > 0 {
			continue
		}
		for _, s := range z.sources {
			e.sources.at(s).zones.Remove(id)
		}
		delete(e.zones.byKey, z.key)
		e.zones.pool.drop(id)
	}
	clear(e.dirty.zones)
}

// baseZone returns the zone of the longest net of more than one address that
// holds the address.
func (e *Engine) baseZone(addr netip.Addr) uint32 {
	if e.sources.nodes.Size() == len(roots) {
		return e.rootZone[familyIndex(addr)]
	}
	n, _ := e.sources.nodes.Lookup(addr)
	return n.zone
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// place returns an address's zone and base: the base is the zone that it would
// have if no source listed it by itself.
func (e *Engine) place(addr netip.Addr) (zone, base uint32) {
	base = e.baseZone(addr)
	if len(e.sources.hosts) == 0 {
		return base, base
	}
	own := e.sources.hosts[addr]
	if len(own) == 0 {
		return base, base
	}
	b := e.zones.at(base)
	return e.zoneOf(b.family, union(b.sources, own)), base
}

// settleZones brings nets, hosts and endpoint addresses into the zones that
// follow from changed sources.
func (e *Engine) settleZones() {
	changed := sortedFunc(e.dirty.nets, func(a, b netip.Prefix) int {
		// Shorter ones first: the zone of a net builds on that of the net around it.
		if c := a.Bits() - b.Bits(); c != 0 {
			return c
		}
		return a.Addr().Compare(b.Addr())
	})
	clear(e.dirty.nets)
	moved := map[netip.Prefix]struct{}{}
	for _, p := range changed {
		n, ok := e.sources.nodes.Get(p)
		if !ok {
			continue
		}
		if len(n.own) == 0 && p.Bits() > 0 {
			e.sources.nodes.Delete(p)
			e.leaveZone(n)
			moved[p] = struct{}{}
		}
		e.rezoneNets(p, moved)
	}
	rezoneAddrs(e, e.v4, moved)
	rezoneAddrs(e, e.v6, moved)
	for _, addr := range sortedFunc(e.dirty.hosts, netip.Addr.Compare) {
		e.rezoneHost(addr)
	}
	clear(e.dirty.hosts)
}

// rezoneNets returns the net and all nets within it the zones that they should be
// in, and notes those that moved.
func (e *Engine) rezoneNets(p netip.Prefix, moved map[netip.Prefix]struct{}) {
	for sub, n := range e.sources.nodes.Subnets(p) {
		var around []uint32
		for super, s := range e.sources.nodes.Supernets(sub) {
			if super.Bits() < sub.Bits() {
				around = e.zones.at(s.zone).sources
				break
			}
		}
		family := policy.FamilyOf(sub.Addr())
		if to := e.zoneOf(family, union(around, n.own)); to != n.zone {
			e.leaveZone(n)
			e.enterZone(n, to)
			moved[sub] = struct{}{}
		}
	}
}

func (e *Engine) enterZone(n *netNode, id uint32) {
	n.zone = id
	z := e.zones.at(id)
	z.refs++
	z.nets[n.prefix] = struct{}{}
	if z.bare == 0 {
		z.bare = e.newBareAtom(id)
	}
	e.addWeight(e.atoms.at(z.bare), 1)
	e.dirty.nodes[n.prefix] = struct{}{}
	if n.prefix.Bits() == 0 {
		e.rootZone[familyIndex(n.prefix.Addr())] = id
	}
}

func (e *Engine) leaveZone(n *netNode) {
	e.dirty.nodes[n.prefix] = struct{}{}
	if n.zone == 0 {
		return
	}
	z := e.zones.at(n.zone)
	delete(z.nets, n.prefix)
	e.addWeight(e.atoms.at(z.bare), -1)
	if len(z.nets) == 0 {
		e.dirty.bare[n.zone] = struct{}{}
	}
	e.releaseZone(n.zone)
	n.zone = 0
}

// rezoneHost moves an address that a source began or ceased to list by itself.
func (e *Engine) rezoneHost(addr netip.Addr) {
	if addr.Is4() {
		placeRecord(e, e.v4, e.v4.of(addr.As4()), addr)
	} else {
		placeRecord(e, e.v6, e.v6.of(addr.As16()), addr)
	}
}
