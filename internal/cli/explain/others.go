package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/policy"
)

// maxNamedPods bounds how many pods a note names.
const maxNamedPods = 5

// compareOthers says which pod stands for a workload, and for which of its
// other pods the verdict is another one. set puts an address of theirs into the flow.
func (x *explanation) compareOthers(evaluator *evaluate.Evaluator, e ends.End, set func(*policy.Flow, netip.Addr)) {
	if e.Workload == "" {
		return
	}
	var differ []string
	for _, other := range e.OtherPods {
		of := addrsOf(ends.End{Addrs: other.Addrs}, policy.FamilyOf(e.Addr))
		if len(of) == 0 {
			continue
		}
		flow := x.flow
		set(&flow, of[0])
		if evaluator.Evaluate(flow).Verdict != x.result.Verdict {
			differ = append(differ, other.Key.String())
		}
	}
	note := fmt.Sprintf("%s stands for %s", e.Name, e.Workload)
	switch n := len(differ); {
	case n > maxNamedPods:
		note += fmt.Sprintf("; the verdict is another for %d of its %d other pods, %s among them",
			n, len(e.OtherPods), strings.Join(differ[:maxNamedPods], ", "))
	case n > 0:
		note += "; the verdict is another for " + strings.Join(differ, ", ")
	case len(e.OtherPods) > 0:
		note += "; the verdict is the same for its other pods"
	}
	x.notes = append(x.notes, note)
}
