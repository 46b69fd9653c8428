package cli

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A user who may read one namespace, and what is in none, can ask about connections
// within it: policies elsewhere do not govern its pods. What could not be read is said.

// narrowing returns what is called for each kind that is read in one namespace only.
func (in *input) narrowing() func(kind string) {
	var mu sync.Mutex
	return func(kind string) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(in.narrowed, kind) {
			in.narrowed = append(in.narrowed, kind)
			slices.Sort(in.narrowed)
		}
	}
}

// narrowedNotes says what an answer does not know.
func (in *input) narrowedNotes(x *explanation) []string {
	if len(in.narrowed) == 0 {
		return nil
	}
	notes := []string{fmt.Sprintf("the user may read namespace %s only of %s: of other namespaces no labels, sets and policies are known",
		in.scope, strings.Join(in.narrowed, ", "))}
	for _, e := range []end{x.src, x.dst} {
		if e.endpoint == nil && !e.isNode {
			notes = append(notes, fmt.Sprintf("%s is taken for an address of the outside world: if a pod of another namespace or a node has it, the verdict may be another", e.addr))
		}
	}
	return notes
}

// narrowedError adds to an error about an end that there may be more than was read.
func (in *input) narrowedError(err error) error {
	if len(in.narrowed) == 0 {
		return err
	}
	return fmt.Errorf("%w (the user may read namespace %s only of %s)", err, in.scope, strings.Join(in.narrowed, ", "))
}
