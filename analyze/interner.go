package analyze

// interner gives numbers to values, from 0, equal ones the same.
type interner[T any] struct {
	hash   func(*T) uint64
	equal  func(a, b *T) bool
	byHash map[uint64][]int32
	values []T
}

func newInterner[T any](hash func(*T) uint64, equal func(a, b *T) bool) interner[T] {
	return interner[T]{hash: hash, equal: equal, byHash: map[uint64][]int32{}}
}

// number returns the number of a value.
func (n *interner[T]) number(x T) int32 {
	h := n.hash(&x)
	for _, i := range n.byHash[h] {
		if n.equal(&n.values[i], &x) {
			return i
		}
	}
	i := int32(len(n.values))
	n.values = append(n.values, x)
	n.byHash[h] = append(n.byHash[h], i)
	return i
}
