package analyze

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/policy"
)

// ReachOptions says how Reach presents its answer.
type ReachOptions struct {
	// Pods lists every endpoint for itself. Otherwise those of one workload
	// (Endpoint.Owner) are one end, unless they differ in what they reach or in
	// who reaches them: then each is listed for itself all the same.
	Pods bool
}

// Reachability is who can reach whom on what. Pairs of which nothing is allowed
// are left out, and so are pairs of an end with itself.
type Reachability struct {
	// Pairs are ordered by source, then by destination: endpoints by namespace,
	// kind and name, then ranges of IPv4 and of IPv6, ascending.
	Pairs []Pair
	// Notes are what a reader has to know beside the pairs, one sentence each.
	Notes []string
}

// Pair is one end that can reach another one. An end is "namespace/Kind/name",
// or a range "first-last" of the outside world, which speaks of those of its
// addresses that no endpoint holds.
type Pair struct {
	Src     string    `json:"src"`
	Dst     string    `json:"dst"`
	Allowed []Allowed `json:"allowed"` // never empty; shared between pairs: read only
}

// Allowed is a part of what is allowed: protocols with all their ports and
// types, or a protocol with some of them.
type Allowed struct {
	// Protocol is "All", a name, a number, or a range of numbers "0-5", which
	// holds also the protocols that have names.
	Protocol string `json:"protocol"`
	// Ports are destination ports, "80,443,8000-9000"; empty for all.
	Ports string `json:"ports,omitempty"`
	// Types are ICMP types, or "type/code" where only some codes are allowed:
	// "0,3/1,8-10/0-4"; empty for all.
	Types string `json:"types,omitempty"`
	// Family is "IPv4" or "IPv6" on every entry of a pair whose families
	// differ, and empty on all entries of other pairs.
	Family string `json:"family,omitempty"`
}

// Reach computes who can reach whom: for every ordered pair of ends the
// connections that egress policy at the source and ingress policy at the
// destination both allow. It speaks of connections from the lowest ephemeral
// port, 49152, and a note says so where rules tell ephemeral ports apart.
// Connections between a node and the pods on it, always allowed, are not
// listed. Host endpoints are left out, which a note says. An endpoint without addresses reaches nothing.
func Reach(m *policy.Model, opts ReachOptions) (*Reachability, error) {
	e := engine.New(nil)
	changes, err := objects(m)
	if err != nil {
		return nil, err
	}
	e.Apply(changes...)
	t := newTables(e.Flush())
	r := &reach{tables: t}
	r.addRanges(m.Endpoints)
	workloads := slices.DeleteFunc(slices.Clone(m.Endpoints), func(ep *policy.Endpoint) bool { return ep.Host != nil })
	r.addUnits(workloads, opts.Pods)
	out := &Reachability{Pairs: r.pairs()}
	if len(workloads) < len(m.Endpoints) {
		out.Notes = append(out.Notes, "host endpoints are left out, and so is what their policies say of traffic that is routed through their hosts: ask explain")
	}
	if t.splitAt != 0 {
		out.Notes = append(out.Notes, fmt.Sprintf(
			"rules tell ephemeral source ports apart: this is the answer for connections from port %d; that of port %d may differ",
			lowestEphemeral, t.splitAt))
	}
	return out, nil
}

// objects gives the model as changes from an empty one.
func objects(m *policy.Model) ([]policy.Change, error) {
	if m == nil {
		return nil, errors.New("reach: there is no model")
	}
	changes := make([]policy.Change, 0, len(m.Tiers)+len(m.Policies)+len(m.Endpoints)+len(m.Sets))
	seen := make(map[policy.Key]bool, cap(changes))
	add := func(o policy.Object) error {
		k := o.ObjectKey()
		if seen[k] {
			return fmt.Errorf("reach: the model holds %v twice", k)
		}
		seen[k] = true
		changes = append(changes, policy.Change{Key: k, Object: o})
		return nil
	}
	var errs []error
	for _, o := range m.Tiers {
		errs = append(errs, add(o))
	}
	for _, o := range m.Sets {
		errs = append(errs, add(o))
	}
	for _, o := range m.Policies {
		errs = append(errs, add(o))
	}
	for _, o := range m.Endpoints {
		errs = append(errs, add(o))
	}
	return changes, errors.Join(errs...)
}
