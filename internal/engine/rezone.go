package engine

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// rezoneAddrs moves the addresses, of one family, that lie in the nets that moved.
// The work grows with the number of these addresses and of blocks that they lie
// in, but not with the width of the nets.
func rezoneAddrs[K addrKey](e *Engine, t *recordTable[K], moved map[netip.Prefix]struct{}) {
	var nets []netip.Prefix
	for p := range moved {
		if (p.Addr().BitLen() == 32) == (len(*new(K)) == 4) {
			nets = append(nets, p)
		}
	}
	if len(nets) == 0 {
		return
	}
	slices.SortFunc(nets, comparePrefixes)
	blocks, wide := map[K]struct{}{}, &bart.Lite{}
	for _, p := range nets {
		switch width := p.Addr().BitLen() - p.Bits(); {
		case width <= blockBits:
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				rezone(e, t, t.key(a))
			}
		case width <= 2*blockBits && 1<<(width-blockBits) <= len(t.blocks):
			for a := p.Addr(); p.Contains(a); a = pastBlock(a) {
				if k := t.key(a); t.blocks[k] > 0 {
					blocks[k] = struct{}{}
				}
			}
		default:
			wide.Insert(p)
		}
	}
	if wide.Size() > 0 {
		for k := range t.blocks {
			if wide.Contains(addrOf(k)) {
				blocks[k] = struct{}{}
			}
		}
	}
	if len(blocks)<<blockBits > 4*t.byAddr.Len() {
		// Blocks hold few of many addresses: a look at all is less.
		t.byAddr.Each(func(r uint32) {
			k := t.recs.At(r).addr
			if _, in := blocks[blockOf(k)]; in {
				placeRecord(e, t, r, addrOf(k))
			}
		})
		return
	}
	for _, k := range sortedFunc(blocks, func(a, b K) int { return addrOf(a).Compare(addrOf(b)) }) {
		for i := range 1 << blockBits {
			k[len(k)-1] = byte(i)
			rezone(e, t, k)
		}
	}
}

// rezone moves one address, if it is one that an endpoint has or a source lists.
func rezone[K addrKey](e *Engine, t *recordTable[K], k K) {
	if r := t.find(k); r != 0 {
		placeRecord(e, t, r, addrOf(k))
	}
}

// blockOf gives the block that an address is in: those that differ in their last
// byte only. Networks give addresses out in such blocks.
func blockOf[K addrKey](k K) K {
	k[len(k)-1] = 0
	return k
}

// blockBits is the number of bits in which the addresses of a block differ.
const blockBits = 8

// pastBlock gives the first address after the block of an address.
func pastBlock(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		b[3] = 255
		return netip.AddrFrom4(b).Next()
	}
	b := a.As16()
	b[15] = 255
	return netip.AddrFrom16(b).Next()
}
