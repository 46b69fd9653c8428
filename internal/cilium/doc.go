// Package cilium reads CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy
// (cilium.io/v2) for analysis, and converts them to policies of
// projectcalico.org/v3 that decide the same.
//
// What Cilium's policies mean, and how it is kept:
//
//   - Rules only allow, or only deny, and a connection that some rule denies is
//     denied whatever others allow. So what denies comes first, in a tier of its own
//     that passes on what it does not decide.
//   - Whatever selects an endpoint in a direction denies by default what nothing
//     allows there, unless it says enableDefaultDeny: false. So what allows is in tier
//     default, which ends in Deny for whom it selects; what has no such default is
//     in the tier that passes on.
//   - Rules tell pods, nodes and the outside world apart: CIDRs mean the outside
//     world only. So every criterion says which of the three it is about; the nodes'
//     addresses are a network set.
//
// What cannot be expressed is named and left out: of a rule that allows, nothing
// is left that would allow more. The agent and the stores of a cluster do not know
// these kinds: Cilium enforces them.
package cilium
