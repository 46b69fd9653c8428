// Package modeltest makes models for tests: small random ones that use every
// part of package policy (Models, Steps, Flows, for property tests with rapid)
// and large ones that look like production (Cluster, Isolated, Kubernetes, for
// benchmarks), which depend on their parameters only.
package modeltest
