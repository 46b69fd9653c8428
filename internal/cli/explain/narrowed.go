package explain

import (
	"fmt"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
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

// narrowedError adds to an error about an end that there may be more than was read.
func narrowedError(in *input.Input, err error) error {
	if len(in.Narrowed) == 0 {
		return err
	}
	return fmt.Errorf("%w (the user may read namespace %s only of %s)", err, in.Namespace, strings.Join(in.Narrowed, ", "))
}
