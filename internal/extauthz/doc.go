// Package extauthz answers proxies that ask whether a request may pass: Envoy's
// ext_authz, by gRPC. So the http criteria of rules, which the kernel cannot judge,
// are judged where the request is read.
//
// What decides is package evaluate, over an index of the model as the agent has
// it ([State]); nothing is decided here. Here a request becomes a flow, and a
// verdict an answer. What cannot become a flow is denied: a request without the
// addresses of both ends, for an endpoint that nobody knows of, with a malformed
// path, in the name of a service account that the source does not have.
package extauthz
