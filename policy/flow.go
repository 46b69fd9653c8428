package policy

import "net/netip"

// Flow is one connection: its first packet.
type Flow struct {
	Src, Dst         netip.Addr // of one family
	Protocol         Protocol
	SrcPort, DstPort uint16 // where the protocol has ports
	ICMPType         uint8  // where the protocol is ICMP or ICMPv6
	ICMPCode         uint8
	// In is the interface of the destination's host by which it comes in, and Out
	// that of the source's host by which it leaves; empty where that is not known.
	In, Out string
	// Router is the node that routes it on, of which neither end is a part: then In
	// and Out are that one's interfaces. Empty: it goes straight from host to host.
	Router string
	// PreNATDst and PreNATDstPort are the destination before it was translated (a node's
	// address and a NodePort); zero: it was not.
	PreNATDst     netip.Addr
	PreNATDstPort uint16
	// HTTP is the request that the connection carries, nil where none is known.
	HTTP *HTTPRequest
}

// Decision is what one end of a connection says, and why.
type Decision struct {
	Verdict Action   // Allow or Deny
	By      *Decider // nil where nothing governs this end
	Trace   []TierTrace
	// Profiles are the endpoint's profiles that were asked, after all tiers, in order; but
	// for one that is not there, or allows everything by itself, which By names.
	Profiles []PolicyTrace
}

// Result is the verdict on a flow: allowed if both ends allow it.
type Result struct {
	Verdict Action // Allow or Deny
	Egress  Decision
	Ingress Decision
	// Hosts are what host endpoints on the way say, in the order in which a packet
	// meets them, except those that are its ends: these say it in Egress and Ingress.
	Hosts []HostDecision
	// Answer is what denies the answers of a connection that a host does not track, each of
	// which is judged by itself; nil if nothing does. Then the verdict is Deny, whatever the
	// ends say of the first packet.
	Answer *Answer
}

// Answer is a decision about the answers of a connection that is not tracked.
type Answer struct {
	Node     string // that does not track the connection
	Endpoint Key    // of a host, or of a workload on the node
	Hook     Hook   // 0: the workload's own policy
	// OutOfState says that the node tracks the answers, though not what they answer: where
	// policy governs, no TCP or SCTP packet passes that belongs to no connection. Then no
	// rule decides.
	OutOfState bool
	Decision
}

// HostDecision is what a host endpoint says of traffic of others, or before its
// own policy is asked. Its verdict is Pass where none of its rules decides.
type HostDecision struct {
	Hook     Hook
	Endpoint Key
	Decision
}

// EndOfTier is the rule number of a decision by a tier's default action.
const EndOfTier = -1

// Decider names what decided: a rule of a policy (Rule counts from 0), the end
// of a tier (Rule is EndOfTier, the policy is the last one of the tier that
// applied), a profile (KindProfile), or what agents say by their flags
// (KindFailsafe, KindEndpointToHost). Of a profile Rule is EndOfTier where it is not there,
// or, without a name, where no rule of any profile decided; of one that allows everything by
// itself it is 0.
type Decider struct {
	Tier      string
	Kind      string
	Namespace string
	Name      string
	Rule      int
	Failsafe  Failsafe // of KindFailsafe
}

// Title returns the name of what decided: that of a policy or profile, or which failsafe it is.
func (d *Decider) Title() string {
	if d.Kind == KindFailsafe {
		return d.Failsafe.String()
	}
	return d.Name
}

// TierTrace is what one tier said. Tiers of which no policy applies are not traced.
type TierTrace struct {
	Tier     string
	Policies []PolicyTrace
	// Outcome is what the tier did: Allow or Deny ends the evaluation, Pass goes on.
	Outcome Action
	// AtEnd says that no rule decided and the tier's default action acted.
	AtEnd bool
	// ToOwnNode says that its end passed because only policies apply that do not decide
	// about a workload's own node: see [Policy.DecidesToOwnNode].
	ToOwnNode bool
}

// PolicyTrace is what one policy that applies said; those after the deciding
// one are not asked.
type PolicyTrace struct {
	Key   Key
	Order float64
	Rules []RuleTrace
}

// RuleTrace is what one rule said.
type RuleTrace struct {
	Index    int
	Action   Action
	Matched  bool
	Mismatch *Mismatch // why it did not match; nil if it did
}

// Logs lists the rules with action Log that matched, in the order in which they
// were asked; a rule of the source that is several rules of the model once.
func (d *Decision) Logs() []Decider {
	var logs []Decider
	add := func(tier string, policies []PolicyTrace) {
		for _, p := range policies {
			for _, r := range p.Rules {
				by := Decider{Tier: tier, Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rule: r.Index}
				if r.Matched && r.Action == Log && (len(logs) == 0 || logs[len(logs)-1] != by) {
					logs = append(logs, by)
				}
			}
		}
	}
	for _, t := range d.Trace {
		add(t.Tier, t.Policies)
	}
	add("", d.Profiles)
	return logs
}
