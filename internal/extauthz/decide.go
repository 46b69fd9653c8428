package extauthz

import (
	"errors"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
)

// Errors of requests that policy is not asked about.
var (
	errNotReady = errors.New("the agent does not know the policy yet")
	errUnknown  = errors.New("the destination is no endpoint that policy knows")
	errIdentity = errors.New("the source's address is not that of the service account which it has proved to be")
)

// Decide decides a request: by policy, or the error says why it is denied without.
func (s *State) Decide(q *CheckRequest) (policy.Result, error) {
	denied := policy.Result{Verdict: policy.Deny}
	f, err := flowOf(q)
	if err != nil {
		return denied, err
	}
	who, proved := identityOf(q.Source.Principal)
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case !s.ready:
		return denied, errNotReady
	case s.holders[f.Dst] == nil && s.nodes[f.Dst] == "":
		return denied, errUnknown
	case proved && !who.isOf(s.holders[f.Src]):
		return denied, errIdentity
	}
	return evaluate.Decide(index{s}, f), nil
}

// decider returns what decided: at the destination, where requests are judged,
// unless the other end denies.
func decider(res *policy.Result) *policy.Decider {
	for i := range res.Hosts {
		if res.Hosts[i].Verdict == policy.Deny {
			return res.Hosts[i].By
		}
	}
	if res.Ingress.Verdict != policy.Deny && res.Egress.Verdict == policy.Deny {
		return res.Egress.By
	}
	return res.Ingress.By
}
