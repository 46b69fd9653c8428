package source

import (
	"math"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Endpoint is an endpoint without what it gets from other objects: the labels of
// its namespace and its service account, and the workload it belongs to.
type Endpoint struct {
	Labels          selector.Labels // its own, by OwnKey
	ServiceAccount  string          // its name; empty for none
	Orchestrator    string
	Node, Interface string
	HostAddrs       []netip.Addr // those of the node, as far as the endpoint tells
	Addrs           []netip.Addr
	Ports           []policy.NamedPort
	Profiles        []string   // in the order in which they are asked, each once
	Precedence      int32      // see precedence
	Controller      policy.Key // what manages it; zero if nothing does
	TemplateHash    string     // pod-template-hash, which ends the name of its ReplicaSet
	// IsTemplate says that it stands for the pods of a workload.
	IsTemplate bool
	// Unmanaged says why there is nothing to govern; empty if there is.
	Unmanaged Reason
}

// unmanaged is what is known of an endpoint that policy does not govern.
func (e *Endpoint) unmanaged(why Reason) *Endpoint {
	return &Endpoint{Node: e.Node, HostAddrs: e.HostAddrs, Controller: e.Controller, TemplateHash: e.TemplateHash, Unmanaged: why}
}

func (e *Endpoint) addAddr(a netip.Addr) {
	if !slices.Contains(e.Addrs, a) {
		e.Addrs = append(e.Addrs, a)
	}
}

// precedence says which of two pods has an address that both name: one that is
// not about to end; of such two the one that its node has begun to run last,
// since it got the address last. A network gives an address to the next pod when
// the one before has ended, but its object may say so later, or never, if its node
// is gone.
func precedence(ending bool, started *metav1.Time, created metav1.Time) int32 {
	if started == nil || started.IsZero() {
		started = &created
	}
	// Seconds since 2001, as far as 31 bits go.
	const epoch = 978307200
	seconds := int32(0)
	if !started.IsZero() {
		seconds = int32(min(max(started.Unix()-epoch, 0), math.MaxInt32))
	}
	if ending {
		return seconds + math.MinInt32
	}
	return seconds
}

func (e *Endpoint) addHostAddr(a netip.Addr) {
	if !slices.Contains(e.HostAddrs, a) {
		e.HostAddrs = append(e.HostAddrs, a)
	}
}

// Reason says why policy has no say on a pod or workload, as the end of a
// sentence: "it uses its node's network".
type Reason string

// The reasons. A Deployment's old ReplicaSets are scaled down.
const (
	HostNetwork Reason = "uses its node's network"
	Ended       Reason = "has ended"
	ScaledDown  Reason = "is scaled to zero"
)
