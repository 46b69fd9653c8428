package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// The tiers of policy.networking.k8s.io.
const (
	adminTier    = "kube-admin"
	baselineTier = "kube-baseline"
)

// clusterSpec is what the policies of policy.networking.k8s.io say, of whatever
// generation: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy.
type clusterSpec struct {
	tier     string // of the model
	priority int32
	subject  clusterSubject
	rules    [2][]clusterRule // by policy.Direction

	// How the generation words it, and what it bounds lists with.
	accept string // the action that allows
	pass   bool   // there is the action Pass
	ports  string // the field of ports in a rule
	most   int    // rules of a direction, peers and ports of a rule
}

// clusterRule is a rule of either direction.
type clusterRule struct {
	name   string
	action string
	peers  []clusterPeer
	// portCount is -1 if the field of ports is not there. groups says what it means,
	// and notes what is wrong with it.
	portCount int
	groups    func(c *clusterPolicy, field string) []portGroup
	named     bool // a port is given by its name
}

// clusterPeer is a peer of either direction. One field is to be set; nil is none.
type clusterPeer struct {
	clusterSubject
	nodes    *metav1.LabelSelector
	networks []string
	domains  []string
}

// Bounds that all generations have.
const (
	maxPriority      = 1000
	maxClusterName   = 100
	maxClusterNets   = 25
	maxClusterDomain = 25
)

// clusterPolicy is a policy of policy.networking.k8s.io on its way into the model.
type clusterPolicy struct {
	kubernetesPolicy
	spec *clusterSpec
	sets []*policy.Set // that rules refer to: see Parsed.RuleSets
}

// translateClusterPolicy translates a policy, and returns the sets that its rules
// refer to; the result is meaningless if there are problems that do not fail closed.
// Peers say in words whom they mean if texts is set.
func translateClusterPolicy(key policy.Key, spec *clusterSpec, texts bool) (*policy.Policy, []*policy.Set, Problems) {
	c := &clusterPolicy{kubernetesPolicy: kubernetesPolicy{texts: texts}, spec: spec}
	c.name(key.Name)
	if spec.priority < 0 || spec.priority > maxPriority {
		c.add("spec.priority", "%d: expected a number from 0, which is asked first, to %d", spec.priority, maxPriority)
	}
	p := &policy.Policy{
		Key:      key,
		Tier:     spec.tier,
		Order:    float64(spec.priority),
		Selector: c.subject("spec.subject", &spec.subject),
	}
	for _, dir := range policy.Directions {
		field := "spec." + dir.String()
		c.most(field, len(spec.rules[dir]), spec.most, "rules")
		for i := range spec.rules[dir] {
			p.Rules[dir] = append(p.Rules[dir], c.rule(dir, at(field, i), i, &spec.rules[dir][i])...)
		}
		// A policy without rules of a direction does not affect it.
		p.Types[dir] = len(spec.rules[dir]) > 0
	}
	return p, c.sets, c.Problems
}

// subject translates what a policy applies to.
func (c *clusterPolicy) subject(field string, in *clusterSubject) *selector.Selector {
	switch {
	case in.namespaces != nil && in.pods != nil:
		c.add(field, "has both namespaces and pods: expected one of them")
	case in.namespaces == nil && in.pods == nil:
		c.lacks(field, field, "is empty: expected namespaces or pods; \"namespaces: {}\" is all pods")
	}
	return selector.And(c.selects(field, in)...)
}

// rule translates one source rule: a rule for each peer and each protocol, all
// with its index.
func (c *clusterPolicy) rule(dir policy.Direction, field string, index int, in *clusterRule) []policy.Rule {
	action := c.action(field+".action", in.action)
	if len(in.name) > maxClusterName {
		c.add(field+".name", "has %d characters: expected at most %d", len(in.name), maxClusterName)
	}
	list := field + ".from"
	if dir == policy.Egress {
		list = field + ".to"
	}
	if len(in.peers) == 0 {
		c.lacks(list, list, "is empty: expected at least one peer; \"namespaces: {}\" is all pods")
	}
	c.most(list, len(in.peers), c.spec.most, "peers")
	c.checkPorts(field, in)
	groups := in.groups(c, field+"."+c.spec.ports)

	var out, failClosed []policy.Rule
	for i := range in.peers {
		peer, understood := c.peer(dir, at(list, i), action, &in.peers[i], in.named)
		for _, g := range groups {
			r := policy.Rule{Index: index, Action: action, Protocol: g.protocol}
			if !understood {
				peer, r.Action = failClosedPeer(action)
			}
			if dir == policy.Ingress {
				r.Source = peer
			} else {
				r.Destination = peer
			}
			r.Destination.Ports = g.ports // the destination's, whoever the peer is
			if understood {
				out = append(out, r)
			} else {
				failClosed = append(failClosed, r)
			}
		}
	}
	// What is understood comes first: a peer that is not understood must not
	// keep a Pass from those that are.
	return append(out, failClosed...)
}

func (c *clusterPolicy) action(field, text string) policy.Action {
	known := []string{c.spec.accept, "Deny"}
	if c.spec.pass {
		known = append(known, "Pass")
	}
	c.word(field, text, known...)
	switch text {
	case c.spec.accept:
		return policy.Allow
	case "Pass":
		return policy.Pass
	}
	return policy.Deny
}

// checkPorts checks the list of ports as such.
func (c *clusterPolicy) checkPorts(field string, in *clusterRule) {
	list := field + "." + c.spec.ports
	if in.portCount == 0 {
		c.lacks(list, list, "is empty: leave it out to mean every port of every protocol")
	}
	c.most(list, in.portCount, c.spec.most, "items")
}
