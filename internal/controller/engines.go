package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Other engines that enforce policy run as DaemonSets, a cloud's own among them. Agents see what they do to a node
// (agent/enforceable); here they are seen where an agent cannot, and as one finding for the cluster.

// engineSets are well-known names of DaemonSets, and whose they are.
var engineSets = map[string]string{
	"calico-node":           "Calico",
	"canal":                 "Calico",
	"cilium":                "Cilium",
	"anetd":                 "Cilium (GKE Dataplane V2)",
	"antrea-agent":          "Antrea",
	"ovnkube-node":          "OVN-Kubernetes",
	"kube-ovn-cni":          "Kube-OVN",
	"kube-router":           "kube-router",
	"weave-net":             "Weave Net",
	"azure-npm":             "Azure Network Policy Manager",
	"terway-eniip":          "Terway",
	"kube-network-policies": "kube-network-policies",
}

const reasonSecondEngine = "SecondPolicyEngine"

// daemonSet is one that enforces policy.
type daemonSet struct {
	namespace, name string
	uid             types.UID
}

// problem says what it means that it is there.
func (d daemonSet) problem() nodeProblem {
	return nodeProblem{
		about:  corev1.ObjectReference{APIVersion: "apps/v1", Kind: "DaemonSet", Namespace: d.namespace, Name: d.name, UID: d.uid},
		reason: reasonSecondEngine,
		message: fmt.Sprintf("%s enforces policy in this cluster, too, unless its policies are switched off: what tierwall allows it may deny, and its programs may see packets first",
			engineSets[d.name]),
	}
}

// engines lists the DaemonSets that enforce policy.
func (c *client) engines(ctx context.Context) ([]daemonSet, error) {
	list, err := c.metadata(ctx, "apis", "apps", "v1", "daemonsets")
	if err != nil {
		return nil, fmt.Errorf("daemonsets: %w", err)
	}
	var out []daemonSet
	for i := range list {
		if d := &list[i]; engineSets[d.Name] != "" {
			out = append(out, daemonSet{d.Namespace, d.Name, d.UID})
		}
	}
	return out, nil
}

func (n *nodes) setEngines(list []daemonSet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.engines = list
}

// otherEngines returns whose DaemonSets there are, each once, in order.
func (n *nodes) otherEngines() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []string
	for _, d := range n.engines {
		names = append(names, engineSets[d.name])
	}
	slices.Sort(names)
	return slices.Compact(names)
}
