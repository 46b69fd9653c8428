// Package policy is the model that every other part of tierwall speaks: tiers,
// policies and their rules, endpoints and network sets, and, for one
// connection, the flow, its verdict and the trace that explains it.
//
// It is plain data. Sources of policy (Kubernetes, Calico and other APIs) are
// translated into it once; the evaluator, the engine and the analyses read
// nothing else.
//
// # What there is
//
// A [Model] is one state of a cluster. Its [Endpoint]s are what has addresses: workloads
// (pods, mostly) and the host endpoints of nodes, which stand for an interface. Each has
// one list of labels, which holds all that a selector of any API may ask of it: its own, its
// namespace's and its service account's. Its [Set]s are nets with labels, for addresses
// that are no endpoint's.
//
// A [Policy] belongs to a [Tier], applies to the endpoints that its selector matches, and
// governs what they send ([Egress]), what they receive ([Ingress]) or both. Its [Rule]s say
// Allow, Deny, Pass or Log of the connections that meet all their criteria. A [Peer] is what
// a rule demands of one side: addresses by a [PeerSet] or by nets, and ports. Objects are
// immutable once they are in a model: a [Change] brings a new one under the same key.
//
// # What it means
//
// A [Flow] is one connection, by its first packet. It is allowed if its source may send it
// and its destination may receive it, each decided by one endpoint's policies:
//
//   - Tiers are asked in the order of [CompareTiers], within a tier policies in that of
//     [ComparePolicies], within a policy rules in that of the list.
//   - The first rule that matches acts: Allow and Deny decide, Pass goes on with the next
//     tier. Log decides nothing.
//   - A tier of which some policy applies, and no rule matches, does what its DefaultAction
//     says. A tier of which no policy applies is passed over.
//   - What no tier decides the endpoint's profiles decide, in order; what none of them does is denied.
//
// At host endpoints a packet meets policy at a [Hook]: [HostOptions] say at which ones a
// policy acts. What [HostSettings] keep open is open whatever policies say.
//
// A [Result] has what each end decided, by whom ([Decider]), and the trace, down to why a
// rule did not match. Package evaluate makes it.
package policy
