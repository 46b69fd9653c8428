package kube

import (
	"encoding/binary"
	"hash/maphash"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
)

// known is what is kept of the objects of a kind, in few bytes each: their names,
// with a mark for each. Pods of one controller have names that differ in the last
// part only; what comes before is kept once, together with the namespace.
type known struct {
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
	low, top uint32 // the mark's halves: as one number it would have to be aligned
}

// maxTail is the length of the longest name's end that is kept apart from its
// head: controllers make up five letters, and count.
const maxTail = 7

// mark is the digest of an object's present version, and flags.
type mark uint64

const (
	// given says that a version of the object was handed over.
	given mark = 1 << 63
	// seen says that the object was there since all were begun to be read anew.
	seen mark = 1 << 62

	digestMask = seen - 1
)

func newKnown() *known {
	k := &known{heads: compact.NewInterner(), seed: maphash.MakeSeed()}
	k.index = compact.NewIndex(func(id uint32) uint64 { return k.hash(k.entries.At(id)) })
	return k
}

// hash is one that nobody outside can foresee: users choose names.
func (k *known) hash(e *entry) uint64 {
	var b [4 + maxTail]byte
	binary.LittleEndian.PutUint32(b[:], e.head)
	copy(b[4:], e.tail[:])
	return maphash.Bytes(k.seed, b[:])
}

// cut splits a name in two.
func cut(name string) (head, tail string) {
	end := strings.LastIndexByte(name, '-') + 1
	if end == 0 || len(name)-end > maxTail {
		return name, ""
	}
	return name[:end], name[end:]
}

// headOf returns the text that stands for a namespace and the head of a name: the
// namespace's length comes first, so that no two are alike. The next call
// overwrites it.
func (k *known) headOf(namespace, head string) []byte {
	k.buffer = binary.AppendUvarint(k.buffer[:0], uint64(len(namespace)))
	k.buffer = append(append(k.buffer, namespace...), head...)
	return k.buffer
}

// parts are what headOf was given.
func (k *known) parts(e *entry) (namespace, head string) {
	text := k.heads.At(e.head)
	var b [binary.MaxVarintLen64]byte
	size, n := binary.Uvarint(b[:copy(b[:], text)])
	return text[n : n+int(size)], text[n+int(size):]
}

// find returns the number of an object, or 0.
func (k *known) find(namespace, name string) uint32 {
	head, tail := cut(name)
	want := entry{head: k.heads.FindBytes(k.headOf(namespace, head)), tailLen: uint8(len(tail))}
	if want.head == 0 {
		return 0
	}
	copy(want.tail[:], tail)
	return k.index.Find(k.hash(&want), func(id uint32) bool {
		e := k.entries.At(id)
		return e.head == want.head && e.tail == want.tail && e.tailLen == want.tailLen
	})
}

func (e *entry) mark() mark { return mark(e.top)<<32 | mark(e.low) }

func (e *entry) setMark(m mark) { e.top, e.low = uint32(m>>32), uint32(m) }

// get returns an object's mark.
func (k *known) get(namespace, name string) (mark, bool) {
	id := k.find(namespace, name)
	if id == 0 {
		return 0, false
	}
	return k.entries.At(id).mark(), true
}

// set notes an object that is there, and gives its namespace's name in a copy
// that it shares with others.
func (k *known) set(namespace, name string, m mark) string {
	id := k.find(namespace, name)
	if id == 0 {
		head, tail := cut(name)
		word, _ := k.heads.RetainBytes(k.headOf(namespace, head))
		e := entry{head: word, tailLen: uint8(len(tail))}
		copy(e.tail[:], tail)
		id = k.entries.Add()
		*k.entries.At(id) = e
		k.index.Add(k.hash(&e), id)
	}
	e := k.entries.At(id)
	e.setMark(m | seen)
	namespace, _ = k.parts(e)
	return namespace
}

// see notes that an object is still there.
func (k *known) see(namespace, name string) {
	if id := k.find(namespace, name); id != 0 {
		e := k.entries.At(id)
		e.setMark(e.mark() | seen)
	}
}

// remove forgets an object and reports whether a version of it was handed over.
func (k *known) remove(namespace, name string) bool {
	id := k.find(namespace, name)
	if id == 0 {
		return false
	}
	e := k.entries.At(id)
	m := e.mark()
	k.index.Remove(k.hash(e), id)
	k.heads.Release(e.head)
	*e = entry{}
	k.entries.Drop(id)
	return m&given != 0
}

// unsee is for when all objects are about to be read anew: none was seen.
func (k *known) unsee() {
	k.index.Each(func(id uint32) {
		e := k.entries.At(id)
		e.setMark(e.mark() &^ seen)
	})
}

// unseen returns the objects that were not seen since then.
func (k *known) unseen() (out []identity) {
	k.index.Each(func(id uint32) {
		if k.entries.At(id).mark()&seen == 0 {
			out = append(out, k.identity(id))
		}
	})
	return out
}

func (k *known) identity(id uint32) identity {
	e := k.entries.At(id)
	namespace, head := k.parts(e)
	return identity{namespace: namespace, name: head + string(e.tail[:e.tailLen])}
}

// count returns how many objects there are.
func (k *known) count() int { return k.index.Len() }
