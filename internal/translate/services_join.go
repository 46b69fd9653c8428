package translate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// replaceService brings the services to what an object of theirs now means.
func (t *Translator) replaceService(o *object, was, now any) {
	if s, ok := was.(*endpointSlice); ok && s.service.Name != "" {
		delete(t.services.touch(s.service).slices, o.key.Name)
	}
	if s, ok := now.(*endpointSlice); ok && s.service.Name != "" {
		t.services.touch(s.service).slices[o.key.Name] = s
	}
	if o.key.Kind == policy.KindService {
		t.services.touch(o.key).object, _ = now.(*serviceObject)
	}
}

// useServices notes which services a policy refers to.
func (t *Translator) useServices(o *object, services []policy.Key) {
	use := t.services.uses[o]
	if use != nil {
		for _, key := range use.services {
			delete(t.services.touch(key).users, o)
		}
		if use.expanded != "" {
			t.policies.Release(use.expanded)
		}
		delete(t.services.uses, o)
	}
	if len(services) == 0 {
		return
	}
	for _, key := range services {
		t.services.touch(key).users[o] = struct{}{}
	}
	t.services.uses[o] = &serviceUse{services: services}
}

// settleServices brings the sets of services that changed to what they now are,
// and marks the policies whose rules are others because of that.
func (t *Translator) settleServices() {
	byKey := func(a, b *service) int { return a.key.Compare(b.key) }
	for _, s := range slices.SortedFunc(maps.Keys(t.services.dirty), byKey) {
		var groups []endpointGroup
		var sets []*policy.Set
		if len(s.users) > 0 {
			endpoints := s.endpoints()
			groups = groupByPorts(endpoints, s.declared())
			sets = s.setsOf(endpoints, groups)
		}
		samePorts := slices.EqualFunc(groups, s.groups, func(a, b endpointGroup) bool { return slices.Equal(a.ports, b.ports) })
		if exists := s.isThere(); !samePorts || exists != s.exists {
			s.exists = exists
			for o := range s.users {
				t.step.dirty[o] = struct{}{}
			}
		}
		for i := range groups {
			groups[i].addrs = nil // they are in the sets
		}
		s.groups = groups
		t.replaceSets(s.sets, sets)
		s.sets = sets
		if len(s.users) == 0 && !s.isThere() {
			delete(t.services.byKey, s.key)
		}
	}
	clear(t.services.dirty)
}

// replaceSets returns out what is not as it was.
func (t *Translator) replaceSets(was, now []*policy.Set) {
	before := map[policy.Key]*policy.Set{}
	for _, s := range was {
		before[s.Key] = s
	}
	for _, s := range now {
		old := before[s.Key]
		delete(before, s.Key)
		if old == nil || !slices.Equal(old.Nets, s.Nets) {
			t.step.change(policy.Change{Key: s.Key, Object: s})
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(before), policy.Key.Compare) {
		t.step.change(policy.Change{Key: key})
	}
}

// withServices returns a policy with the rules that its services come to, and notes
// which of these there are not.
func (t *Translator) withServices(o *object, packed compact.Packed) compact.Packed {
	use := t.services.uses[o]
	if use == nil {
		return packed
	}
	o.wrong(func(tr *trouble) { tr.unjoined = t.missingServices(o, use.services) })
	expanded := t.policies.Pack(t.expand(t.policies.Unpack(packed)))
	if use.expanded != "" {
		t.policies.Release(use.expanded)
	}
	use.expanded = expanded
	return expanded
}

// missingServices says which of the services that a policy refers to there are not.
func (t *Translator) missingServices(o *object, keys []policy.Key) []store.Finding {
	var out []store.Finding
	for _, key := range keys {
		if s := t.services.byKey[key]; s != nil && s.isThere() {
			continue
		}
		r := store.Resource{Key: o.key, Origin: o.origin}
		f := r.At("", "refers to service %s/%s, which does not exist, so that what refers to it matches nothing%s",
			key.Namespace, key.Name, suggest.DidYouMean(key.Name, t.services.namesIn(key.Namespace)))
		f.Note = true
		out = append(out, f)
	}
	return out
}

// expand puts in the place of each rule whose destination is a service one for
// each protocol of each set of ports that its endpoints have. A rule of a service
// without endpoints stays as it is, and matches nothing. The policy is changed.
func (t *Translator) expand(p *policy.Policy) *policy.Policy {
	for dir, rules := range p.Rules {
		if !slices.ContainsFunc(rules, func(r policy.Rule) bool { return isServiceTemplate(&r) }) {
			continue
		}
		var out []policy.Rule
		for i := range rules {
			if !isServiceTemplate(&rules[i]) {
				out = append(out, rules[i])
				continue
			}
			out = append(out, t.expandRule(&rules[i])...)
		}
		p.Rules[dir] = out
	}
	return p
}

// isServiceTemplate reports whether the destination of a rule is a service.
func isServiceTemplate(r *policy.Rule) bool {
	e := r.Destination.Set
	return e != nil && e.Internal && serviceOf(e) != (policy.Key{})
}

// expandRule returns what a rule to a service comes to.
func (t *Translator) expandRule(r *policy.Rule) []policy.Rule {
	var out []policy.Rule
	key := serviceOf(r.Destination.Set)
	s := t.services.byKey[key]
	if s == nil {
		return []policy.Rule{*r}
	}
	groups := s.groups
	if s.derived != nil {
		groups = s.derived
	}
	for i := range groups {
		g := &groups[i]
		to := serviceEntities(labelServicePorts, key, g.text())
		to.DNSLearned = r.Destination.Set.DNSLearned
		for rest := g.ports; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(p servicePort) bool { return p.protocol != rest[0].protocol })
			if n < 0 {
				n = len(rest)
			}
			if r.Protocol == nil || *r.Protocol == rest[0].protocol {
				one := *r
				protocol := rest[0].protocol
				one.Protocol = &protocol
				one.Destination.Set, one.Destination.Ports = to, &policy.Ports{}
				for _, p := range rest[:n] {
					one.Destination.Ports.Ranges = append(one.Destination.Ports.Ranges, policy.PortRange{First: p.port, Last: p.port})
				}
				out = append(out, one)
			}
			rest = rest[n:]
		}
	}
	if out == nil {
		return []policy.Rule{*r}
	}
	return out
}

