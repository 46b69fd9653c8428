// Package compact has the containers for what a cluster has a hundred thousand
// of: items of one size side by side, found by a hash in few bytes, and strings
// and policies that are kept once.
//
// Nothing here is safe for concurrent use.
package compact

// Slab holds items of one size in chunks, under numbers that are used again once
// dropped: what grows to a million never moves and wastes little. Number 0 is
// none. The zero Slab is empty.
type Slab[T any] struct {
	chunks [][]T
	free   []uint32
	next   uint32
}

const chunkBits = 10 // items of a chunk, as a power of two

// At returns an item, which stays where it is.
func (s *Slab[T]) At(i uint32) *T { return &s.chunks[i>>chunkBits][i&(1<<chunkBits-1)] }

// Add returns the number of an item that is free; what it holds is left over.
func (s *Slab[T]) Add() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if s.next == 0 {
		s.next = 1
	}
	i := s.next
	if int(i>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, 1<<chunkBits))
	}
	s.next++
	return i
}

// Drop frees an item, which must not hold pointers that keep other things alive.
func (s *Slab[T]) Drop(i uint32) { s.free = append(s.free, i) }

// Numbers returns how many numbers were ever given: those from 1 to that may be of
// items, or free.
func (s *Slab[T]) Numbers() uint32 { return max(1, s.next) - 1 }

// Len returns how many items there are.
func (s *Slab[T]) Len() int { return int(s.Numbers()) - len(s.free) }
