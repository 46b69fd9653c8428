package compact

import (
	"hash/maphash"
	"strings"
)

// Interner keeps strings under small numbers, each once, as long as someone
// uses it. The empty string is number 0 and is never counted.
type Interner struct {
	entries Slab[internedString]
	index   Index
	recent  uint32 // what was asked for last: the same one often comes again
}

type internedString struct {
	text string
	refs uint32
	hash uint32
}

// seed is one that no one outside the process knows, so that no input can be
// made of which all hashes are equal.
var seed = maphash.MakeSeed()

// shortHash is a hash that an entry has room for, so that an index that grows need
// not look at texts again.
func shortHash(text string) uint32 { return uint32(maphash.String(seed, text)) }

// spread makes of a short hash one for an Index.
func spread(h uint32) uint64 { return uint64(h)<<32 | uint64(h) }

// NewInterner makes an empty set of strings.
func NewInterner() *Interner {
	x := &Interner{}
	x.index = NewIndex(func(id uint32) uint64 { return spread(x.entries.At(id).hash) })
	return x
}

// At returns a string that is in use.
func (x *Interner) At(id uint32) string {
	if id == 0 {
		return ""
	}
	return x.entries.At(id).text
}

// Find returns the number of a string; 0 if no one uses it. Several may search at once.
func (x *Interner) Find(text string) uint32 {
	if text == "" {
		return 0
	}
	if x.recent != 0 && x.entries.At(x.recent).text == text {
		return x.recent
	}
	h := shortHash(text)
	return x.index.Find(spread(h), func(id uint32) bool {
		e := x.entries.At(id)
		return e.hash == h && e.text == text
	})
}

// FindBytes is Find of a string that is put together in a buffer.
func (x *Interner) FindBytes(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	if x.recent != 0 && x.entries.At(x.recent).text == string(text) {
		return x.recent
	}
	h := uint32(maphash.Bytes(seed, text)) // that of shortHash
	return x.index.Find(spread(h), func(id uint32) bool {
		e := x.entries.At(id)
		return e.hash == h && e.text == string(text)
	})
}

// Retain returns the number of a string and counts one use more. What it keeps is
// a copy: text may be a part of something larger.
func (x *Interner) Retain(text string) uint32 {
	if text == "" {
		return 0
	}
	id := x.Find(text)
	if id == 0 {
		id = x.add(strings.Clone(text))
	}
	x.recent = id
	x.entries.At(id).refs++
	return id
}

// RetainBytes is Retain of a string that is put together in a buffer. isNew says that
// no one used it before.
func (x *Interner) RetainBytes(text []byte) (id uint32, isNew bool) {
	if len(text) == 0 {
		return 0, false
	}
	id = x.FindBytes(text)
	if isNew = id == 0; isNew {
		id = x.add(string(text))
	}
	x.recent = id
	x.entries.At(id).refs++
	return id, isNew
}

func (x *Interner) add(text string) uint32 {
	id := x.entries.Add()
	h := shortHash(text)
	*x.entries.At(id) = internedString{text: text, hash: h}
	x.index.Add(spread(h), id)
	x.recent = id
	return id
}

// Release counts one use less. Without any the string is forgotten; last
// reports that it was.
func (x *Interner) Release(id uint32) (last bool) {
	if id == 0 {
		return false
	}
	e := x.entries.At(id)
	if e.refs--; e.refs > 0 {
		return false
	}
	x.index.Remove(spread(e.hash), id)
	*e = internedString{}
	x.entries.Drop(id)
	if x.recent == id {
		x.recent = 0
	}
	return true
}

// Len returns how many strings are in use.
func (x *Interner) Len() int { return x.entries.Len() }
