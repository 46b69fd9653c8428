// Package engine computes the dataplane's tables from the model, and, for every
// change of the model, the smallest change of the tables.
//
// # Classes
//
// Policy never looks at an address, only at what is true of it: what labels its
// endpoint has, which named ports, which nets and network sets hold it. All
// addresses for which the same predicates are true form one class, and rows of
// verdicts are computed for classes. The parts, from the input to the output:
//
//   - identity: the labels and named ports that endpoints share (identity.go)
//   - cached selector: one that a rule uses, matched against identities and sets (selectors.go)
//   - prefix list: a list of nets that a rule gives or a set has (prefixlists.go);
//     prefix-list set: the lists that hold an address (prefixlistsets.go)
//   - equivalence cell: an identity within a prefix-list set; every address is in one (equivalencecells.go)
//   - predicate: a condition of a rule on one side of a connection (predicates.go)
//   - class: the cells of which the same predicates are true (classes.go)
//   - program: the rules that apply to a local endpoint in one direction (programs.go)
//   - row: what a program says to a class (cells.go, rows.go; package l4 makes it)
//
// Only what some policy in force here needs exists: predicates, cached selectors and
// prefix lists come and go with the policies that apply to a local endpoint.
//
// Inverted indexes (index.go) lead from a new selector to the label sets that it
// could match, and from a new label set to the selectors that could match it.
package engine

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Engine turns model changes into deltas. It is deterministic, does no I/O and
// is not safe for concurrent use.
//
// Its parts stand on four floors, each of which embeds the one below it and calls
// nothing above: what happens there is told upward by pending, which Flush works off.
type Engine struct {
	compiler
}

// selection is the lowest floor: which identities and network sets the selectors of
// rules match, and which prefix lists hold an address.
type selection struct {
	identities        *identityTable
	sets              setTable
	selectors         selectorTable
	prefixLists       prefixListTable
	prefixListSets    prefixListSetTable
	rootPrefixListSet [2]uint32 // of 0.0.0.0/0 and ::/0

	pending pending
	scratch scratch
}

// addressing is the floor above: which endpoint owns an address, and which
// equivalence cell it is in.
type addressing struct {
	selection
	endpoints        *endpointTable
	conflicts        map[netip.Addr][]uint32 // endpoints that have one address at once: the first owns it
	v4               *recordTable[[4]byte]
	v6               *recordTable[[16]byte]
	equivalenceCells *equivalenceCellTable
	classes          classTable
}

// ruleset is the third floor: the policies and rules in force, what they ask of
// addresses, and the classes of addresses that follow.
type ruleset struct {
	addressing
	tiers      map[string]*policy.Tier
	policies   *policyTable
	profiles   map[string]*profileEntry
	ports      portTable
	rules      ruleTable
	predicates predicateTable
	locals     map[policy.Key]*local
	hosts      hostTable
	world      [2][]uint32      // predicates of the addresses of a family that nothing else is known of; see rootbase.go
	out        *dataplane.Delta // of the flush under way
}

// compiler is the fourth floor: the programs of local endpoints and hosts, and their
// rows.
type compiler struct {
	ruleset
	isLocal  func(*policy.Endpoint) bool
	byAddr   map[netip.Addr]*localAddr
	programs programTable
	rows     rowTable
	ruleRefs ruleRefTable
}

// scratch is space that is used again and again.
type scratch struct {
	selectors, sig []uint32
	key            []byte
	addrs          []netip.Addr
}

// New makes an engine without any objects. isLocal says which endpoints it
// makes programs for; nil means all.
func New(isLocal func(*policy.Endpoint) bool) *Engine {
	if isLocal == nil {
		isLocal = func(*policy.Endpoint) bool { return true }
	}
	e := &Engine{compiler{
		isLocal:  isLocal,
		byAddr:   map[netip.Addr]*localAddr{},
		programs: programTable{byID: map[uint32]*program{}, byKey: map[programKey]uint32{}},
		rows:     newRowTable(),
		ruleRefs: newRuleRefTable(),
		ruleset: ruleset{
			tiers:      map[string]*policy.Tier{},
			policies:   newPolicyTable(),
			profiles:   map[string]*profileEntry{},
			ports:      newPortTable(),
			rules:      ruleTable{byID: map[uint32]*rule{}, byKey: map[ruleKey]uint32{}},
			predicates: newPredicateTable(),
			locals:     map[policy.Key]*local{},
			hosts:      newHostTable(),
			addressing: addressing{
				endpoints:        newEndpointTable(),
				conflicts:        map[netip.Addr][]uint32{},
				v4:               newRecordTable(hash4, netip.Addr.As4),
				v6:               newRecordTable(hash16, netip.Addr.As16),
				equivalenceCells: newEquivalenceCellTable(),
				classes:          newClassTable(),
				selection: selection{
					identities:     newIdentityTable(),
					sets:           newSetTable(),
					selectors:      newSelectorTable(),
					prefixLists:    newPrefixListTable(),
					prefixListSets: prefixListSetTable{byKey: map[string]uint32{}},
					pending:        newPending(),
				},
			},
		},
	}}
	for _, p := range roots {
		n := &netNode{prefix: p}
		e.prefixLists.nodes.Insert(p, n)
		e.joinPrefixListSet(n, e.prefixListSetOf(policy.FamilyOf(p.Addr()), nil))
	}
	return e
}

// Apply takes changes in. Nothing comes out before Flush. The objects must not
// change afterwards. Deleting what is not there changes nothing.
func (e *Engine) Apply(changes ...policy.Change) {
	for _, c := range changes {
		switch obj := c.Object.(type) {
		case *policy.Tier:
			e.setTier(obj.Name, obj)
		case *policy.Policy:
			e.setPolicy(c.Key, obj)
		case *policy.Set:
			e.setSet(c.Key, obj)
		case *policy.Endpoint:
			e.setEndpoint(c.Key, obj)
		case nil:
			e.remove(c.Key)
		}
	}
}

// remove takes out the object of the key.
func (e *Engine) remove(key policy.Key) {
	switch key.ObjectType() {
	case policy.TierObject:
		e.setTier(key.Name, nil)
	case policy.PolicyObject:
		e.setPolicy(key, nil)
	case policy.SetObject:
		e.setSet(key, nil)
	case policy.EndpointObject:
		e.setEndpoint(key, nil)
	}
}

func (e *Engine) setTier(name string, t *policy.Tier) {
	old := e.tiers[name]
	if old == nil && t == nil || old != nil && t != nil && *old == *t {
		return
	}
	if t == nil {
		delete(e.tiers, name)
	} else {
		e.tiers[name] = t
	}
	e.pending.tiers = true
}