// eachServiceSet visits the sets of services in the model.
func (t *Translator) eachServiceSet(visit func(*policy.Set)) {
	for _, key := range slices.SortedFunc(maps.Keys(t.services.byKey), policy.Key.Compare) {
		for _, set := range t.services.byKey[key].sets {
			visit(set)
		}
	}
}

// deriveServices returns services without EndpointSlices the endpoints of the model
// that they select, as a cluster would. For an analysis: manifests have no slices.
func (t *Translator) deriveServices(m *policy.Model) {
	affected := map[policy.Key]bool{} // policies
	for _, s := range t.services.byKey {
		s.derived = nil
		if len(s.users) == 0 || s.object == nil || len(s.object.selector) == 0 || len(s.slices) > 0 {
			continue
		}
		of := map[netip.Addr][]servicePort{}
		for _, ep := range m.Endpoints {
			if s.selects(ep) {
				for _, a := range ep.Addrs {
					of[a] = s.portsOf(ep)
				}
			}
		}
		s.derived = groupByPorts(of, s.declared())
		ours := func(set *policy.Set) bool { return slices.Contains(s.sets, set) }
		m.Sets = append(slices.DeleteFunc(m.Sets, ours), s.setsOf(of, s.derived)...)
		for o := range s.users {
			affected[o.key] = true
		}
	}
	for i, p := range m.Policies {
		if packed, ok := t.meaningOf(p.Key).(compact.Packed); ok && affected[p.Key] {
			m.Policies[i] = t.expand(t.policies.Unpack(packed))
		}
	}
	slices.SortFunc(m.Sets, func(a, b *policy.Set) int { return a.Key.Compare(b.Key) })
}

func (t *Translator) meaningOf(key policy.Key) any {
	if o := t.objects[key]; o != nil {
		return o.means
	}
	return nil
}

// selects reports whether an endpoint is one of the service's, by its labels.
func (s *service) selects(ep *policy.Endpoint) bool {
	if ep.Key.Namespace != s.key.Namespace || !isPod().Match(ep.Labels) {
		return false
	}
	for k, v := range s.object.selector {
		if got, found := ep.Labels.Get(ownKey(k)); !found || got != v {
			return false
		}
	}
	return true
}

// portsOf returns the service's ports at an endpoint.
func (s *service) portsOf(ep *policy.Endpoint) []servicePort {
	var ports []servicePort
	for _, p := range s.object.ports {
		if p.name == "" {
			ports = append(ports, p.servicePort)
			continue
		}
		for _, np := range ep.Ports {
			if np.Name == p.name && np.Protocol == p.protocol {
				ports = append(ports, servicePort{np.Protocol, np.Port})
				break
			}
		}
	}
	return sortedPorts(ports)
}

// derivedNotes says that endpoints of services are guessed.
func (t *Translator) derivedNotes() []store.Finding {
	var keys []policy.Key
	for key, s := range t.services.byKey {
		if s.derived != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, policy.Key.Compare)
	r := store.Resource{Key: keys[0], Origin: t.originOf(keys[0])}
	f := r.At("", "has no EndpointSlices here, so its endpoints are taken to be the pods that it selects")
	if len(keys) > 1 {
		f.Message += fmt.Sprintf("; the same holds of %d more", len(keys)-1)
	}
	f.Note = true
	return []store.Finding{f}
}
