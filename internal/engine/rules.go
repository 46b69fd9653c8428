package engine

import (
	"encoding/binary"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// rule is a rule in force, seen from the local end: own is the local endpoint's
// side, peer the other one. Rules that say the same, and are the same rule of
// the same policy, share it.
type rule struct {
	key    string
	refs   int
	by     policy.Decider
	action policy.Action
	family policy.Family

	protocol, notProtocol *policy.Protocol
	icmp, notICMP         *policy.ICMPMatch
	own, peer             uint32 // facts; 0 is no demand
	src, dst              portMatch
}

// portMatch is what a rule demands of one port. A nil list is no demand.
type portMatch struct {
	in, notIn *portList
	own       bool // names are looked up at the own side
}

type portList struct {
	ranges []dataplane.Range
	names  []uint32
}

// matchesAll reports whether the rule matches every connection of the local
// endpoints at which it can match at all.
func (r *rule) matchesAll() bool {
	return r.peer == 0 && r.protocol == nil && r.notProtocol == nil && r.icmp == nil && r.notICMP == nil &&
		r.src.in == nil && r.src.notIn == nil && r.dst.in == nil && r.dst.notIn == nil
}

// names lists the names that are looked up at the own side, or at the peer's.
func (r *rule) names(own bool) []uint32 {
	var ids []uint32
	for _, m := range []portMatch{r.src, r.dst} {
		if m.own != own {
			continue
		}
		for _, l := range []*portList{m.in, m.notIn} {
			if l != nil {
				ids = append(ids, l.names...)
			}
		}
	}
	return ids
}

// ruleTable holds the rules in force. Ids are not used twice: programs know
// their rules by them even while these are let go.
type ruleTable struct {
	byID  map[uint32]*rule
	byKey map[string]uint32
	last  uint32
}

func (t *ruleTable) at(id uint32) *rule { return t.byID[id] }

// compile puts the rules of a policy into force.
func (e *Engine) compile(en *policyEntry) {
	p := en.policy
	en.force = &inForce{}
	for _, dir := range policy.Directions {
		if !p.Types[dir] {
			continue
		}
		for i := range p.Rules[dir] {
			r := &p.Rules[dir][i]
			by := policy.Decider{Tier: p.Tier, Kind: p.Key.Kind, Namespace: p.Key.Namespace, Name: p.Key.Name, Rule: r.Index}
			en.force.rules[dir] = append(en.force.rules[dir], e.holdRule(dir, by, r))
		}
	}
}

// holdRule returns the rule in force that says what r says.
func (e *Engine) holdRule(dir policy.Direction, by policy.Decider, r *policy.Rule) uint32 {
	in := &rule{
		by: by, action: r.Action, family: r.Family, refs: 1,
		protocol: r.Protocol, notProtocol: r.NotProtocol, icmp: r.ICMP, notICMP: r.NotICMP,
		src: portMatch{in: e.holdPorts(r.Source.Ports), notIn: e.holdPorts(r.Source.NotPorts)},
		dst: portMatch{in: e.holdPorts(r.Destination.Ports), notIn: e.holdPorts(r.Destination.NotPorts)},
	}
	source, destination := e.holdFact(&r.Source), e.holdFact(&r.Destination)
	if dir == policy.Egress {
		in.own, in.peer, in.src.own = source, destination, true
	} else {
		in.own, in.peer, in.dst.own = destination, source, true
	}
	in.key = in.encode(dir)
	if id, ok := e.rules.byKey[in.key]; ok {
		e.rules.at(id).refs++
		e.releaseRuleParts(in)
		return id
	}
	e.rules.last++
	e.rules.byID[e.rules.last] = in
	e.rules.byKey[in.key] = e.rules.last
	return e.rules.last
}

func (e *Engine) releaseRule(id uint32) {
	r := e.rules.at(id)
	if r.refs--; r.refs > 0 {
		return
	}
	delete(e.rules.byKey, r.key)
	e.releaseRuleParts(r)
	delete(e.rules.byID, id)
}

func (e *Engine) releaseRuleParts(r *rule) {
	e.releaseFact(r.own)
	e.releaseFact(r.peer)
	for _, name := range slices.Concat(r.names(true), r.names(false)) {
		e.releaseName(name)
	}
}

func (e *Engine) holdPorts(p *policy.Ports) *portList {
	if p == nil {
		return nil
	}
	l := &portList{}
	for _, r := range p.Ranges {
		l.ranges = append(l.ranges, dataplane.Range(r))
	}
	for _, name := range p.Names {
		l.names = append(l.names, e.holdName(name))
	}
	return l
}

// encode returns the rule as bytes: equal bytes, equal rule.
func (r *rule) encode(dir policy.Direction) string {
	b := []byte{byte(dir), byte(r.action), byte(r.family)}
	for _, s := range []string{r.by.Tier, r.by.Kind, r.by.Namespace, r.by.Name} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(r.by.Rule))
	b = appendOptional(b, (*uint8)(r.protocol))
	b = appendOptional(b, (*uint8)(r.notProtocol))
	for _, m := range []*policy.ICMPMatch{r.icmp, r.notICMP} {
		if m == nil {
			b = append(b, 0)
			continue
		}
		b = appendOptional(append(b, 1), m.Type)
		b = appendOptional(b, m.Code)
	}
	b = binary.LittleEndian.AppendUint32(b, r.own)
	b = binary.LittleEndian.AppendUint32(b, r.peer)
	for _, l := range []*portList{r.src.in, r.src.notIn, r.dst.in, r.dst.notIn} {
		if l == nil {
			b = append(b, 0)
			continue
		}
		b = binary.LittleEndian.AppendUint32(append(b, 1), uint32(len(l.ranges)))
		for _, rg := range l.ranges {
			b = binary.LittleEndian.AppendUint16(b, rg.First)
			b = binary.LittleEndian.AppendUint16(b, rg.Last)
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(l.names)))
		for _, n := range l.names {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
	}
	return string(b)
}

func appendOptional(b []byte, v *uint8) []byte {
	if v == nil {
		return append(b, 0)
	}
	return append(b, 1, *v)
}
