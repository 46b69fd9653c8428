package explain

import (
	"math"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// The JSON that explain prints. Its field names are an interface: tools read them.
type (
	resultJSON struct {
		Verdict string `json:"verdict"` // Allow or Deny
		connectionJSON
		// HTTP is the request that was judged; absent for a connection alone.
		HTTP    *httpJSON    `json:"http,omitempty"`
		Egress  decisionJSON `json:"egress"`
		Ingress decisionJSON `json:"ingress"`
		// Through is the node that routes the connection on, where one was named.
		Through string `json:"through,omitempty"`
		// Hosts are the host endpoints on the way, in the order in which a packet meets them.
		Hosts []hostJSON `json:"hosts,omitempty"`
		// DroppedBefore is the guard that drops the connection before policy is asked, whatever
		// the verdict; absent if none does.
		DroppedBefore *guardJSON `json:"droppedBefore,omitempty"`
		// Answer is what denies the answers of a connection that a host does not track.
		Answer *answerJSON `json:"answer,omitempty"`
		// LeftOut is what was wrong with objects that --keep-going left out, each as a line.
		LeftOut []string `json:"leftOut,omitempty"`
		// Notes are what the text has at its end.
		Notes []string `json:"notes,omitempty"`
	}
	answerJSON struct {
		Node       string `json:"node"`           // that does not track the connection
		Hook       string `json:"hook,omitempty"` // absent for a workload's own policy
		Kind       string `json:"kind"`           // of the endpoint
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		OutOfState bool   `json:"outOfState"` // as a packet of no connection; then no rule decides
		decisionJSON
	}
	httpJSON struct {
		Method string `json:"method"`
		Path   string `json:"path"` // as rules compare it; empty if it can be read in several ways
	}
	hostJSON struct {
		Hook string `json:"hook"`
		Name string `json:"name"` // of the HostEndpoint
		decisionJSON
	}
	decisionJSON struct {
		Verdict   string       `json:"verdict"`
		DecidedBy *deciderJSON `json:"decidedBy"` // null where nothing governs
		// Reason says why nothing does; absent where something decided.
		Reason string     `json:"reason,omitempty"`
		Trace  []tierJSON `json:"trace"`
		// Profiles with rules that were asked after the last tier; absent where none was.
		Profiles []policyJSON `json:"profiles,omitempty"`
	}
	deciderJSON struct {
		Tier      string `json:"tier"`
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		Rule      int    `json:"rule"`            // from 0; -1 is the end of the tier
		Place     string `json:"place,omitempty"` // file:line of the object, or its version in a store
	}
	tierJSON struct {
		Tier    string `json:"tier"`
		Outcome string `json:"outcome"` // Allow, Deny or Pass
		AtEnd   bool   `json:"atEnd"`   // by the tier's default action
		// ToOwnNode says that the end passed because Kubernetes policies alone deny a pod
		// nothing of its own node.
		ToOwnNode bool         `json:"toOwnNode,omitempty"`
		Policies  []policyJSON `json:"policies"`
	}
	policyJSON struct {
		Kind      string     `json:"kind"`
		Namespace string     `json:"namespace"`
		Name      string     `json:"name"`
		Order     *float64   `json:"order"`           // null: after all that have one
		Place     string     `json:"place,omitempty"` // as in deciderJSON
		Rules     []ruleJSON `json:"rules"`
	}
	ruleJSON struct {
		Rule    int    `json:"rule"`
		Action  string `json:"action"`
		Matched bool   `json:"matched"`
		Why     string `json:"why,omitempty"` // what did not match, in words
		// Mismatches are the same as data: one for each alternative of the rule.
		Mismatches []mismatchJSON `json:"mismatches,omitempty"`
	}
	mismatchJSON struct {
		Criterion string   `json:"criterion"`
		Side      string   `json:"side,omitempty"` // source or destination, for criteria of one
		Got       string   `json:"got"`
		Want      []string `json:"want"`
	}
)

func explainJSON(r policy.Result) resultJSON {
	out := resultJSON{Verdict: r.Verdict.String(), Egress: decisionToJSON(r.Egress), Ingress: decisionToJSON(r.Ingress)}
	for _, h := range r.Hosts {
		out.Hosts = append(out.Hosts, hostJSON{h.Hook.String(), h.Endpoint.Name, decisionToJSON(h.Decision)})
	}
	if a := r.Answer; a != nil {
		out.Answer = &answerJSON{Node: a.Node, Kind: a.Endpoint.Kind, Namespace: a.Endpoint.Namespace, Name: a.Endpoint.Name,
			OutOfState: a.OutOfState, decisionJSON: decisionToJSON(a.Decision)}
		if a.Hook != 0 {
			out.Answer.Hook = a.Hook.String()
		}
	}
	return out
}

// json returns the explanation for programs.
func (x *explanation) json() resultJSON {
	out := explainJSON(x.result)
	out.connectionJSON = x.connectionJSON()
	out.Notes, out.LeftOut = x.notes, x.leftOut
	out.eachPlace(x.place)
	out.HTTP = (*httpJSON)(x.flow.HTTP)
	out.Through = x.flow.Router
	if g := x.guard; g != nil {
		out.DroppedBefore = &guardJSON{string(g.Guard), g.Drops, g.Switch}
	}
	out.Egress.Reason = x.undecided(policy.Egress)
	out.Ingress.Reason = x.undecided(policy.Ingress)
	return out
}

func decisionToJSON(d policy.Decision) decisionJSON {
	out := decisionJSON{Verdict: d.Verdict.String(), Trace: []tierJSON{}}
	if d.By != nil {
		out.DecidedBy = &deciderJSON{Tier: d.By.Tier, Kind: d.By.Kind, Namespace: d.By.Namespace, Name: d.By.Title(), Rule: d.By.Rule}
	}
	for _, t := range d.Trace {
		tier := tierJSON{Tier: t.Tier, Outcome: t.Outcome.String(), AtEnd: t.AtEnd, ToOwnNode: t.ToOwnNode, Policies: []policyJSON{}}
		for _, p := range t.Policies {
			pol := policyToJSON(&p)
			if !math.IsInf(p.Order, 0) {
				pol.Order = &p.Order
			}
			tier.Policies = append(tier.Policies, pol)
		}
		out.Trace = append(out.Trace, tier)
	}
	for _, p := range d.Profiles {
		out.Profiles = append(out.Profiles, policyToJSON(&p))
	}
	return out
}

// policyToJSON returns a policy without its order, or a profile, which has none.
func policyToJSON(p *policy.PolicyTrace) policyJSON {
	out := policyJSON{Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rules: []ruleJSON{}}
	for _, r := range mergeRules(p.Rules) {
		out.Rules = append(out.Rules, ruleToJSON(r))
	}
	return out
}

func ruleToJSON(r sourceRule) ruleJSON {
	out := ruleJSON{Rule: r.Index, Action: r.Action.String(), Matched: r.Matched, Why: strings.Join(r.whys(), "; ")}
	for _, m := range r.mismatches {
		out.Mismatches = append(out.Mismatches, mismatchJSON{m.Criterion.String(), m.Side.String(), m.GotText(), m.WantTexts()})
	}
	return out
}
