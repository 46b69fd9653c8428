package engine

import (
	"net/netip"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// prefixList is a list of nets in use: one that a rule gives, or those of a network
// set that a cached selector matches.
type prefixList struct {
	key            string // of a rule's list: its nets
	set            uint32 // the network set; 0 for a rule's list
	nets           prefixes
	refs           int
	prefixListSets *roaring.Bitmap // the prefix-list sets that it is part of

	demanding []uint32 // predicates that demand it and no cached selector
}

type prefixListTable struct {
	pool  pool[prefixList]
	byKey map[string]uint32
	nodes *bart.Table[*netNode]              // nets of more than one address
	hosts map[netip.Addr][]uint32            // the prefix lists that list a single address
	out   map[netip.Prefix]dataplane.ClassID // what the last flush emitted for the nodes
}

func newPrefixListTable() prefixListTable {
	return prefixListTable{
		byKey: map[string]uint32{},
		nodes: &bart.Table[*netNode]{},
		hosts: map[netip.Addr][]uint32{},
		out:   map[netip.Prefix]dataplane.ClassID{},
	}
}

// netNode is one net that a prefix list lists; 0.0.0.0/0 and ::/0 are always there.
type netNode struct {
	prefix        netip.Prefix
	own           []uint32 // the prefix lists that list it
	prefixListSet uint32   // of the addresses whose longest net it is
}

var roots = [2]netip.Prefix{
	netip.PrefixFrom(netip.IPv4Unspecified(), 0),
	netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

func (t *prefixListTable) at(id uint32) *prefixList { return t.pool.at(id) }

// retainPrefixList returns the prefix list of a rule's nets; 0 for nil. An empty list is a
// prefix list that holds no address.
func (e *selection) retainPrefixList(nets []netip.Prefix) uint32 {
	if nets == nil {
		return 0
	}
	ps := newPrefixes(nets)
	key := make([]byte, 0, 18*len(ps)+1)
	for _, p := range ps {
		key = append(append(key, byte(p.Bits()), byte(p.Addr().BitLen())), p.Addr().AsSlice()...)
	}
	if id, ok := e.prefixLists.byKey[string(key)]; ok {
		e.prefixLists.at(id).refs++
		return id
	}
	id := e.addPrefixList(&prefixList{key: string(key), nets: ps, refs: 1})
	e.prefixLists.byKey[string(key)] = id
	return id
}

func (e *selection) addPrefixList(list *prefixList) uint32 {
	list.prefixListSets = roaring.New()
	id := e.prefixLists.pool.add(list)
	for _, p := range list.nets {
		e.addNet(p, id)
	}
	return id
}

func (e *selection) releasePrefixList(id uint32) {
	if id == 0 {
		return
	}
	list := e.prefixLists.at(id)
	if list.refs--; list.refs > 0 {
		return
	}
	for _, p := range list.nets {
		e.removeNet(p, id)
	}
	if list.set == 0 {
		delete(e.prefixLists.byKey, list.key)
	}
	// The id is not used again before the prefix-list sets have forgotten it.
	list.set = 0
	e.pending.prefixLists = append(e.pending.prefixLists, id)
}

// changePrefixList replaces the nets of a prefix list, touching only those that differ.
func (e *selection) changePrefixList(id uint32, nets prefixes) {
	list := e.prefixLists.at(id)
	old := list.nets
	list.nets = nets
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

// markPrefixList marks the equivalence cells of the prefix-list sets that the prefix list is part of.
func (e *selection) markPrefixList(id uint32) {
	if id == 0 {
		return
	}
	e.prefixListSets.pool.each(e.prefixLists.at(id).prefixListSets, func(_ uint32, z *prefixListSet) { e.pending.equivalenceCells.Or(z.equivalenceCells) })
}

// addNet and removeNet change which prefix lists list a net. What prefix-list set an address is
// in follows in recomputePrefixListSets.
func (e *selection) addNet(p netip.Prefix, list uint32) {
	t := &e.prefixLists
	if p.IsSingleIP() {
		t.hosts[p.Addr()] = insert(t.hosts[p.Addr()], list)
		e.pending.hosts[p.Addr()] = struct{}{}
		return
	}
	n, ok := t.nodes.Get(p)
	if !ok {
		n = &netNode{prefix: p}
		t.nodes.Insert(p, n)
	}
	n.own = insert(n.own, list)
	e.pending.nets[p] = struct{}{}
}

func (e *selection) removeNet(p netip.Prefix, list uint32) {
	t := &e.prefixLists
	if p.IsSingleIP() {
		if rest := remove(t.hosts[p.Addr()], list); len(rest) > 0 {
			t.hosts[p.Addr()] = rest
		} else {
			delete(t.hosts, p.Addr())
		}
		e.pending.hosts[p.Addr()] = struct{}{}
		return
	}
	if n, ok := t.nodes.Get(p); ok {
		n.own = remove(n.own, list)
		e.pending.nets[p] = struct{}{}
	}
}
