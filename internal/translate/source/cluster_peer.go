package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// A peer that cannot be used, because it is wrong or of a kind that is not known
// here, does not take its policy out of force: whoever wrote a Deny would be left
// open. It fails closed instead. In a rule that accepts it is nobody; in one that
// denies or passes it is everybody, and they are denied, as the API demands: to pass
// everybody on would skip the denies that follow.

// failClosedPeer returns a peer that cannot be used, and the action of its rule.
func failClosedPeer(action policy.Action) (policy.Peer, policy.Action) {
	if action == policy.Allow {
		nobody := selector.Not(selector.All())
		return policy.Peer{Set: &policy.PeerSet{Selector: nobody, EndpointsOnly: true, AsWritten: policy.UnusablePeer{}}}, action
	}
	return policy.Peer{}, policy.Deny
}

// consequence says what a peer that cannot be used does.
func consequence(action policy.Action) string {
	if action == policy.Allow {
		return "until then it accepts nothing"
	}
	return "until then it stands for everything, which is denied"
}

// peer translates a peer, and reports whether it can be used. What is wrong with it
// leaves its policy in force.
func (c *clusterPolicy) peer(dir policy.Direction, field string, action policy.Action, in *clusterPeer, named bool) (policy.Peer, bool) {
	before := len(c.Problems)
	peer := c.usablePeer(dir, field, action, in, named)
	for i := range c.Problems[before:] {
		p := &c.Problems[before+i]
		p.failsClosed = true
		p.message += "; " + consequence(action)
	}
	return peer, len(c.Problems) == before
}

// usablePeer translates a peer, if it can be used.
func (c *clusterPolicy) usablePeer(dir policy.Direction, field string, action policy.Action, in *clusterPeer, named bool) policy.Peer {
	expected := "namespaces or pods"
	if dir == policy.Egress {
		expected = "namespaces, pods, nodes, networks or domainNames"
		if c.spec.tier == baselineTier && !c.spec.pass {
			expected = "namespaces, pods, nodes or networks"
		}
	}
	if !c.oneOf(field, in.fields(), expected) {
		return policy.Peer{}
	}
	if named && in.namespaces == nil && in.pods == nil {
		c.add(field, "has no named ports: name the rule's ports by number, or make a rule of its own for it")
	}
	switch {
	case in.networks != nil:
		return c.networks(field+".networks", in.networks)
	case in.nodes != nil:
		return c.nodes(field+".nodes", in.nodes)
	case in.domains != nil:
		return c.domainNames(field+".domainNames", action, in.domains)
	}
	peers := &policy.PeerSet{Selector: selector.And(c.selects(field, &in.clusterSubject)...), EndpointsOnly: true}
	if c.texts {
		peers.AsWritten = podsIn(&in.clusterSubject)
	}
	return policy.Peer{Set: peers}
}

// fields returns the names of the fields that are set.
func (p *clusterPeer) fields() []string {
	return namesOf(
		named{"namespaces", p.namespaces != nil}, named{"pods", p.pods != nil}, named{"nodes", p.nodes != nil},
		named{"networks", p.networks != nil}, named{"domainNames", p.domains != nil})
}

// networks translates CIDRs, which mean the addresses of pods as well.
func (c *clusterPolicy) networks(field string, texts []string) policy.Peer {
	if len(texts) == 0 {
		c.lacks(field, field, `is empty: expected at least one CIDR, such as "192.0.2.0/24"`)
	}
	c.most(field, len(texts), maxClusterNets, "CIDRs")
	return policy.Peer{Nets: c.nets(field, texts, false)}
}

// nodes translates a selector of nodes, which means their addresses.
func (c *clusterPolicy) nodes(field string, in *metav1.LabelSelector) policy.Peer {
	s := c.labels(field, in, func(key string) string { return key })
	peers, set := nodesPeerSet(s, policy.NodesPeer{Labels: labelsText(in)})
	c.sets = append(c.sets, set)
	return policy.Peer{Set: peers}
}

// domainNames translates names of domains.
func (c *clusterPolicy) domainNames(field string, action policy.Action, texts []string) policy.Peer {
	if len(texts) == 0 {
		c.lacks(field, field, `is empty: expected at least one name, such as "example.com" or "*.example.com"`)
	}
	c.most(field, len(texts), maxClusterDomain, "names")
	if action != policy.Allow {
		c.add(field, "is for %s rules only: which addresses a name has is only known once it was asked for", c.spec.accept)
		return policy.Peer{}
	}
	peers, set := domainsPeerSet(&c.Problems, field, texts, nil)
	if set != nil {
		c.sets = append(c.sets, set)
	}
	return policy.Peer{Set: peers}
}
