package agent

import (
	"encoding/binary"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// view is the part of the model that reports speak of, kept as changes come:
// reporting must not walk over a whole cluster. Of a policy, of which there may be
// ten thousand, it keeps what fits into a few bytes.
type view struct {
	node     string
	tiers    map[string]policy.Action // their default actions
	policies map[policy.Key]policyView
	locals   map[policy.Key]*policy.Endpoint // of this node, with addresses
	hosts    map[policy.Key]*policy.Endpoint // host endpoints of this node
	// self is this node as an object of the cluster; nil: there is none.
	self *corev1.Node
	// podNets are the networks that the cluster has given to this node's pods.
	podNets []netip.Prefix
}

// policyView is a policy in force.
type policyView struct {
	// generation is that of the version in force; 0 if the store has none.
	generation int64
	// actions are those of the source's rules, by direction: a rule's index, then
	// its action. Rules of one index have one action.
	actions [2]string
}

func newView(node string) *view {
	return &view{
		node:  node,
		tiers: map[string]policy.Action{}, policies: map[policy.Key]policyView{}, locals: map[policy.Key]*policy.Endpoint{},
		hosts: map[policy.Key]*policy.Endpoint{},
	}
}

// apply takes in what a translator's step changed, and reports whether local
// endpoints have other addresses.
func (v *view) apply(c policy.Change) (locals bool) {
	if c.Object == nil {
		delete(v.policies, c.Key)
		if c.Key.Kind == policy.KindTier {
			delete(v.tiers, c.Key.Name)
		}
	}
	old := v.locals[c.Key]
	delete(v.locals, c.Key)
	delete(v.hosts, c.Key)
	if ep, ok := isHost(c.Object, v.node); ok {
		v.hosts[c.Key] = ep
		return true // its interface may be another one
	}
	switch o := c.Object.(type) {
	case *policy.Tier:
		v.tiers[o.Name] = o.DefaultAction
	case *policy.Policy:
		v.policies[c.Key] = viewPolicy(o, v.policies[c.Key].generation)
	case *policy.Endpoint:
		if o.Node == v.node && len(o.Addrs) > 0 {
			v.locals[c.Key] = o
			return old == nil || old.Interface != o.Interface || !slices.Equal(old.Addrs, o.Addrs)
		}
	}
	return old != nil
}

// viewPolicy keeps of a policy what is asked for.
func viewPolicy(p *policy.Policy, generation int64) policyView {
	pv := policyView{generation: generation}
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
		pv.actions[dir] = string(actions)
	}
	return pv
}

// action returns what a rule of the source does.
func (p policyView) action(dir policy.Direction, rule int) string {
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

// noteVersions notes the generations of the policies of a batch that are in force
// now, and what became of this node.
func (a *agent) noteVersions(b store.Batch) {
	v := a.view
	for _, k := range b.Deleted {
		if k.Kind == policy.KindNode && k.Name == v.node {
			v.self, v.podNets = nil, nil
		}
	}
	for i := range b.Updated {
		r := &b.Updated[i]
		if n, ok := r.Object.(*corev1.Node); ok && n.Name == v.node {
			v.self, a.relink = n, true
			v.podNets = a.podNets(n)
		}
		p, ok := v.policies[r.Key]
		if !ok || a.translator.Status(r.Key).State != translate.InForce {
			continue
		}
		if meta, ok := r.Object.(metav1.Object); ok && meta.GetGeneration() != p.generation {
			p.generation = meta.GetGeneration()
			v.policies[r.Key] = p
		}
	}
}

// podNets reads the pod networks of a node.
func (a *agent) podNets(n *corev1.Node) []netip.Prefix {
	var nets []netip.Prefix
	for _, text := range append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...) {
		p, err := netip.ParsePrefix(text)
		switch {
		case err == nil && p.Bits() > 0 && !slices.Contains(nets, p):
			nets = append(nets, p)
		case err != nil && text != "" && a.cfg.DenyUnknown:
			a.log.Warn("a pod network of this node cannot be read", "podCIDR", text, "error", err)
		}
	}
	return nets
}

// action returns what a decider does, which its name does not tell; "unknown" for
// a rule that is just going away.
func (v *view) action(by policy.Decider, dir policy.Direction) string {
	switch {
	case by.Kind == policy.KindProfile && by.Name == "":
		return policy.Deny.String()
	case by.Kind == policy.KindProfile:
		return policy.Allow.String()
	case by.Rule == policy.EndOfTier:
		if action, ok := v.tiers[by.Tier]; ok {
			return action.String()
		}
		return "unknown"
	}
	return v.policies[policy.Key{Kind: by.Kind, Namespace: by.Namespace, Name: by.Name}].action(dir, by.Rule)
}
