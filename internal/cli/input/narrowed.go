package input

import (
	"slices"
	"sync"
)

// A user who may read one namespace, and what is in none, can ask about connections
// within it: policies elsewhere do not govern its pods. What could not be read is said.

// narrowing returns what is called for each kind that is read in one namespace only.
func (in *Input) narrowing() func(kind string) {
	var mu sync.Mutex
	return func(kind string) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(in.Narrowed, kind) {
			in.Narrowed = append(in.Narrowed, kind)
			slices.Sort(in.Narrowed)
		}
	}
}
