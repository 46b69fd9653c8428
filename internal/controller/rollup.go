package controller

import (
	"slices"
	"strings"
	"time"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/policy"
)

// rollups adds up what the agents of all nodes report, by policy. A report that
// changes costs what it holds, not what all hold.
type rollups struct {
	nodes    map[string]*node
	policies map[policy.Key]*rollup
	cut      int // nodes with more policies than a report holds
	overdue  int // nodes whose report is not renewed
}

func newRollups() *rollups {
	return &rollups{nodes: map[string]*node{}, policies: map[policy.Key]*rollup{}}
}

// node is what the agent of a node reports of policies that have a status.
type node struct {
	err     string
	version string    // of the report
	seen    time.Time // when that was first seen, by this controller's clock
	renews  bool      // the agent is one that renews its report
	overdue bool      // it has not for too long
	cut     bool      // there are more policies than the report holds
	entries map[*rollup]entry
	invalid map[*rollup]string // why the node calls a policy invalid
	// notEnforceable is why policy is not in force for some endpoints there.
	notEnforceable []v1alpha1.NotEnforceable
}

// entry is a policy in force on a node.
type entry struct {
	generation     int64
	endpoints      int32
	notEnforceable int32 // endpoints beside, on which it is not in force
}

// isBlind reports whether the policy is in force on none of the endpoints that it applies to there.
func (e entry) isBlind() bool { return e.endpoints == 0 && e.notEnforceable > 0 }

// rollup is what all nodes report of one policy.
type rollup struct {
	key         policy.Key
	generations []inForce // few: one, or two while a change spreads
	invalidOn   int       // nodes that call it invalid
}

// inForce is how far one generation of a policy is in force.
type inForce struct {
	generation       int64
	nodes, endpoints int
	blind            int // of the nodes, those where it is in force on no endpoint
	notEnforceable   int // endpoints
}

// set takes in the report of a node and returns the policies whose rollup is
// another one now.
func (s *rollups) set(name, version string, r *v1alpha1.Report, at time.Time) []policy.Key {
	now := &node{version: version, seen: at, renews: !r.Renewed.IsZero(), err: r.Error, cut: r.Truncated, notEnforceable: r.NotEnforceable, entries: make(map[*rollup]entry, len(r.Policies))}
	for i := range r.Policies {
		p := &r.Policies[i]
		if of := s.of(p.Kind, p.Namespace, p.Name); of != nil {
			now.entries[of] = entry{p.Generation, max(0, p.Endpoints), max(0, p.NotEnforceable)}
		}
	}
	for i := range r.Invalid {
		p := &r.Invalid[i]
		if of := s.of(p.Kind, p.Namespace, p.Name); of != nil {
			if now.invalid == nil {
				now.invalid = map[*rollup]string{}
			}
			now.invalid[of] = p.Message
		}
	}
	before := s.nodes[name]
	if before != nil && before.version == version && version != "" { // all reports were read anew
		now.seen, now.overdue = before.seen, before.overdue
	}
	s.nodes[name] = now
	return s.replace(before, now)
}

// lookForOverdue notes which reports are not renewed, and reports whether any are now and were not
// before, or the other way round.
func (s *rollups) lookForOverdue(at time.Time) (changed bool) {
	limit, before := v1alpha1.OverdueAfter(len(s.nodes)), s.overdue
	s.overdue = 0
	for _, n := range s.nodes {
		if n.overdue = n.renews && at.Sub(n.seen) > limit; n.overdue {
			s.overdue++
		}
	}
	return (before > 0) != (s.overdue > 0)
}

// remove forgets a node.
func (s *rollups) remove(name string) []policy.Key {
	before := s.nodes[name]
	delete(s.nodes, name)
	return s.replace(before, nil)
}

// of returns the rollup of a policy, making it if it is new; nil for a kind whose
// status does not count.
func (s *rollups) of(kind, namespace, name string) *rollup {
	if k := kindOf[kind]; k == nil || !k.Status.CountsNodes() {
		return nil
	}
	key := policy.Key{Kind: kind, Namespace: namespace, Name: name}
	of := s.policies[key]
	if of == nil {
		of = &rollup{key: key}
		s.policies[key] = of
	}
	return of
}

