package model

import (
	"encoding/binary"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// summary is the part of the model that reports speak of, kept as changes come:
// reporting must not walk over a whole cluster. Of a policy, of which there may be
// ten thousand, it keeps what fits into a few bytes.
type summary struct {
	node     string
	tiers    map[string]policy.Action // their default actions
	policies map[policy.Key]policySummary
	locals   map[policy.Key]*policy.Endpoint // of this node, with addresses
	hosts    map[policy.Key]*policy.Endpoint // host endpoints of this node
	// pending are the generations of versions of policies that are not in force. One that waits
	// for its tier will be without coming again.
	pending map[policy.Key]int64
}

// policySummary is a policy in force.
type policySummary struct {
	// generation is that of the version in force; 0 if the store has none.
	generation int64
	// actions are those of the source's rules, by direction: a rule's index, then
	// its action. Rules of one index have one action.
	actions [2]string
}

func newSummary(node string) *summary {
	return &summary{
		node:  node,
		tiers: map[string]policy.Action{}, policies: map[policy.Key]policySummary{}, locals: map[policy.Key]*policy.Endpoint{},
		hosts: map[policy.Key]*policy.Endpoint{}, pending: map[policy.Key]int64{},
	}
}

// apply takes in a change of the model, and reports whether local endpoints have other
// addresses.
func (s *summary) apply(c policy.Change) (local bool) {
	if c.Object == nil {
		switch c.Key.ObjectType() {
		case policy.TierObject:
			delete(s.tiers, c.Key.Name)
		case policy.PolicyObject:
			delete(s.policies, c.Key)
		}
	}
	old := s.locals[c.Key]
	delete(s.locals, c.Key)
	delete(s.hosts, c.Key)
	if ep, ok := isHost(c.Object, s.node); ok {
		s.hosts[c.Key] = ep
		return true // its interface may be another one
	}
	switch o := c.Object.(type) {
	case *policy.Tier:
		s.tiers[o.Name] = o.DefaultAction
	case *policy.Policy:
		if c.Key.Kind == policy.KindProfile && policy.IsReservedProfile(c.Key.Name) {
			break // it is there by itself, and no object to report
		}
		s.policies[c.Key] = summarize(o, s.policies[c.Key].generation)
	case *policy.Endpoint:
		if o.Node == s.node && len(o.Addrs) > 0 {
			s.locals[c.Key] = o
			return old == nil || old.Interface != o.Interface || !slices.Equal(old.Addrs, o.Addrs)
		}
	}
	return old != nil
}

// summarize keeps of a policy what is asked for.
func summarize(p *policy.Policy, generation int64) policySummary {
	ps := policySummary{generation: generation}
	for _, dir := range policy.Directions {
		var actions []byte
		last := -1
		for _, r := range p.Rules[dir] {
			if r.Index == last {
				continue // one rule of the source may be several of the model
			}
			last = r.Index
			actions = binary.AppendUvarint(actions, uint64(r.Index)) //nolint:gosec // an index
			actions = append(actions, byte(r.Action))
		}
		ps.actions[dir] = string(actions)
	}
	return ps
}

// action returns what a rule of the source does.
func (p policySummary) action(dir policy.Direction, rule int) string {
	for rest := []byte(p.actions[dir]); len(rest) > 0; {
		index, n := binary.Uvarint(rest)
		if n <= 0 || n >= len(rest) {
			break
		}
		if int(index) == rule { //nolint:gosec // it was an int
			return policy.Action(rest[n]).String()
		}
		rest = rest[n+1:]
	}
	return "unknown"
}

// setGenerations notes the generations of the policies that are in force now, be it of the batch or
// of one before.
func (s *summary) setGenerations(b store.Batch, t *translate.Translator) {
	for i := range b.Updated {
		r := &b.Updated[i]
		if r.Key.ObjectType() != policy.PolicyObject {
			continue
		}
		if meta, ok := r.Object.(metav1.Object); ok {
			s.pending[r.Key] = meta.GetGeneration()
		}
	}
	for _, key := range b.Deleted {
		delete(s.pending, key)
	}
	for key, generation := range s.pending {
		switch t.Status(key).State {
		case translate.InForce:
			if p, ok := s.policies[key]; ok && p.generation != generation {
				p.generation = generation
				s.policies[key] = p
			}
		case translate.LastValid, translate.NotInForce:
			continue
		}
		delete(s.pending, key)
	}
}

// action returns what a decider does, which its name does not tell; "unknown" for
// a rule that is just going away.
func (s *summary) action(by policy.Decider, dir policy.Direction) string {
	switch {
	case by.Kind == policy.KindProfile && by.Rule == policy.EndOfTier:
		return policy.Deny.String()
	case by.Kind == policy.KindProfile && policy.IsReservedProfile(by.Name):
		return policy.Allow.String()
	case by.Rule == policy.EndOfTier:
		if action, ok := s.tiers[by.Tier]; ok {
			return action.String()
		}
		return "unknown"
	}
	return s.policies[policy.Key{Kind: by.Kind, Namespace: by.Namespace, Name: by.Name}].action(dir, by.Rule)
}
