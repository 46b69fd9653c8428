// Package source reads each object of a source API on its own: projectcalico.org/v3
// (calico_*.go), networking.k8s.io and the core kinds of Kubernetes (kubernetes_*.go), and
// policy.networking.k8s.io (cluster_*.go). It finds all that is wrong with the object, and
// returns what it says as parts of the model, or as values that package translate joins
// with those of other objects.
//
// What it relies on, from the bottom up:
//
//   - Problems is what is wrong with one object. Checks go on past the first problem.
//   - Everything that a selector of any API may ask of an endpoint is in one label set
//     (labels.go), so that the model needs one selector and nothing else.
//   - What a rule refers to otherwise than by labels becomes internal sets, which the
//     rule selects: services, domains, nodes.
//
// No file calls into a file of an API that is not its own, but for label selectors and
// ports, which the APIs of Kubernetes share.
package source