// replace puts what a node reports in the place of what it reported; nil is nothing.
func (s *rollups) replace(before, now *node) []policy.Key {
	if before == nil {
		before = &node{}
	}
	if now == nil {
		now = &node{}
	}
	if before.cut {
		s.cut--
	}
	if now.cut {
		s.cut++
	}
	changed := map[*rollup]bool{}
	for of, e := range now.entries {
		if was, found := before.entries[of]; !found || was != e {
			of.add(e, 1)
			changed[of] = true
		} else if before.err != now.err {
			changed[of] = true
		}
	}
	for of, e := range before.entries {
		if is, found := now.entries[of]; !found || is != e {
			of.add(e, -1)
			changed[of] = true
		}
	}
	for of, message := range now.invalid {
		was, found := before.invalid[of]
		if !found {
			of.invalidOn++
		}
		if !found || was != message {
			changed[of] = true
		}
	}
	for of := range before.invalid {
		if _, found := now.invalid[of]; !found {
			of.invalidOn--
			changed[of] = true
		}
	}
	keys := make([]policy.Key, 0, len(changed))
	for of := range changed {
		keys = append(keys, of.key)
		if len(of.generations) == 0 && of.invalidOn == 0 {
			delete(s.policies, of.key)
		}
	}
	return keys
}

// add adds a node's entry n times: once, or once less.
func (s *rollup) add(e entry, n int) {
	i := slices.IndexFunc(s.generations, func(f inForce) bool { return f.generation == e.generation })
	if i < 0 {
		s.generations = append(s.generations, inForce{generation: e.generation})
		i = len(s.generations) - 1
	}
	f := &s.generations[i]
	f.nodes += n
	f.endpoints += n * int(e.endpoints)
	f.notEnforceable += n * int(e.notEnforceable)
	if e.isBlind() {
		f.blind += n
	}
	if f.nodes == 0 {
		s.generations = slices.Delete(s.generations, i, i+1)
	}
}

// rollout is how far one generation of a policy is in force.
type rollout struct {
	endpoints, nodes int
	other            int  // nodes on which another generation is in force
	otherEndpoints   int  // and on how many endpoints there
	invalidOn        int  // nodes that call the policy invalid
	cut              int  // nodes with more policies than they can report
	overdue          bool // some nodes do not renew what they report
	// notEnforceable is how many endpoints it applies to and is not in force on, blind on how many nodes that are all.
	notEnforceable, blind int
	// nodeError names a node that does not enforce the generation and says why not;
	// zero if none does.
	nodeError nodeError
}

// nodeError is why a node does not enforce something.
type nodeError struct{ node, message string }

// rollout sums up a policy.
func (s *rollups) rollout(key policy.Key, generation int64) rollout {
	of := s.policies[key]
	if of == nil {
		return rollout{cut: s.cut, overdue: s.overdue > 0}
	}
	t := rollout{invalidOn: of.invalidOn, cut: s.cut, overdue: s.overdue > 0}
	for _, f := range of.generations {
		if f.generation == generation {
			t.nodes, t.endpoints = f.nodes-f.blind, f.endpoints
			t.notEnforceable, t.blind = f.notEnforceable, f.blind
		} else {
			t.other += f.nodes
			t.otherEndpoints += f.endpoints
		}
	}
	if t.other > 0 || t.invalidOn > 0 || t.notEnforceable > 0 {
		t.nodeError = s.firstError(of, generation)
	}
	return t
}

// isWhole reports whether a generation of a policy is in force wherever any is.
func (s *rollups) isWhole(key policy.Key, generation int64) bool {
	of := s.policies[key]
	return of != nil && of.invalidOn == 0 && len(of.generations) == 1 && of.generations[0].generation == generation
}

// firstError looks for the first node by name that says why it does not enforce the
// generation. It goes through all nodes, which is rarely needed.
func (s *rollups) firstError(of *rollup, generation int64) nodeError {
	var first nodeError
	note := func(name, message string) {
		if message != "" && (first.node == "" || strings.Compare(name, first.node) < 0) {
			first = nodeError{name, message}
		}
	}
	for name, n := range s.nodes {
		if message, invalid := n.invalid[of]; invalid {
			note(name, message)
		} else if e, found := n.entries[of]; found && (e.generation != generation || e.notEnforceable > 0) {
			note(name, n.err)
		}
	}
	return first
}

// failing counts the nodes that report an error.
func (s *rollups) failing() int {
	count := 0
	for _, n := range s.nodes {
		if n.err != "" {
			count++
		}
	}
	return count
}
