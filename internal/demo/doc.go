// Package demo plays the scenarios of examples/ with real packets: it builds
// the pods of a scenario as network namespaces, programs the kernel with what
// the policies say, makes the connections and compares three answers: what
// expected.yaml promises, what package evaluate says, and what the kernel did.
package demo
