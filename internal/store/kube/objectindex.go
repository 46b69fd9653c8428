package kube

import (
	"encoding/binary"
	"hash/maphash"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
)

// objectIndex is what is kept of the objects of a kind, in few bytes each: their names,
// with a stamp for each. Pods of one controller have names that differ in the last
// part only; what comes before is kept once, together with the namespace.
type objectIndex struct {
	entries compact.Slab[entry]
	index   compact.Index
	heads   *compact.Interner // namespaces with names up to their last dash: see headOf
	seed    maphash.Seed
	buffer  []byte
}

// entry is one object. It is all numbers, so that a hundred thousand of them
// are nothing to look at for the garbage collector.
type entry struct {
	head     uint32 // a word; 0 if the entry is free
	tail     [maxTail]byte
	tailLen  uint8
	low, top uint32 // the stamp's halves: as one number it would have to be aligned
}

// maxTail is the length of the longest name's end that is kept apart from its
// head: controllers make up five letters, and count.
const maxTail = 7

// stamp is the digest of an object's present version, and flags.
type stamp uint64

const (
	// delivered says that a version of the object was handed over.
	delivered stamp = 1 << 63
	// marked says that the object was there since all were begun to be read anew.
	marked stamp = 1 << 62

	digestMask = marked - 1
)

func newObjectIndex() *objectIndex {
	x := &objectIndex{heads: compact.NewInterner(), seed: maphash.MakeSeed()}
	x.index = compact.NewIndex(func(id uint32) uint64 { return x.hash(x.entries.At(id)) })
	return x
}

// hash is one that nobody outside can foresee: users choose names.
func (x *objectIndex) hash(e *entry) uint64 {
	var b [4 + maxTail]byte
	binary.LittleEndian.PutUint32(b[:], e.head)
	copy(b[4:], e.tail[:])
	return maphash.Bytes(x.seed, b[:])
}

// splitName splits a name in two.
func splitName(name string) (head, tail string) {
	end := strings.LastIndexByte(name, '-') + 1
	if end == 0 || len(name)-end > maxTail {
		return name, ""
	}
	return name[:end], name[end:]
}

// headOf returns the text that stands for a namespace and the head of a name: the
// namespace's length comes first, so that no two are alike. The next call
// overwrites it.
func (x *objectIndex) headOf(namespace, head string) []byte {
	x.buffer = binary.AppendUvarint(x.buffer[:0], uint64(len(namespace)))
	x.buffer = append(append(x.buffer, namespace...), head...)
	return x.buffer
}

// parts are what headOf was given.
func (x *objectIndex) parts(e *entry) (namespace, head string) {
	text := x.heads.At(e.head)
	var b [binary.MaxVarintLen64]byte
	size, n := binary.Uvarint(b[:copy(b[:], text)])
	return text[n : n+int(size)], text[n+int(size):]
}

// find returns the number of an object, or 0.
func (x *objectIndex) find(namespace, name string) uint32 {
	head, tail := splitName(name)
	want := entry{head: x.heads.FindBytes(x.headOf(namespace, head)), tailLen: uint8(len(tail))}
	if want.head == 0 {
		return 0
	}
	copy(want.tail[:], tail)
	return x.index.Find(x.hash(&want), func(id uint32) bool {
		e := x.entries.At(id)
		return e.head == want.head && e.tail == want.tail && e.tailLen == want.tailLen
	})
}

func (e *entry) stamp() stamp { return stamp(e.top)<<32 | stamp(e.low) }

func (e *entry) setStamp(m stamp) { e.top, e.low = uint32(m>>32), uint32(m) }

// get returns an object's stamp.
func (x *objectIndex) get(namespace, name string) (stamp, bool) {
	id := x.find(namespace, name)
	if id == 0 {
		return 0, false
	}
	return x.entries.At(id).stamp(), true
}

// set notes an object that is there, and gives its namespace's name in a copy
// that it shares with others.
func (x *objectIndex) set(namespace, name string, m stamp) string {
	id := x.find(namespace, name)
	if id == 0 {
		head, tail := splitName(name)
		word, _ := x.heads.RetainBytes(x.headOf(namespace, head))
		e := entry{head: word, tailLen: uint8(len(tail))}
		copy(e.tail[:], tail)
		id = x.entries.Add()
		*x.entries.At(id) = e
		x.index.Add(x.hash(&e), id)
	}
	e := x.entries.At(id)
	e.setStamp(m | marked)
	namespace, _ = x.parts(e)
	return namespace
}

// mark notes that an object is still there.
func (x *objectIndex) mark(namespace, name string) {
	if id := x.find(namespace, name); id != 0 {
		e := x.entries.At(id)
		e.setStamp(e.stamp() | marked)
	}
}

// remove forgets an object and reports whether a version of it was handed over.
func (x *objectIndex) remove(namespace, name string) bool {
	id := x.find(namespace, name)
	if id == 0 {
		return false
	}
	e := x.entries.At(id)
	m := e.stamp()
	x.index.Remove(x.hash(e), id)
	x.heads.Release(e.head)
	*e = entry{}
	x.entries.Drop(id)
	return m&delivered != 0
}

// unmark is for when all objects are about to be read anew: none was seen.
func (x *objectIndex) unmark() {
	x.index.Each(func(id uint32) {
		e := x.entries.At(id)
		e.setStamp(e.stamp() &^ marked)
	})
}

// unmarked returns the objects that were not seen since then.
func (x *objectIndex) unmarked() (out []identity) {
	x.index.Each(func(id uint32) {
		if x.entries.At(id).stamp()&marked == 0 {
			out = append(out, x.identity(id))
		}
	})
	return out
}

func (x *objectIndex) identity(id uint32) identity {
	e := x.entries.At(id)
	namespace, head := x.parts(e)
	return identity{namespace: namespace, name: head + string(e.tail[:e.tailLen])}
}

// count returns how many objects there are.
func (x *objectIndex) count() int { return x.index.Len() }
