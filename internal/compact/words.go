package compact

import (
	"hash/maphash"
	"strings"
)

// Words holds strings under small numbers, each once, as long as someone holds
// it. The empty string is number 0 and is never counted.
type Words struct {
	entries Slab[word]
	index   Index
	recent  uint32 // what was asked for last: the same word often comes again
}

type word struct {
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

// NewWords makes an empty set of strings.
func NewWords() *Words {
	w := &Words{}
	w.index = NewIndex(func(id uint32) uint64 { return spread(w.entries.At(id).hash) })
	return w
}

// At returns a string that is held.
func (w *Words) At(id uint32) string {
	if id == 0 {
		return ""
	}
	return w.entries.At(id).text
}

// Find returns the number of a string; 0 if no one holds it.
func (w *Words) Find(text string) uint32 {
	if text == "" {
		return 0
	}
	if w.recent != 0 && w.entries.At(w.recent).text == text {
		return w.recent
	}
	h := shortHash(text)
	id := w.index.Find(spread(h), func(id uint32) bool {
		e := w.entries.At(id)
		return e.hash == h && e.text == text
	})
	if id != 0 {
		w.recent = id
	}
	return id
}

// FindBytes is Find of a string that is put together in a buffer.
func (w *Words) FindBytes(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	if w.recent != 0 && w.entries.At(w.recent).text == string(text) {
		return w.recent
	}
	h := uint32(maphash.Bytes(seed, text)) // that of shortHash
	id := w.index.Find(spread(h), func(id uint32) bool {
		e := w.entries.At(id)
		return e.hash == h && e.text == string(text)
	})
	if id != 0 {
		w.recent = id
	}
	return id
}

// Hold returns the number of a string and counts one holder more. What it keeps is
// a copy: text may be a part of something larger.
func (w *Words) Hold(text string) uint32 {
	if text == "" {
		return 0
	}
	id := w.Find(text)
	if id == 0 {
		id = w.add(strings.Clone(text))
	}
	w.entries.At(id).refs++
	return id
}

// HoldBytes is Hold of a string that is put together in a buffer. isNew says that
// no one held it before.
func (w *Words) HoldBytes(text []byte) (id uint32, isNew bool) {
	if len(text) == 0 {
		return 0, false
	}
	id = w.FindBytes(text)
	if isNew = id == 0; isNew {
		id = w.add(string(text))
	}
	w.recent = id
	w.entries.At(id).refs++
	return id, isNew
}

func (w *Words) add(text string) uint32 {
	id := w.entries.Add()
	h := shortHash(text)
	*w.entries.At(id) = word{text: text, hash: h}
	w.index.AddMissed(spread(h), id)
	w.recent = id
	return id
}

// Share counts one holder more of a string that is held.
func (w *Words) Share(id uint32) uint32 {
	if id != 0 {
		w.entries.At(id).refs++
	}
	return id
}

// Release counts one holder less. Without any the string is forgotten; last
// reports that it was.
func (w *Words) Release(id uint32) (last bool) {
	if id == 0 {
		return false
	}
	e := w.entries.At(id)
	if e.refs--; e.refs > 0 {
		return false
	}
	w.index.Remove(spread(e.hash), id)
	*e = word{}
	w.entries.Drop(id)
	if w.recent == id {
		w.recent = 0
	}
	return true
}

// Len returns how many strings are held.
func (w *Words) Len() int { return w.entries.Len() }
