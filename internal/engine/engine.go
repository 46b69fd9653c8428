// Package engine computes the dataplane's tables from the model, and, for every
// change of the model, the smallest change of the tables.
//
// # Classes
//
// Policy never looks at an address, only at what is true of it: what labels its
// endpoint has, which named ports, which nets and network sets hold it. All
// addresses for which the same facts are true form one class, and rows of
// verdicts are computed for classes. The parts, from the input to the output:
//
//   - identity: the labels and named ports that endpoints share (identity.go)
//   - term: a selector that a rule uses, matched against identities and sets (terms.go)
//   - source: a list of nets that a rule gives or a set has (nets.go);
//     zone: the sources that hold an address (zones.go)
//   - atom: an identity within a zone; every address is of one atom (atoms.go)
//   - fact: a condition of a rule on one side of a connection (facts.go)
//   - class: the atoms of which the same facts are true (classes.go)
//   - program: the rules that apply to a local endpoint in one direction (programs.go)
//   - row: what a program says to a class (rows.go, regions.go)
//
// Only what some policy in force here needs exists: facts, terms and sources
// come and go with the policies that apply to a local endpoint.
//
// Inverted indexes (index.go) lead from a new selector to the label sets that it
// could match, and from a new label set to the selectors that could match it.
package engine

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Engine turns model changes into deltas. It is deterministic, does no I/O and
// is not safe for concurrent use.
type Engine struct {
	isLocal func(*policy.Endpoint) bool

	tiers      map[string]*policy.Tier
	policies   *policyTable
	endpoints  *endpointTable
	identities *identityTable
	sets       setTable
	terms      termTable
	facts      factTable
	sources    sourceTable
	zones      zoneTable
	rootZone   [2]uint32 // of 0.0.0.0/0 and ::/0
	atoms      *atomTable
	v4         *recordTable[[4]byte]
	v6         *recordTable[[16]byte]
	classes    classTable
	ports      portTable
	rules      ruleTable
	programs   programTable
	rows       rowTable
	deciders   deciderTable

	locals    map[policy.Key]*local
	byAddr    map[netip.Addr]*localAddr
	hosts     hostTable
	contested map[netip.Addr][]uint32 // of endpoints, where several claim an address: the first has it

	dirty   dirt
	scratch scratch
	out     *dataplane.Delta // of the flush under way
}

// scratch is space that is used again and again.
type scratch struct {
	terms, sig []uint32
	key        []byte
	addrs      []netip.Addr
}

// New makes an engine without any objects. isLocal says which endpoints it
// makes programs for; nil means all.
func New(isLocal func(*policy.Endpoint) bool) *Engine {
	if isLocal == nil {
		isLocal = func(*policy.Endpoint) bool { return true }
	}
	e := &Engine{
		isLocal:    isLocal,
		tiers:      map[string]*policy.Tier{},
		policies:   newPolicyTable(),
		endpoints:  newEndpointTable(),
		identities: newIdentityTable(),
		sets:       newSetTable(),
		terms:      newTermTable(),
		facts:      newFactTable(),
		sources: sourceTable{
			byKey: map[string]uint32{},
			nodes: &bart.Table[*netNode]{},
			hosts: map[netip.Addr][]uint32{},
			out:   map[netip.Prefix]dataplane.ClassID{},
		},
		zones:     zoneTable{byKey: map[string]uint32{}},
		atoms:     newAtomTable(),
		v4:        newRecordTable(hash4, netip.Addr.As4),
		v6:        newRecordTable(hash16, netip.Addr.As16),
		classes:   newClassTable(),
		ports:     newPortTable(),
		rules:     ruleTable{byID: map[uint32]*rule{}, byKey: map[ruleKey]uint32{}},
		programs:  programTable{byID: map[uint32]*program{}, byKey: map[programKey]uint32{}},
		rows:      newRowTable(),
		deciders:  deciderTable{byID: map[dataplane.DeciderID]*deciderEntry{}, byKey: map[dataplane.Decider]dataplane.DeciderID{}},
		locals:    map[policy.Key]*local{},
		byAddr:    map[netip.Addr]*localAddr{},
		hosts:     newHostTable(),
		contested: map[netip.Addr][]uint32{},
		dirty:     newDirt(),
	}
	for _, p := range roots {
		n := &netNode{prefix: p}
		e.sources.nodes.Insert(p, n)
		e.enterZone(n, e.zoneOf(policy.FamilyOf(p.Addr()), nil))
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

// remove takes out the object of the key, whatever it is.
func (e *Engine) remove(key policy.Key) {
	if key.Kind == policy.KindTier {
		e.setTier(key.Name, nil)
		return
	}
	if e.policies.find(hashKey(key)) != 0 {
		e.setPolicy(key, nil)
		return
	}
	if _, ok := e.sets.byKey[key]; ok {
		e.setSet(key, nil)
		return
	}
	e.setEndpoint(key, nil)
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
	e.dirty.tiers = true
}
