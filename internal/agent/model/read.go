package model

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// View is the present state of a model, within Read.
type View struct{ m *Model }

// Locals returns the endpoints of this node that have addresses, without host endpoints. It is not
// to be changed.
func (v View) Locals() map[policy.Key]*policy.Endpoint { return v.m.summary.locals }

// Hosts returns the host endpoints of this node, each with the interface that it is
// enforced at, ordered by which of several at one interface is enforced.
func (v View) Hosts() []*policy.Endpoint {
	hosts := make([]*policy.Endpoint, 0, len(v.m.summary.hosts))
	for _, ep := range v.m.summary.hosts {
		hosts = append(hosts, Place(ep, v.m.summary.node, v.m.interfaces).(*policy.Endpoint))
	}
	slices.SortFunc(hosts, policy.CompareHosts)
	return hosts
}

// Owned reports whether some endpoint of the cluster has an address.
func (v View) Owned(a netip.Addr) bool { return v.m.engine.Owned(a) }

// HasHosts reports whether this node has host endpoints.
func (v View) HasHosts() bool { return len(v.m.summary.hosts) > 0 }

// Findings returns what is wrong with the store, at present.
func (v View) Findings() []store.Finding { return v.m.findings }

// StaleSince returns since when the store, or a part of it, cannot be followed; zero: all of it is.
func (v View) StaleSince() time.Time { return v.m.staleSince }

// Status returns what became of an object of the store.
func (v View) Status(key policy.Key) translate.Status { return v.m.translator.Status(key) }

// Invalid returns the objects with something wrong.
func (v View) Invalid() []translate.Status { return v.m.translator.Invalid() }

// Counts returns how many objects of each kind there are in each state.
func (v View) Counts() map[translate.KindState]int { return v.m.translator.Counts() }

// Nodes returns the nodes of the cluster.
func (v View) Nodes() []*policy.Node { return v.m.translator.Nodes() }

// Each yields all objects that come from the store.
func (v View) Each(yield func(policy.Change)) { v.m.translator.Each(yield) }

// Policies calls yield for each policy in force.
func (v View) Policies(yield func(policy.Key)) {
	for key := range v.m.summary.policies {
		yield(key)
	}
}

// HasPolicy reports whether a policy is in force.
func (v View) HasPolicy(key policy.Key) bool {
	_, ok := v.m.summary.policies[key]
	return ok
}

// Generation returns that of the version of a policy that is in force; 0 if the store has
// none.
func (v View) Generation(key policy.Key) int64 { return v.m.summary.policies[key].generation }

// Selected calls yield for each policy that applies to endpoints of this node, with their number, and of those the
// number that count holds for.
func (v View) Selected(count func(endpoint policy.Key) bool, yield func(p *policy.Policy, endpoints, counted int)) {
	v.m.engine.Selected(count, yield)
}

// Enforced returns the number of endpoints of this node that the engine has tables for.
func (v View) Enforced() int { return v.m.engine.Locals() }

// Action returns what a decider does, which its name does not tell; "unknown" for a
// rule that is just going away.
func (v View) Action(by policy.Decider, dir policy.Direction) string {
	return v.m.summary.action(by, dir)
}
