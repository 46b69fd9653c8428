package explain

import (
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/cli/ends"
	"github.com/tierwall/tierwall/policy"
)

// Why nothing is asked between a node and the pods on it.
const (
	nodeToPod = "a node always reaches the pods on it"
	podToNode = "what pods send to their own host is for their own policy and for --endpoint-to-host to say"
)

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
	switch {
	case x.flow.Src == x.flow.Dst:
		return "an endpoint always reaches itself"
	case x.isOwnNode(x.src, x.dst) && self.Addr == x.dst.Addr && (x.hasHost(self) || self.Endpoint != nil):
		return podToNode
	case x.isOwnNode(x.dst, x.src) && (self.Endpoint != nil || x.hasHost(self)):
		return nodeToPod
	case self.IsNode && x.hasHost(self):
		return ""
	case self.IsNode:
		return "a node is no endpoint, policy has no say"
	case self.Endpoint == nil:
		return "no endpoint has this address, policy has no say"
	}
	return ""
}

// isOwnNode reports whether an end is a pod, and the other one the node that it is on.
func (x *explanation) isOwnNode(pod, node ends.End) bool {
	return pod.Endpoint != nil && pod.Endpoint.Host == nil && (node.Endpoint == nil || node.Endpoint.Host != nil) &&
		evaluate.Plain(x.model).OnNode(pod.Endpoint, node.Addr)
}
