package explain

import (
	"fmt"

	"github.com/tierwall/tierwall/policy"
)

// What is said of the answers of a connection that a host does not track.

// answerReason adds to the summary what denies the answers.
func (p *explainPrinter) answerReason() {
	if a := p.result.Answer; a != nil {
		p.printf("  %s by %s\n", p.outcome(policy.Deny, "answers denied"), p.answerDecider(a))
	}
}

// answerDecider says what denies the answers.
func (p *explainPrinter) answerDecider(a *policy.Answer) string {
	at := objectText(a.Endpoint)
	if a.OutOfState {
		return fmt.Sprintf("%s: node %s does not track the connection, but tracks its answers, which then belong to none", at, a.Node)
	}
	if a.By == nil {
		return at
	}
	return p.decider(a.Decision) + ", at " + at
}

// answers prints what denies the answers, and what would let them through.
func (p *explainPrinter) answers() {
	a := p.result.Answer
	if a == nil {
		return
	}
	p.printf("\n%s: %s\n", p.Bold("Answers of this connection, which node "+a.Node+" does not track"), p.outcome(policy.Deny, "denied"))
	p.printf("  %s\n", p.outcome(policy.Deny, "=> "+p.answerDecider(a)))
	p.printf("     %s\n", p.Dim(fmt.Sprintf("a policy with doNotTrack must allow them too: by source port %d, in the other direction", p.flow.DstPort)))
}
