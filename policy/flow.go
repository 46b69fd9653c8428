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
}

// Result is the verdict on a flow: allowed if both ends allow it.
type Result struct {
	Verdict Action // Allow or Deny
	Egress  Decision
	Ingress Decision
	// Hosts are what host endpoints on the way say, in the order in which a packet
	// meets them, except those that are its ends: these say it in Egress and Ingress.
	Hosts []HostDecision
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
// applied) or a profile (Kind is "Profile").
type Decider struct {
	Tier      string
	Kind      string
	Namespace string
	Name      string
	Rule      int
}

// TierTrace is what one tier said. Tiers of which no policy applies are not traced.
type TierTrace struct {
	Tier     string
	Policies []PolicyTrace
	// Outcome is what the tier did: Allow or Deny ends the evaluation, Pass goes on.
	Outcome Action
	// AtEnd says that no rule decided and the tier's default action acted.
	AtEnd bool
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
	for _, t := range d.Trace {
		for _, p := range t.Policies {
			for _, r := range p.Rules {
				by := Decider{Tier: t.Tier, Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rule: r.Index}
				if r.Matched && r.Action == Log && (len(logs) == 0 || logs[len(logs)-1] != by) {
					logs = append(logs, by)
				}
			}
		}
	}
	return logs
}
