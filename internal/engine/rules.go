package engine

import (
	"github.com/tierwall/tierwall/internal/engine/l4"
	"github.com/tierwall/tierwall/policy"
)

// rule is a rule in force, seen from the local end: own is the local endpoint's
// side, peer the other one. Rules that say the same, and are the same rule of
// the same policy, share it.
type rule struct {
	ruleKey
	refs int
}

// ruleKey is all that a rule in force is, so that none can be forgotten where rules
// are told apart.
type ruleKey struct {
	l4.Rule
	dir       policy.Direction
	family    policy.Family
	own, peer uint32 // predicates; 0 is no demand
}

// matchesAll reports whether the rule matches every connection of the local
// endpoints at which it can match at all.
func (r *rule) matchesAll() bool { return r.peer == 0 && r.Match == l4.Match{} }

// ports returns what the rule demands of the port at the own side, or at the peer's.
func (r *rule) ports(own bool) l4.Ports {
	if own == (r.dir == policy.Egress) {
		return r.Src
	}
	return r.Dst
}

// names lists the names of ports that are looked up at the own side, or at the peer's.
func (r *rule) names(own bool) []uint32 {
	var ids []uint32
	ports := r.ports(own)
	for _, l := range []*l4.PortList{ports.In, ports.NotIn} {
		if l != nil {
			ids = append(ids, l.Names...)
		}
	}
	return ids
}

// ruleTable holds the rules in force. Ids are not used twice: programs know
// their rules by them even while these are let go.
type ruleTable struct {
	byID  map[uint32]*rule
	byKey map[ruleKey]uint32
	last  uint32
}

func (t *ruleTable) at(id uint32) *rule { return t.byID[id] }

// compile puts the rules of a policy into force.
func (e *ruleset) compile(p *policy.Policy) *inForce {
	force := &inForce{}
	for _, dir := range policy.Directions {
		if !p.Types[dir] {
			continue
		}
		for i := range p.Rules[dir] {
			r := &p.Rules[dir][i]
			by := policy.Decider{Tier: p.Tier, Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rule: r.Index}
			force.rules[dir] = append(force.rules[dir], e.retainRule(dir, by, r))
		}
	}
	return force
}

// retainRule returns the rule in force that says what r says. HTTP it does not look at:
// requests are decided where they are known.
func (e *ruleset) retainRule(dir policy.Direction, by policy.Decider, r *policy.Rule) uint32 {
	key := ruleKey{dir: dir, family: r.Family, Rule: l4.Rule{Action: r.Action, By: by, Match: l4.Match{
		Protocol: l4.OptionalOf(r.Protocol), NotProtocol: l4.OptionalOf(r.NotProtocol),
		ICMP: l4.ICMPOf(r.ICMP), NotICMP: l4.ICMPOf(r.NotICMP),
		Src: l4.Ports{In: e.retainPorts(r.Source.Ports), NotIn: e.retainPorts(r.Source.NotPorts)},
		Dst: l4.Ports{In: e.retainPorts(r.Destination.Ports), NotIn: e.retainPorts(r.Destination.NotPorts)},
	}}}
	source, destination := e.retainPredicate(&r.Source), e.retainPredicate(&r.Destination)
	if dir == policy.Egress {
		key.own, key.peer = source, destination
	} else {
		key.own, key.peer = destination, source
	}
	t := &e.rules
	if id, ok := t.byKey[key]; ok {
		t.at(id).refs++
		e.releaseRuleParts(&key)
		return id
	}
	t.last++
	t.byID[t.last] = &rule{ruleKey: key, refs: 1}
	t.byKey[key] = t.last
	return t.last
}

func (e *ruleset) releaseRule(id uint32) {
	r := e.rules.at(id)
	if r.refs--; r.refs > 0 {
		return
	}
	delete(e.rules.byKey, r.ruleKey)
	e.releaseRuleParts(&r.ruleKey)
	delete(e.rules.byID, id)
}

func (e *ruleset) releaseRuleParts(key *ruleKey) {
	e.releasePredicate(key.own)
	e.releasePredicate(key.peer)
	for _, l := range []*l4.PortList{key.Src.In, key.Src.NotIn, key.Dst.In, key.Dst.NotIn} {
		e.releasePorts(l)
	}
}
