package modeltest

import (
	"fmt"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// LocalNode is the node of the endpoints that a benchmark's engine is local to.
const LocalNode = "node-local"

// IsLocal reports whether an endpoint runs on LocalNode.
func IsLocal(ep *policy.Endpoint) bool { return ep.Node == LocalNode }

// Isolated makes a model of isolated customers: namespaces of perNamespace
// pods of one label set each, with one policy that allows connections within
// the namespace only. The first pods of local namespaces, evenly spread over
// all, run on LocalNode.
func Isolated(namespaces, perNamespace, local int) *policy.Model {
	b := newBuilder()
	every := max(1, namespaces/max(1, local))
	for i := range namespaces {
		ns := fmt.Sprintf("customer-%06d", i)
		labels := podLabels(nsLabels(ns, nil), "app", "service")
		for j := range perNamespace {
			ep := b.pod(ns, fmt.Sprintf("pod-%d", j), policy.Key{}, labels)
			ep.Node = "node-remote"
			if j == 0 && i%every == 0 && i/every < local {
				ep.Node = LocalNode
			}
		}
		inside := &policy.PeerSet{Selector: selector.Equals(namespaceKey, ns)}
		p := &policy.Policy{
			Key:      policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "isolate"},
			Tier:     "default",
			Order:    500,
			Selector: selector.Equals(namespaceKey, ns),
		}
		p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, Source: policy.Peer{Set: inside}}}
		p.Rules[policy.Egress] = []policy.Rule{{Action: policy.Allow, Destination: policy.Peer{Set: inside}}}
		b.add(p)
	}
	return &b.model
}

// Kubernetes makes a model of many small namespaces, each with four pods of
// two applications and three Kubernetes policies: a default deny, the clients
// to the servers, and the servers to each other. Every podsPerNode-th share of
// the pods, evenly spread, runs on LocalNode.
func Kubernetes(namespaces, podsPerNode int) *policy.Model {
	b := newBuilder()
	every := max(1, namespaces*4/max(1, podsPerNode))
	local := 0
	for i := range namespaces {
		ns := fmt.Sprintf("ns-%06d", i)
		nsl := nsLabels(ns, nil)
		client, server := podLabels(nsl, "app", "client"), podLabels(nsl, "app", "server")
		for j := range 4 {
			labels := client
			if j%2 == 1 {
				labels = server
			}
			ep := b.pod(ns, fmt.Sprintf("pod-%d", j), policy.Key{}, labels)
			ep.Node = "node-remote"
			if (i*4+j)%every == 0 && local < podsPerNode {
				ep.Node = LocalNode
				local++
			}
		}
		within := func(app string) *selector.Selector {
			return selector.And(selector.Equals(namespaceKey, ns), selector.Equals("app", app))
		}
		b.add(kubernetes(ns, "default-deny", selector.All()), policy.Ingress)
		p := kubernetes(ns, "clients", selector.Equals("app", "server"))
		p.Rules[policy.Ingress] = []policy.Rule{from(rule(policy.Allow, policy.TCP, 80), within("client"))}
		b.add(p)
		p = kubernetes(ns, "servers", selector.Equals("app", "server"))
		p.Rules[policy.Ingress] = []policy.Rule{from(rule(policy.Allow, policy.TCP, 8080, 8443), within("server"))}
		p.Rules[policy.Egress] = []policy.Rule{to(rule(policy.Allow, policy.TCP, 8080, 8443), within("server"))}
		b.add(p)
	}
	return &b.model
}
