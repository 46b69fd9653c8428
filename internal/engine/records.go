package engine

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/google/btree"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// addrKey is an address in as few bytes as its family takes.
type addrKey interface{ [4]byte | [16]byte }

func addrOf[K addrKey](k K) netip.Addr {
	switch k := any(k).(type) {
	case [4]byte:
		return netip.AddrFrom4(k)
	case [16]byte:
		return netip.AddrFrom16(k)
	}
	return netip.Addr{}
}

// lessKey orders keys by their addresses.
func lessKey[K addrKey](a, b K) bool {
	switch a := any(a).(type) {
	case [4]byte:
		b := any(b).([4]byte)
		return binary.BigEndian.Uint32(a[:]) < binary.BigEndian.Uint32(b[:])
	case [16]byte:
		b := any(b).([16]byte)
		return bytes.Compare(a[:], b[:]) < 0
	}
	return false
}

// record is an address that endpoints hold or a prefix list lists by itself.
type record[K addrKey] struct {
	addr       K
	state      uint32 // the equivalence cell, 0 if the record is gone at the next flush, and marks
	next, prev uint32 // the other records of the equivalence cell
	beside     uint32 // the next record of the block
	owner      uint32 // the endpoint; 0 for none
}

const (
	markChanged = 1 << 31 // noted in the table's changes
	markLocal   = 1 << 30 // held by a local endpoint
	marks       = markChanged | markLocal
)

func (r *record[K]) equivalenceCell() uint32 { return r.state &^ marks }

func (r *record[K]) setEquivalenceCell(id uint32) { r.state = r.state&marks | id }

type recordTable[K addrKey] struct {
	recs    compact.Slab[record[K]]
	byAddr  compact.Index
	hash    func(K) uint64
	key     func(netip.Addr) K
	blocks  map[K]uint32     // the first record of each block that has any: see blockOf
	order   *btree.BTreeG[K] // these blocks, by their addresses
	changes []recordChange
}

// recordChange notes what the last flush emitted for a record that has changed since.
type recordChange struct {
	record uint32
	was    dataplane.ClassID
}

func newRecordTable[K addrKey](hash func(K) uint64, key func(netip.Addr) K) *recordTable[K] {
	t := &recordTable[K]{hash: hash, key: key, blocks: map[K]uint32{}, order: btree.NewG(32, lessKey[K])}
	t.byAddr = compact.NewIndex(func(r uint32) uint64 { return hash(t.recs.At(r).addr) })
	return t
}

func hash4(k [4]byte) uint64 { return mix(5, uint64(binary.LittleEndian.Uint32(k[:]))) }

func hash16(k [16]byte) uint64 {
	return mix(mix(6, binary.LittleEndian.Uint64(k[:])), binary.LittleEndian.Uint64(k[8:]))
}

// find returns the record of an address, or 0.
func (t *recordTable[K]) find(k K) uint32 {
	return t.byAddr.Find(t.hash(k), func(r uint32) bool { return t.recs.At(r).addr == k })
}

// of returns the record of an address, a new one if there is none.
func (t *recordTable[K]) of(k K) uint32 {
	h := t.hash(k)
	r := t.byAddr.Find(h, func(r uint32) bool { return t.recs.At(r).addr == k })
	if r == 0 {
		r = t.recs.Add()
		*t.recs.At(r) = record[K]{addr: k}
		t.byAddr.Add(h, r)
		block := blockOf(k)
		first, ok := t.blocks[block]
		if !ok {
			t.order.ReplaceOrInsert(block)
		}
		t.recs.At(r).beside, t.blocks[block] = first, r
	}
	return r
}

// placeRecord brings a record into the equivalence cell of its owner at its address's place.
func placeRecord[K addrKey](e *addressing, t *recordTable[K], r uint32, addr netip.Addr) {
	rec := t.recs.At(r)
	var to uint32
	if rec.owner != 0 || len(e.prefixLists.hosts) > 0 && len(e.prefixLists.hosts[addr]) > 0 {
		who := uint32(0)
		if rec.owner != 0 {
			who = e.endpoints.at(rec.owner).identity
		}
		prefixListSet, base := e.place(addr)
		to = e.equivalenceCellOf(who, prefixListSet, base)
	}
	from := rec.equivalenceCell()
	if from == to && from != 0 {
		return
	}
	if rec.state&markChanged == 0 {
		var was dataplane.ClassID
		if from != 0 {
			was = e.equivalenceCells.at(from).out
		}
		rec.state |= markChanged
		t.changes = append(t.changes, recordChange{r, was})
	}
	if rec.state&markLocal != 0 {
		e.pending.addrs[addr] = struct{}{}
	}
	rec.setEquivalenceCell(to)
	next, prev := rec.next, rec.prev
	rec.next, rec.prev = 0, 0
	if to != 0 {
		a := e.equivalenceCells.at(to)
		if rec.next = a.head; a.head != 0 {
			t.recs.At(a.head).prev = r
		}
		a.head = r
		e.addWeight(a, 1)
	}
	if from != 0 {
		t.unlink(e, from, next, prev)
	}
}

// unlink closes the gap that a record between next and prev leaves in its equivalence cell.
func (t *recordTable[K]) unlink(e *addressing, from, next, prev uint32) {
	a := e.equivalenceCells.at(from)
	if prev != 0 {
		t.recs.At(prev).next = next
	} else {
		a.head = next
	}
	if next != 0 {
		t.recs.At(next).prev = prev
	}
	e.addWeight(a, -1)
	if a.weight == 0 {
		e.dropEquivalenceCell(from)
	}
}

// drop forgets a record that belongs to no equivalence cell.
func (t *recordTable[K]) drop(r uint32) {
	k := t.recs.At(r).addr
	t.byAddr.Remove(t.hash(k), r)
	t.leaveBlock(r, blockOf(k))
	t.recs.Drop(r)
}

// leaveBlock takes a record out of the list of its block.
func (t *recordTable[K]) leaveBlock(r uint32, block K) {
	next := t.recs.At(r).beside
	first := t.blocks[block]
	switch {
	case first != r:
		at := first
		for t.recs.At(at).beside != r {
			at = t.recs.At(at).beside
		}
		t.recs.At(at).beside = next
	case next != 0:
		t.blocks[block] = next
	default:
		delete(t.blocks, block)
		t.order.Delete(block)
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
