package engine

import (
	"net/netip"
	"slices"
)

// rezoneAddrs moves the addresses, of one family, that lie in the nets that moved.
// The work grows with the number of these addresses, and neither with the width of
// the nets nor with the number of other addresses.
func rezoneAddrs[K addrKey](e *Engine, t *recordTable[K], moved map[netip.Prefix]struct{}) {
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
			rezoneBlock(e, t, blockOf(t.key(p.Addr())), p)
			continue
		}
		t.order.AscendGreaterOrEqual(t.key(p.Addr()), func(block K) bool {
			if !p.Contains(addrOf(block)) {
				return false
			}
			rezoneBlock(e, t, block, p)
			return true
		})
	}
}

// rezoneBlock moves the addresses of a block that lie in a net.
func rezoneBlock[K addrKey](e *Engine, t *recordTable[K], block K, p netip.Prefix) {
	for r := t.blocks[block]; r != 0; {
		rec := t.recs.At(r)
		next := rec.beside
		if addr := addrOf(rec.addr); p.Contains(addr) {
			placeRecord(e, t, r, addr)
		}
		r = next
	}
}

// blockOf returns the block that an address is in: those that differ in their last
// byte only. Networks give addresses out in such blocks.
func blockOf[K addrKey](k K) K {
	k[len(k)-1] = 0
	return k
}

// blockBits is the number of bits in which the addresses of a block differ.
const blockBits = 8
