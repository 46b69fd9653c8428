// Package controller tells the people who write policy what became of it. It
// checks every tier, policy and network set of a cluster with package translate,
// adds up what the agents of all nodes report, and writes both into the status of
// the objects. What is invalid also gets an Event: for NetworkPolicies of
// networking.k8s.io, which have no status, that is the only way.
//
// Nothing that is enforced depends on it. Agents read policy themselves.
//
// # Frugal on purpose
//
// Every write of a policy's status goes to every agent that watches policies. So
// a status is written only when it says something new, counts that change are put
// together for a while, what is invalid goes before what is not, and there is a limit of
// writes per second for the whole cluster (Config.StatusQPS).
//
// Pods are not watched: what is held grows with the number of policies and with
// what agents report, not with the size of the cluster.
//
// # One at a time
//
// Of several controllers one leads, by a Lease; the others hold nothing but wait.
// One that ends lets go of the Lease when its last write is done, so that the next
// leads within seconds.
package controller
