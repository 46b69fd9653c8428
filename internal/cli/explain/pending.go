package explain

import (
	"fmt"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/cli/output"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// maxStaged keeps a list of staged policies short.
const maxStaged = 12

// pendingExplanation is a connection decided as if staged policies were in force.
type pendingExplanation struct {
	*explanation
	staged *input.Input // where they are
}

func (o *options) explainPending(in *input.Input) (*pendingExplanation, error) {
	pending := o.input.Pending(in)
	x, err := explain(ends.NewResolver(pending, &o.resolve), o.from, o.to, &o.flow)
	if err != nil {
		return nil, err
	}
	x.place = pending.Place
	return &pendingExplanation{x, in}, nil
}

// text says which staged policies there are, whether they change the verdict that
// is in force, and why.
func (p *pendingExplanation) text(now *explanation, s output.Style) string {
	if p == nil {
		return ""
	}
	staged := p.staged.StagedPolicies()
	title, more := fmt.Sprintf("Pending: %s no staged policies, so nothing would change.", p.staged.Source), ""
	if n := len(staged); n > 0 {
		title, more = "Pending: with "+stagedCount(n)+" in force the verdict would be ", "\n"+explainText(p.explanation, s)
		if then := p.result.Verdict; then == now.result.Verdict {
			title += "the same, " + verdictWord(then)
		} else {
			title += verdictWord(then) + ", not " + verdictWord(now.result.Verdict)
		}
	}
	return "\n" + s.Bold(title) + "\n" + p.list(staged) + more
}

// list names staged policies, each on a line.
func (p *pendingExplanation) list(staged []translate.Staged) string {
	var b strings.Builder
	for i, of := range staged {
		if i == maxStaged {
			fmt.Fprintf(&b, "  and %d more\n", len(staged)-i)
			break
		}
		fmt.Fprintf(&b, "  %-6s  %s", of.Action, store.ObjectName(of.Key))
		if place := p.staged.Place(of.Key); place != "" {
			fmt.Fprintf(&b, " (%s)", place)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// pendingJSON is a result with the one that is pending.
type pendingJSON struct {
	resultJSON
	Pending resultJSON `json:"pending"`
	Differs bool       `json:"differs"` // whether the verdicts do
}

func stagedCount(n int) string {
	if n == 1 {
		return "the one staged policy"
	}
	return fmt.Sprintf("the %d staged policies", n)
}
