// Package evaluate is the reference: one connection and one state of the model give
// a verdict, with the trace that explains it. Whatever else decides in tierwall is
// generated from it or held against it, so it is kept so plain that reading it is
// enough to believe it.
//
// # How a connection is decided
//
//  1. [Route] lists the visits of the connection's first packet: whose policy it meets,
//     on which node, at which hook, with which destination. Without host endpoints these
//     are at most two: the egress policy of its source, the ingress policy of its
//     destination. An end that is no endpoint of the model has no say, and neither has
//     the policy of a workload on a connection with the node that it runs on.
//  2. At each visit the tiers are asked in their order, of each its policies that apply,
//     and of each of these its rules. The first rule that matches decides with Allow or
//     Deny, or goes on to the next tier with Pass. If no rule of a tier does, the tier's
//     default action acts as soon as one of its policies applies; what no tier decides is
//     decided by the endpoint's profiles.
//  3. At host endpoints there is more: failsafes are always open, hooks before the main
//     filter decide only by a rule, and what they allow skips others ([Visit.Skips]).
//  4. The connection is allowed if no visit denies it.
//
// # What it asks of a model
//
// The walk through tiers, policies and rules takes no shortcut. What it has to find (who
// holds an address, which policies apply to an endpoint, whether a set holds an address) it
// asks an [Index]. [New] and [Plain] give one that remembers nothing and looks at every
// endpoint and set there is. Who must decide thousands of connections a second brings one
// of his own to [Decide], and is judged by the plain one: the walk is the same code.
package evaluate
