package engine

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// prefixes is a list of nets, masked, sorted, each once.
type prefixes []netip.Prefix

func newPrefixes(nets []netip.Prefix) prefixes {
	ps := make(prefixes, 0, len(nets))
	for _, p := range nets {
		ps = append(ps, p.Masked())
	}
	slices.SortFunc(ps, comparePrefixes)
	return slices.Clip(slices.Compact(ps))
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// source is a list of nets in use: one that a rule gives, or those of a network
// set that a term matches.
type source struct {
	key   string // of a rule's list: its nets
	set   uint32 // the network set; 0 for a rule's list
	nets  prefixes
	refs  int
	zones *roaring.Bitmap // the zones that it is part of

	demanding []uint32 // facts that demand it and no term
}

type sourceTable struct {
	pool  pool[source]
	byKey map[string]uint32
	nodes *bart.Table[*netNode]              // nets of more than one address
	hosts map[netip.Addr][]uint32            // the sources that list a single address
	out   map[netip.Prefix]dataplane.ClassID // what the last flush gave out for the nodes
}

// netNode is one net that a source lists; 0.0.0.0/0 and ::/0 are always there.
type netNode struct {
	prefix netip.Prefix
	own    []uint32 // the sources that list it
	zone   uint32   // of the addresses whose longest net it is
}

var roots = [2]netip.Prefix{
	netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

func (t *sourceTable) at(id uint32) *source { return t.pool.at(id) }

// holdSource returns the source of a rule's nets; 0 for nil. An empty list is a
// source that holds no address.
func (e *Engine) holdSource(nets []netip.Prefix) uint32 {
	if nets == nil {
		return 0
	}
	ps := newPrefixes(nets)
	key := make([]byte, 0, 18*len(ps)+1)
	for _, p := range ps {
		key = append(append(key, byte(p.Bits()), byte(p.Addr().BitLen())), p.Addr().AsSlice()...)
	}
	if id, ok := e.sources.byKey[string(key)]; ok {
		e.sources.at(id).refs++
		return id
	}
	id := e.newSource(&source{key: string(key), nets: ps, refs: 1})
	e.sources.byKey[string(key)] = id
	return id
}

func (e *Engine) newSource(src *source) uint32 {
	src.zones = roaring.New()
	id := e.sources.pool.add(src)
	for _, p := range src.nets {
		e.addNet(p, id)
	}
	return id
}

func (e *Engine) releaseSource(id uint32) {
	if id == 0 {
		return
	}
	src := e.sources.at(id)
	if src.refs--; src.refs > 0 {
		return
	}
	for _, p := range src.nets {
		e.removeNet(p, id)
	}
	if src.set == 0 {
		delete(e.sources.byKey, src.key)
	}
	// The id is not used again before the zones have forgotten it.
	src.set = 0
	e.dirty.sources = append(e.dirty.sources, id)
}

// changeSource replaces the nets of a source, touching only those that differ.
func (e *Engine) changeSource(id uint32, nets prefixes) {
	src := e.sources.at(id)
	old := src.nets
	src.nets = nets
	for len(old) > 0 || len(nets) > 0 {
		c := 0
		switch {
		case len(old) == 0:
			c = 1
		case len(nets) == 0:
			c = -1
		default:
			c = comparePrefixes(old[0], nets[0])
		}
		if c < 0 {
			e.removeNet(old[0], id)
			old = old[1:]
			continue
		}
		if c > 0 {
			e.addNet(nets[0], id)
		} else {
			old = old[1:]
		}
		nets = nets[1:]
	}
}

// touchSource marks the atoms of the zones that the source is part of.
func (e *Engine) touchSource(id uint32) {
	if id == 0 {
		return
	}
	e.zones.pool.each(e.sources.at(id).zones, func(_ uint32, z *zone) { e.dirty.atoms.Or(z.atoms) })
}

// addNet and removeNet change which sources list a net. What zone an address is
// in follows in settleZones.
func (e *Engine) addNet(p netip.Prefix, src uint32) {
	t := &e.sources
	if p.IsSingleIP() {
		t.hosts[p.Addr()] = insert(t.hosts[p.Addr()], src)
		e.dirty.hosts[p.Addr()] = struct{}{}
		return
	}
	n, ok := t.nodes.Get(p)
	if !ok {
		n = &netNode{prefix: p}
		t.nodes.Insert(p, n)
	}
	n.own = insert(n.own, src)
	e.dirty.nets[p] = struct{}{}
}

func (e *Engine) removeNet(p netip.Prefix, src uint32) {
	t := &e.sources
	if p.IsSingleIP() {
		if rest := remove(t.hosts[p.Addr()], src); len(rest) > 0 {
			t.hosts[p.Addr()] = rest
		} else {
			delete(t.hosts, p.Addr())
		}
		e.dirty.hosts[p.Addr()] = struct{}{}
		return
	}
	if n, ok := t.nodes.Get(p); ok {
		n.own = remove(n.own, src)
		e.dirty.nets[p] = struct{}{}
	}
}

// insert adds v to a sorted list, once; remove takes it out. Both give a new list.
func insert(list []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(list, v)
	if found {
		return list
	}
	return slices.Concat(list[:i], []uint32{v}, list[i:])
}

func remove(list []uint32, v uint32) []uint32 {
	i, found := slices.BinarySearch(list, v)
	if !found {
		return list
	}
	return slices.Concat(list[:i], list[i+1:])
}

// union merges two sorted lists.
func union(a, b []uint32) []uint32 {
	if len(b) == 0 {
		return a
	}
	u := slices.Concat(a, b)
	slices.Sort(u)
	return slices.Compact(u)
}
