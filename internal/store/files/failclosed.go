package files

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// failClosedTypes are the types of which an object needs no valid one to be used: what
// does not parse is left empty, which its API takes for something unknown, to be
// decided the safe way. Peers of policy.networking.k8s.io are so.
var failClosedTypes = map[reflect.Type]bool{
	reflect.TypeFor[v1alpha2.ClusterNetworkPolicyIngressPeer]():      true,
	reflect.TypeFor[v1alpha2.ClusterNetworkPolicyEgressPeer]():       true,
	reflect.TypeFor[v1alpha1.AdminNetworkPolicyIngressPeer]():        true,
	reflect.TypeFor[v1alpha1.AdminNetworkPolicyEgressPeer]():         true,
	reflect.TypeFor[v1alpha1.BaselineAdminNetworkPolicyEgressPeer](): true,
}

// failClosed empties a value that has not been read as it was written, if its type fails
// closed. before is how many problems there were before it was read.
func (d *decoder) failClosed(v reflect.Value, before int) {
	if len(d.problems) == before || d.stopped || !failClosedTypes[v.Type()] {
		return
	}
	v.SetZero()
	for i := range d.problems[before:] {
		d.problems[before+i].failClosed = true
	}
}

// isOpen reports whether there is a problem that keeps the object from being used.
func (d *decoder) isOpen() bool {
	return d.stopped || slices.ContainsFunc(d.problems, func(p fieldProblem) bool { return !p.failClosed })
}

// required are fields whose absence the type cannot tell from a value that means
// something: priority 0 is the first of all, an empty selector selects everything.
var required = map[reflect.Type][]string{
	reflect.TypeFor[v1alpha2.ClusterNetworkPolicySpec](): {"priority"},
	reflect.TypeFor[v1alpha2.NamespacedPod]():            {"podSelector"},
	reflect.TypeFor[v1alpha1.AdminNetworkPolicySpec]():   {"priority"},
	reflect.TypeFor[v1alpha1.NamespacedPod]():            {"namespaceSelector", "podSelector"},
}

// require reports required fields of a struct that are not among the pairs. One that
// was meant, but misspelled, has been reported.
func (d *decoder) require(n *yaml.Node, pairs [][2]*yaml.Node, t reflect.Type) {
	for _, name := range required[t] {
		written := slices.ContainsFunc(pairs, func(p [2]*yaml.Node) bool { return p[0].Value == name && !isNull(target(p[1])) })
		if !written && nearKey(n, name) == "" {
			d.push(name, 0)
			d.fail(n, "is missing: expected %s", example[name])
			d.pop()
		}
	}
}

// example is what a required field could be.
var example = map[string]string{
	"priority":          "a number from 0, which is asked first, to 1000",
	"namespaceSelector": "a selector of namespaces; {} is all of them",
	"podSelector":       "a selector of pods; {} is all of them",
}
