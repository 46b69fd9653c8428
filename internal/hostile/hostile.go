// Package hostile makes manifests that are small for their effect: what a tenant could
// write to make an agent slow or large. Tests and benchmarks only.
package hostile

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Node is the node that the pods of all cases are on.
const Node = "here"

// Case is one kind of attack, at a size.
type Case struct {
	Name      string
	Manifests string
	// Another is one small change to it, as one more file: what it costs beside the rest.
	Another string
}

// Cases returns one of each kind at the sizes that were once too much, and these times a
// factor.
func Cases(factor float64) []Case {
	n := func(size int) int { return max(1, int(float64(size)*factor)) }
	return []Case{
		PortGrid(n(1600)),
		Exceptions(n(1500)),
		AddressesTimesPods(n(2000), 20),
		AddressesTimesPods(n(3000), 30),
		EgressTimesPods(n(1000), 20),
		RandomSubsets(n(1400), 15, 10),
		ManyRules(n(10_000)),
		LargeSet(n(50_000), 0),
		LargeSet(n(50_000), 2000),
		Pods(100, n(500)),
	}
}

const separator = "---\n"

func pod(i int, labels string) string {
	return fmt.Sprintf(separator+"apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: evil, labels: {app: p%d%s}}\nspec: {nodeName: %s, containers: [{name: c, image: i}]}\nstatus: {podIP: %s}\n",
		i, i, labels, Node, podAddress(i))
}

func podAddress(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }

// address returns the nth of many addresses that no pod has.
func address(n int) string { return fmt.Sprintf("192.%d.%d.%d", n>>16&255, n>>8&255, n&255) }

func head(apiVersion, kind, name string) string {
	return fmt.Sprintf(separator+"apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: evil}\nspec:\n", apiVersion, kind, name)
}

const (
	kubernetes = "networking.k8s.io/v1"
	calico     = "projectcalico.org/v3"
)

// small is a policy of one pod that opens one port.
func small(i int) string {
	return head(kubernetes, "NetworkPolicy", fmt.Sprint("small", i)) +
		fmt.Sprintf("  podSelector: {matchLabels: {app: p%d}}\n  ingress: [{ports: [{port: %d}]}]\n", i, 20000+i)
}

func oddPorts(n int) string {
	ports := make([]string, n)
	for i := range ports {
		ports[i] = fmt.Sprint(2*i + 1)
	}
	return "[" + strings.Join(ports, ", ") + "]"
}

// PortGrid is one rule with n odd source ports and n odd destination ports.
func PortGrid(n int) Case {
	text := pod(1, "") + head(calico, "NetworkPolicy", "grid") +
		"  selector: all()\n  ingress:\n    - {action: Allow, protocol: TCP, source: {ports: " + oddPorts(n) + "}, destination: {ports: " + oddPorts(n) + "}}\n"
	return Case{fmt.Sprintf("PortGrid/%d", n), text, small(1)}
}

// Exceptions is one policy of n rules, each for everybody but one address, with a port of its own.
func Exceptions(n int) Case {
	var b strings.Builder
	b.WriteString(pod(1, "") + head(kubernetes, "NetworkPolicy", "exceptions") + "  podSelector: {}\n  ingress:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {from: [{ipBlock: {cidr: 0.0.0.0/0, except: [%s/32]}}], ports: [{port: %d}]}\n", address(i), i+1)
	}
	return Case{fmt.Sprintf("Exceptions/%d", n), b.String(), small(1)}
}

// AddressesTimesPods is one policy with n addresses, a port for each, and pods that each
// have a small policy of their own.
func AddressesTimesPods(n, pods int) Case {
	var b strings.Builder
	for i := range pods {
		b.WriteString(pod(i+1, "") + small(i+1))
	}
	b.WriteString(head(kubernetes, "NetworkPolicy", "addresses") + "  podSelector: {}\n  ingress:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {from: [{ipBlock: {cidr: %s/32}}], ports: [{port: %d}]}\n", address(i), i+1)
	}
	return Case{fmt.Sprintf("AddressesTimesPods/%dx%d", n, pods), b.String(), pod(pods+1, "") + small(pods+1)}
}

// EgressTimesPods is the same for what pods send, which policy decides towards their own node as well.
func EgressTimesPods(n, pods int) Case {
	var b strings.Builder
	for i := range pods {
		b.WriteString(pod(i+1, "") + smallEgress(i+1))
	}
	b.WriteString(head(calico, "NetworkPolicy", "addresses") + "  selector: all()\n  types: [Egress]\n  egress:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {action: Allow, protocol: TCP, destination: {nets: [%s/32], ports: [%d]}}\n", address(i), i+1)
	}
	return Case{fmt.Sprintf("EgressTimesPods/%dx%d", n, pods), b.String(), pod(pods+1, "") + smallEgress(pods+1)}
}

