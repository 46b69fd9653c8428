package explain

import (
	"fmt"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/flags"
	"github.com/tierwall/tierwall/internal/cli/input"
)

// narrowedNotes says what an answer does not know.
func narrowedNotes(in *input.Input, x *explanation) []string {
	if len(in.Narrowed) == 0 {
		return nil
	}
	notes := []string{fmt.Sprintf("the user may read namespace %s only of %s: of other namespaces no labels, sets and policies are known",
		in.Namespace, strings.Join(in.Narrowed, ", "))}
	for _, e := range []ends.End{x.src, x.dst} {
		if e.Endpoint == nil && !e.IsNode {
			notes = append(notes, fmt.Sprintf("%s is taken for an address of the outside world: if a pod of another namespace or a node has it, the verdict may be another", e.Addr))
		}
	}
	return notes
}

// nodeNotes says what is not known of nodes, where the connection may be between a workload and one.
func (x *explanation) nodeNotes(in *input.Input, known *flags.NodeAddresses) []string {
	isWorkload := func(e ends.End) bool { return e.Endpoint != nil && e.Endpoint.Host == nil }
	if isWorkload(x.src) == isWorkload(x.dst) {
		return nil
	}
	var notes []string
	if !x.src.IsNode && !x.dst.IsNode { // as far as is known
		notes = known.Notes()
	}
	if note := in.UnreportedNote(); note != "" {
		notes = append(notes, note)
	}
	return notes
}

// narrowedError adds to an error about an end that there may be more than was read.
func narrowedError(in *input.Input, err error) error {
	if len(in.Narrowed) == 0 {
		return err
	}
	return fmt.Errorf("%w (the user may read namespace %s only of %s)", err, in.Namespace, strings.Join(in.Narrowed, ", "))
}
