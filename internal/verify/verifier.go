package verify

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Input is what Run compares.
type Input struct {
	Model  *policy.Model         // what should be in force
	Tables *dataplane.State      // the engine's tables of the model
	Kernel dataplane.FlowDecider // the tables under test; called from several goroutines
	// IsLocal says which host endpoints the tables are of; nil: all.
	IsLocal func(*policy.Endpoint) bool
	// Mark is the bit of the packet mark that hooks of host endpoints use; 0:
	// dataplane.DefaultMark.
	Mark uint32
	// Links says where local endpoints are, and which guards are on; nil: links are not asked about.
	Links *Links
	// Structure is what is wrong elsewhere, one line each: differences too.
	Structure []string
	// Progress is called now and then with the number of decisions made and
	// of all that there are; nil is fine.
	Progress func(done, total int)
}

// verifier is a run under way.
type verifier struct {
	Input
	model     *policy.Model  // with the addresses that are asked about
	reference evaluate.Index // of that model
	whole     func() evaluate.Index

	atHooks func() *evaluate.Evaluator // the reference for host endpoints

	peers  map[dataplane.ClassID][]netip.Addr
	bounds dataplane.Boundaries
	total  int
	done   atomic.Int64

	mu     sync.Mutex
	report Report
}

// workloads is an index that knows nothing of hosts: what they say is asked at their
// hooks, see hooks.go. Which addresses are the node's own, tables do not know either: the kernel
// does, and asks where it receives.
type workloads struct {
	evaluate.Index
	toNode bool // all addresses are, to those that run there
}

// OnNode implements evaluate.Index.
func (w workloads) OnNode(*policy.Endpoint, netip.Addr) bool { return w.toNode }

// action returns what tables say of the task's end.
func (t task) action(tables dataplane.FlowDecider, f policy.Flow) policy.Action {
	if t.toNode {
		return actionOf(tables.DecideToNode(f))
	}
	return action(tables, f, t.dir)
}

// action returns what tables say of one end.
func action(tables dataplane.FlowDecider, f policy.Flow, dir policy.Direction) policy.Action {
	egress, ingress := tables.Decide(f)
	if dir == policy.Ingress {
		return actionOf(ingress)
	}
	return actionOf(egress)
}

func actionOf(got dataplane.Verdict) policy.Action {
	if got.Allow || !got.Governed {
		return policy.Allow
	}
	return policy.Deny
}

// reduced returns the model with no more endpoints than those at the addresses
// that are asked about. The reference looks for endpoints by address and
// nowhere else, through all of them.
func reduced(m *policy.Model, tables *dataplane.State, peers map[dataplane.ClassID][]netip.Addr) *policy.Model {
	asked := map[netip.Addr]bool{}
	for _, l := range tables.Locals() {
		asked[l.Addr] = true
	}
	for _, addrs := range peers {
		for _, a := range addrs {
			asked[a] = true
		}
	}
	r := withoutNodes(m)
	r.Endpoints = slices.DeleteFunc(slices.Clone(m.Endpoints), func(ep *policy.Endpoint) bool {
		return !slices.ContainsFunc(ep.Addrs, func(a netip.Addr) bool { return asked[a] })
	})
	return r
}

// withoutNodes returns the model without its nodes: connections between a node
// and its own pods never meet the tables.
func withoutNodes(m *policy.Model) *policy.Model {
	c := *m
	c.Nodes = nil
	return &c
}
