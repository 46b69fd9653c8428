// Package manifest reads network policy as it is written, and what it is about, into
// the model that packages evaluate and analyze decide by.
//
// It reads what kubectl and tierwall read: YAML of one or many documents, JSON, lists
// such as "kubectl get -o yaml" prints, and directories of such files. In them may be
// policies of networking.k8s.io, policy.networking.k8s.io and projectcalico.org/v3 with
// tiers and network sets, Cilium's policies, and what policy governs or asks for: pods, or
// the Deployments and other workloads that make them, namespaces, service accounts,
// services, nodes, workload and host endpoints. Other objects are passed over, and a
// note says so.
//
// Reading is strict. A misspelled field, a selector that does not parse or a tier that
// does not exist makes an [InvalidError], since a verdict without that object could be
// the opposite of the right one; [Options.SkipInvalid] goes on without such objects.
//
// Endpoints of manifests often have no addresses: those come with a cluster. Each gets
// one of its own that no CIDR of the policies holds, except CIDRs of a whole family;
// [policy.Endpoint] says so in its field PlaceholderAddrs.
package manifest
