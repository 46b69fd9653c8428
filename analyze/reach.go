package analyze

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/policy"
)

// ReachOptions says how Reach presents its answer.
type ReachOptions struct {
	// Pods lists every endpoint for itself. Otherwise those of one workload
	// (Endpoint.Owner) are one end, unless they differ in what they reach or in
	// who reaches them: then each is listed for itself all the same.
	Pods bool
	// Known are names of DNS whose addresses the model has, in sets that are learned:
	// they are listed by these addresses, and not as domains.
	Known []string
	// AllDomains has domains listed also where the same is allowed to them as to
	// addresses that no policy names.
	AllDomains bool
}

// Reachability is who can reach whom on what. Pairs of which nothing is allowed
// are left out, and so are pairs of an end with itself.
type Reachability struct {
	// Pairs are ordered by source, then by destination: workloads by namespace, kind
	// and name, then hosts, then ranges of IPv4 and of IPv6, ascending, then domains.
	Pairs []Pair
	// Notes are what a reader has to know beside the pairs, one sentence each.
	Notes []string

	// asWorld are the pairs with domains, by ends, of which the same is allowed to
	// addresses of no domain.
	asWorld map[[2]string]bool
}

// Pair is one end that can reach another one. An end is "namespace/Kind/name"; or
// "host/name", the host of a HostEndpoint by its interface; or a range "first-last"
// of the outside world, which speaks of those of its addresses that no endpoint and
// no host of a HostEndpoint has. A destination may be "domain name" or "domains name,
// name", which speaks of the addresses that these have, as far as no net names them.
type Pair struct {
	Src     string    `json:"src"`
	Dst     string    `json:"dst"`
	Domains []string  `json:"domains,omitempty"` // of Dst, if it is domains
	Allowed []Allowed `json:"allowed"`           // never empty; shared between pairs: read only
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
	// HTTP are the requests that are allowed in these connections, each of one of
	// several kinds; nil for all, whatever the connections carry. The kernel lets the
	// connections through, and a proxy that asks an agent judges the requests.
	HTTP []Requests `json:"http,omitzero"`
}

// Reach computes who can reach whom: for every ordered pair of ends the
// connections that egress policy at the source, ingress policy at the destination
// and the host endpoints on the way all allow. It speaks of connections from the
// lowest ephemeral port, 49152, and a note says so where rules tell ephemeral ports
// apart. Connections between a node and the pods on it are not listed where they are
// always allowed; with Model.Host.EndpointToHost Pass those that pods begin are. An
// endpoint without addresses reaches nothing.
func Reach(m *policy.Model, opts ReachOptions) (*Reachability, error) { return reachOf(m, opts, nil) }

// reachOf is Reach. If domains are given, what is allowed to them is listed for all,
// also where it is what is allowed to addresses that nobody names.
func reachOf(m *policy.Model, opts ReachOptions, domains []string) (*Reachability, error) {
	if m == nil {
		return nil, errors.New("reach: there is no model")
	}
	var http httpRules
	given := *m
	if policies := http.withoutHTTP(m.Policies); policies != nil {
		given.Policies = policies
	}
	standIns, learned := withDomains(m, domains, opts.Known)
	given.Sets = append(slices.Clip(m.Sets), learned...)
	e := engine.New(nil)
	changes, err := objects(&given)
	if err != nil {
		return nil, err
	}
	e.Apply(changes...)
	delta := e.Flush()
	r := &reach{tables: newTables(delta, &http), standIns: standIns, allDomains: opts.AllDomains || domains != nil, seen: map[point]bool{}, asWorld: map[[2]string]bool{}}
	var points []dataplane.HostPoint
	if delta != nil {
		points = delta.SetHosts
	}
	r.hosts = newHosts(m, points)
	r.setClasses()
	r.setBeforeDNAT(m)
	r.addRanges(m.Endpoints)
	r.addUnits(m.Endpoints, opts.Pods)
	return &Reachability{Pairs: r.pairs(), Notes: r.notes(m), asWorld: r.asWorld}, nil
}

// notes returns what a reader has to know beside the pairs.
func (r *reach) notes(m *policy.Model) []string {
	notes := append(r.hosts.notes(m), r.standIns.notes()...)
	if r.splitAt != 0 {
		notes = append(notes, fmt.Sprintf(
			"rules tell ephemeral source ports apart: this is the answer for connections from port %d; that of port %d may differ",
			lowestEphemeral, r.splitAt))
	}
	return notes
}

// objects returns the model as changes from an empty one.
func objects(m *policy.Model) ([]policy.Change, error) {
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
		if o.Host != nil { // each has its say, whether or not its interface is known
			v := *o
			v.Interface = o.Key.Name
			o = &v
		}
		errs = append(errs, add(o))
	}
	return changes, errors.Join(errs...)
}
