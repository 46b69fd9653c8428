package explain

import (
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/policy"
)

// nodeAndPod is why a node reaches its pods, and they it.
const nodeAndPod = "a node and the pods on it always reach each other"

func (x *explanation) decision(dir policy.Direction) policy.Decision {
	if dir == policy.Egress {
		return x.result.Egress
	}
	return x.result.Ingress
}

// undecided returns why nothing decided at an end; "" where something did.
func (x *explanation) undecided(dir policy.Direction) string {
	self := x.src
	if dir == policy.Ingress {
		self = x.dst
	}
	if x.decision(dir).By != nil {
		return ""
	}
	if why := x.exempt(self); why != "" {
		return why
	}
	return "no policy applies to its " + dir.String()
}

// exempt returns why policy has no say at an end; "" where it has.
func (x *explanation) exempt(self ends.End) string {
	peer := x.dst
	if self.Addr == x.dst.Addr {
		peer = x.src
	}
	switch {
	case x.flow.Src == x.flow.Dst:
		return "an endpoint always reaches itself"
	case self.IsNode && x.hasHost(self):
		return ""
	case self.IsNode:
		return "a node is no endpoint, policy has no say"
	case self.Endpoint == nil:
		return "no endpoint has this address, policy has no say"
	case x.isOwnNode(self, peer) || self.Endpoint.Host != nil && x.isOwnNode(peer, self):
		if x.result.Verdict == policy.Deny { // by a host endpoint
			return "the policy of pods is not asked about their own node"
		}
		return nodeAndPod
	}
	return ""
}

// isOwnNode reports whether an end is a pod, and the other one the node that it is on.
func (x *explanation) isOwnNode(pod, node ends.End) bool {
	return pod.Endpoint != nil && pod.Endpoint.Host == nil && (node.Endpoint == nil || node.Endpoint.Host != nil) &&
		evaluate.Plain(x.model).OnNode(pod.Endpoint, node.Addr)
}
