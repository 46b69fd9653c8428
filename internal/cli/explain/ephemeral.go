package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
)

// The ports that operating systems take for the source of a connection.
const firstEphemeral, lastEphemeral = 49152, 65535

// portSpan is a run of source ports that give the same answer.
type portSpan struct {
	policy.PortRange
	result policy.Result
}

// splitEphemeral finds out whether all ephemeral source ports give the answer
// of the lowest, and notes which ones do not.
func (x *explanation) splitEphemeral(evaluator *evaluate.Evaluator) {
	spans := ephemeralSpans(evaluator, x.model, x.flow)
	if x.anyEphemeral = len(spans) == 1; x.anyEphemeral {
		return
	}
	others := make([]string, 0, len(spans)-1)
	for _, s := range spans[1:] {
		others = append(others, fmt.Sprintf("%s from %s", verdictWord(s.result.Verdict), s.PortRange))
	}
	x.notes = append(x.notes, fmt.Sprintf(
		"rules tell ephemeral source ports apart: this is the answer for %s; %s (ask with --source-port)",
		spans[0].PortRange, strings.Join(others, ", ")))
}

// ephemeralSpans decides the flow for every ephemeral source port. It asks at
// each port where a rule could change its mind, so that nothing is missed.
func ephemeralSpans(evaluator *evaluate.Evaluator, m *policy.Model, flow policy.Flow) []portSpan {
	var spans []portSpan
	for _, port := range ephemeralStarts(m) {
		flow.SrcPort = port
		result := evaluator.Evaluate(flow)
		if n := len(spans); n > 0 {
			if sameAnswer(result, spans[n-1].result) {
				continue
			}
			spans[n-1].Last = port - 1
		}
		spans = append(spans, portSpan{policy.PortRange{First: port, Last: lastEphemeral}, result})
	}
	return spans
}

// ephemeralStarts returns the first ephemeral port and every later one that a
// rule treats differently from the one below it, ascending.
func ephemeralStarts(m *policy.Model) []uint16 {
	starts := []uint16{firstEphemeral}
	addBounds := func(r policy.PortRange) {
		if r.First > firstEphemeral {
			starts = append(starts, r.First)
		}
		if r.Last >= firstEphemeral && r.Last < lastEphemeral {
			starts = append(starts, r.Last+1)
		}
	}
	named := false
	add := func(of *policy.Peer) {
		for _, ports := range [2]*policy.Ports{of.Ports, of.NotPorts} {
			if ports == nil {
				continue
			}
			named = named || len(ports.Names) > 0
			for _, r := range ports.Ranges {
				addBounds(r)
			}
		}
	}
	// Answers that are not tracked are asked about too: these go to the ephemeral port.
	untracked := slices.ContainsFunc(m.Policies, func(p *policy.Policy) bool { return p.Host.DoNotTrack })
	for _, p := range m.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				if add(&rules[i].Source); untracked {
					add(&rules[i].Destination)
				}
			}
		}
	}
	if untracked {
		for _, f := range slices.Concat(m.Host.FailsafeIn, m.Host.FailsafeOut) {
			addBounds(policy.PortRange{First: f.Port, Last: f.Port})
		}
	}
	for _, ep := range m.Endpoints {
		for _, np := range ep.Ports {
			if named {
				addBounds(policy.PortRange{First: np.Port, Last: np.Port})
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

// sameAnswer reports whether two results are the same to a reader: the verdict, what
// decided it at both ends, and what denies answers.
func sameAnswer(a, b policy.Result) bool {
	return a.Verdict == b.Verdict && sameDecision(a.Egress, b.Egress) && sameDecision(a.Ingress, b.Ingress) &&
		slices.EqualFunc(a.Hosts, b.Hosts, func(x, y policy.HostDecision) bool { return sameDecision(x.Decision, y.Decision) }) &&
		(a.Answer == nil) == (b.Answer == nil) && (a.Answer == nil || sameDecision(a.Answer.Decision, b.Answer.Decision))
}

func sameDecision(a, b policy.Decision) bool {
	if a.By == nil || b.By == nil {
		return a.By == b.By && a.Verdict == b.Verdict
	}
	return *a.By == *b.By && a.Verdict == b.Verdict
}
