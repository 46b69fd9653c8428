package budget

// interned is a set of small numbers that knows which sets it has been before: a tree with
// the numbers as leaves, in which equal parts have one number. So two sets have the same
// id if, and only if, they are equal, and a change costs the logarithm of the size.
type interned struct {
	size  int     // of the leaves, a power of 2
	tree  []int32 // node 1 is the root, 2i and 2i+1 are the parts of i; the leaves are 0 or 1
	known map[[2]int32]int32
	steps int64
}

func newInterned(n int) *interned {
	s := &interned{size: 1, known: map[[2]int32]int32{}}
	for s.size < n {
		s.size *= 2
	}
	s.tree = make([]int32, 2*s.size)
	for i := s.size - 1; i > 0; i-- {
		s.set(i)
	}
	return s
}

// set gives a node the number of its parts. Nodes of different heights never have one: leaves are 0 and 1,
// and what is above has higher numbers than its parts.
func (s *interned) set(i int) {
	parts := [2]int32{s.tree[2*i], s.tree[2*i+1]}
	s.steps++
	id, found := s.known[parts]
	if !found {
		id = int32(len(s.known)) + 2 //nolint:gosec // bounded by MaxPorts times the height
		s.known[parts] = id
	}
	s.tree[i] = id
}

// toggle takes a number in or out, and reports whether it is in now.
func (s *interned) toggle(n int) bool {
	i := s.size + n
	s.tree[i] ^= 1
	in := s.tree[i] == 1
	for i /= 2; i > 0; i /= 2 {
		s.set(i)
	}
	return in
}

// id names the present set.
func (s *interned) id() int32 { return s.tree[1] }
