// Package policy is the model that every other part of tierwall speaks: tiers,
// policies and their rules, endpoints and network sets, and, for one
// connection, the flow, its verdict and the trace that explains it.
//
// It is plain data. Sources of policy (Kubernetes, Calico and other APIs) are
// translated into it once; the evaluator, the engine and the analyses read
// nothing else.
package policy