func smallEgress(i int) string {
	return head(calico, "NetworkPolicy", fmt.Sprint("small", i)) +
		fmt.Sprintf("  selector: app == 'p%d'\n  types: [Egress]\n  egress: [{action: Allow, protocol: TCP, destination: {ports: [%d]}}]\n", i, 20000+i)
}

// RandomSubsets is one policy of rules that list random subsets of n addresses, and pods
// that each have a small policy of their own.
func RandomSubsets(n, rules, pods int) Case {
	draw := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var b strings.Builder
	for i := range pods {
		b.WriteString(pod(i+1, "") + small(i+1))
	}
	b.WriteString(head(kubernetes, "NetworkPolicy", "subsets") + "  podSelector: {}\n  ingress:\n")
	for r := range rules {
		var peers []string
		for i := range n {
			if draw.IntN(2) == 0 {
				peers = append(peers, "{ipBlock: {cidr: "+address(2*i)+"/32}}")
			}
		}
		if len(peers) == 0 {
			peers = []string{"{ipBlock: {cidr: " + address(0) + "/32}}"}
		}
		fmt.Fprintf(&b, "    - {from: [%s], ports: [{port: %d}]}\n", strings.Join(peers, ", "), r+1)
	}
	return Case{fmt.Sprintf("RandomSubsets/%dx%dx%d", n, rules, pods), b.String(), pod(pods+1, "") + small(pods+1)}
}

// ManyRules is one policy of n rules, each with a net and a port.
func ManyRules(n int) Case {
	var b strings.Builder
	b.WriteString(pod(1, "") + head(kubernetes, "NetworkPolicy", "rules") + "  podSelector: {}\n  ingress:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {from: [{ipBlock: {cidr: %s/30}}], ports: [{port: %d}]}\n", address(4*i), i%65535+1)
	}
	return Case{fmt.Sprintf("ManyRules/%d", n), b.String(), small(1)}
}

// LargeSet is a threat feed: n nets, which no two can be joined of, that a policy denies,
// beside policies of other pods.
func LargeSet(n, policies int) Case {
	set := func(name string, first, n int) string {
		var b strings.Builder
		fmt.Fprintf(&b, separator+"apiVersion: %s\nkind: GlobalNetworkSet\nmetadata: {name: %s, labels: {feed: threats}}\nspec:\n  nets:\n", calico, name)
		for i := range n {
			fmt.Fprintf(&b, "  - %s/30\n", address(8*(first+i)))
		}
		return b.String()
	}
	var b strings.Builder
	b.WriteString(pod(1, "") + set("threats", 0, n))
	fmt.Fprintf(&b, separator+"apiVersion: %s\nkind: GlobalNetworkPolicy\nmetadata: {name: threats}\nspec:\n  selector: all()\n  types: [Egress]\n  egress: [{action: Deny, destination: {selector: feed == 'threats'}}, {action: Allow}]\n", calico)
	for i := range policies {
		b.WriteString(pod(i+2, "") + head(kubernetes, "NetworkPolicy", fmt.Sprint("other", i)) +
			fmt.Sprintf("  podSelector: {matchLabels: {app: p%d}}\n  ingress: [{from: [{podSelector: {matchLabels: {app: p%d}}}], ports: [{port: %d}]}]\n", i+2, (i+7)%policies+2, i%60000+1))
	}
	return Case{fmt.Sprintf("LargeSet/%dbeside%d", n, policies), b.String(), set("more", n, 1)}
}

// Pods is a node with many pods, each under policies of its own and under some of all.
func Pods(pods, policies int) Case {
	var b strings.Builder
	for i := range pods {
		b.WriteString(pod(i+1, fmt.Sprintf(", group: g%d", i%10)))
	}
	for i := range policies {
		b.WriteString(head(kubernetes, "NetworkPolicy", fmt.Sprint("p", i)) +
			fmt.Sprintf("  podSelector: {matchLabels: {app: p%d}}\n  ingress: [{from: [{podSelector: {matchLabels: {group: g%d}}}, {ipBlock: {cidr: %s/28}}], ports: [{port: %d}]}]\n",
				i%pods+1, i%10, address(16*i), i%60000+1))
	}
	return Case{fmt.Sprintf("Pods/%dx%d", pods, policies), b.String(), pod(pods+1, ", group: g1")}
}
