// Package conformance runs the upstream suite for ClusterNetworkPolicy. It is built into
// a program which TestConformance runs beside the API server: the suite has a shell in
// pods, and the connections for that know no other way to the server than by its address.
package conformance
