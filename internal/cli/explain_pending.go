package cli

import (
	"fmt"
	"strings"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// pendingInput returns the input as it would be if its staged policies were in force.
func (f *inputFlags) pendingInput(in *input) *input {
	loaded := &translate.Loaded{Model: in.Model, Staged: in.staged}
	m, resources := translate.LoadPending(in.translated, loaded, f.translation())
	if in.names != nil {
		in.names.learn(m)
	}
	return &input{Model: m, names: in.names, from: in.from, scope: in.scope, ungoverned: in.ungoverned, resources: resources, rejected: in.rejected}
}

// acting returns the staged policies that change something.
func (in *input) acting() []translate.Staged {
	var out []translate.Staged
	for _, s := range in.staged {
		if s.Acts() {
			out = append(out, s)
		}
	}
	return out
}

// maxStaged keeps a list of staged policies short.
const maxStaged = 12

// pendingExplanation is a connection decided as if staged policies were in force.
type pendingExplanation struct {
	*explanation
	staged *input // where they are
}

func (o *explainOptions) explainPending(in *input) (*pendingExplanation, error) {
	pending := o.input.pendingInput(in)
	x, err := explain(pending.resolver(), o.from, o.to, &o.flow)
	if err != nil {
		return nil, err
	}
	x.place = pending.place
	return &pendingExplanation{x, in}, nil
}

// text says which staged policies there are, whether they change the verdict that
// is in force, and why.
func (p *pendingExplanation) text(now *explanation, s style) string {
	if p == nil {
		return ""
	}
	staged := p.staged.acting()
	title, more := fmt.Sprintf("Pending: %s no staged policies, so nothing would change.", p.staged.from), ""
	if n := len(staged); n > 0 {
		title, more = "Pending: with "+stagedCount(n)+" in force the verdict would be ", "\n"+explainText(p.explanation, s)
		if then := p.result.Verdict; then == now.result.Verdict {
			title += "the same, " + verdictWord(then)
		} else {
			title += verdictWord(then) + ", not " + verdictWord(now.result.Verdict)
		}
	}
	return "\n" + s.bold(title) + "\n" + p.list(staged) + more
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
		if place := p.staged.place(of.Key); place != "" {
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
