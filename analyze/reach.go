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

	// toOwnNode has what workloads send to their own node listed also where policy does
	// not decide about it.
	toOwnNode bool
}

// Reachability is who can reach whom on what. Pairs of which nothing is allowed
// are left out, and so are pairs of an end with itself.
type Reachability struct {
	// Pairs are ordered by source, then by destination: workloads by namespace, kind
	// and name, then hosts, then ranges of IPv4 and of IPv6, ascending, then domains.
	Pairs []Pair
	// Notes are what a reader has to know beside the pairs.
	Notes []Note

	// likeAnyAddress are destinations, domains, to which the same is allowed as to
	// addresses of no domain.
	likeAnyAddress map[*End]bool
}

// Pair is one end that can reach another one. Both, and what is allowed, are shared
// between pairs: read only.
type Pair struct {
	Src, Dst *End
	Allowed  Allowed // never empty
}

// MarshalJSON returns {"src", "dst", "domains", "allowed"}, where domains lists those
// of a destination that is domains.
func (p Pair) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Src     *End     `json:"src"`
		Dst     *End     `json:"dst"`
		Domains []string `json:"domains,omitempty"`
		Allowed Allowed  `json:"allowed"`
	}{p.Src, p.Dst, p.Dst.Domains.List(), p.Allowed})
}

// Reach computes who can reach whom: for every ordered pair of ends the
// connections that egress policy at the source, ingress policy at the destination
// and the host endpoints on the way all allow. It speaks of connections from the
// lowest ephemeral port, 49152, and a note says so where rules tell ephemeral ports
// apart. Connections between a node and the pods on it are listed only where policy decides
// what the pods send; else they are always allowed, or with Model.Host.EndpointToHost Deny those
// that pods begin never are. A connection that a host does not track is allowed if its answers
// are as well. An endpoint without addresses reaches nothing.
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
	placeholders, learned := withDomains(m, domains, opts.Known)
	given.Sets = append(slices.Clip(m.Sets), learned...)
	e := engine.New(nil)
	changes, err := objects(&given)
	if err != nil {
		return nil, err
	}
	e.Apply(changes...)
	delta := e.Flush()
	if delta == nil {
		delta = &dataplane.Delta{}
	}
	hosts := newHosts(m, delta.SetHosts)
	r := &reach{reading: newReading(newTables(delta, &http), hosts, false), placeholders: placeholders, allDomains: opts.AllDomains || domains != nil, allToOwnNode: opts.toOwnNode, seen: map[enforcement]bool{}}
	r.untracked = newAnswers(delta, hosts, &http)
	r.setClasses()
	r.setLinks(m)
	r.addRanges(m.Endpoints)
	r.addGroups(m.Endpoints, opts.Pods)
	pairs, likeAnyAddress := r.pairs()
	return &Reachability{Pairs: pairs, Notes: r.notes(m), likeAnyAddress: likeAnyAddress}, nil
}

// notes returns what a reader has to know beside the pairs.
func (r *reach) notes(m *policy.Model) []Note {
	notes := append(r.hosts.notes(m), r.placeholders.notes()...)
	if other := r.otherEphemeral(m); other != 0 {
		notes = append(notes, EphemeralPortsNote{Port: lowestEphemeral, Other: other})
	}
	return notes
}

// otherEphemeral returns the lowest ephemeral port that policy may treat differently from the
// lowest of all; 0 if there is none.
func (r *reach) otherEphemeral(m *policy.Model) uint16 {
	port := r.splitAt()
	if r.untracked == nil {
		return port
	}
	for _, f := range slices.Concat(m.Host.FailsafeIn, m.Host.FailsafeOut) {
		if f.Port >= lowestEphemeral {
			port = lowerSplit(port, max(f.Port, lowestEphemeral+1))
		}
	}
	return lowerSplit(port, r.untracked.splitAt)
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
