package nft

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// kubernetesGoverns is a policy of Kubernetes of the pods of a selector for what they send.
func kubernetesGoverns(sel string, rules ...policy.Rule) *policy.Policy {
	p := governs(sel, []policy.Direction{policy.Egress}, rules...)
	p.Key = policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: "ns"}
	return p
}

// dials checks whether a host connects to an address.
func (n *twoNodes) dials(from *lab.Host, to netip.AddrPort, want lab.Verdict, what string) {
	n.Helper()
	patience := 20 * time.Second
	if want == lab.Denied {
		patience = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	c, err := from.DialContext(ctx, "tcp", to.String())
	if err == nil {
		_ = c.Close()
	}
	if (err == nil) != (want == lab.Allowed) {
		n.Errorf("%s: %s to %v: %v, want %v", what, from.Name(), to, err, want)
	}
}

// TestNodesByEachAddress has a pod connect to its own node and to the other, by each of their
// addresses. Towards its own node policies of Kubernetes deny nothing by themselves, those of
// Calico do; the other one is a peer like any.
func TestNodesByEachAddress(t *testing.T) {
	onTwoNodes(t, fewOverlays, func(n *twoNodes) {
		for _, g := range n.nodes() {
			for _, port := range []uint16{80, 81} {
				n.must(g.node.Serve(policy.TCP, port))
			}
		}
		calico := governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.TCP, 80))
		type verdicts [2]lab.Verdict // at ports 80 and 81
		open, closed, half := verdicts{lab.Allowed, lab.Allowed}, verdicts{lab.Denied, lab.Denied}, verdicts{lab.Allowed, lab.Denied}
		for _, x := range []struct {
			what       string
			policies   []*policy.Policy
			toHost     policy.Action
			own, other verdicts
		}{
			{"no policy", nil, policy.Allow, open, open},
			{"Kubernetes' own", []*policy.Policy{kubernetesGoverns("pod == 'a'")}, policy.Allow, open, closed},
			{"Kubernetes' own, which allows a port", []*policy.Policy{kubernetesGoverns("pod == 'a'", allowTo(policy.TCP, 80))}, policy.Allow, open, half},
			{"Calico's", []*policy.Policy{calico}, policy.Allow, half, half},
			{"both", []*policy.Policy{kubernetesGoverns("pod == 'a'"), calico}, policy.Allow, half, half},
			{"Calico's, and Drop", []*policy.Policy{calico}, policy.Deny, closed, half},
		} {
			n.restart(func(o *Options) { o.Host.EndpointToHost = x.toHost })
			n.policies(x.policies...)
			var all sync.WaitGroup // that they wait for nothing is not worth waiting for one by one
			for family := range familyDigit {
				for i, want := range []verdicts{x.own, x.other} {
					for what, dst := range n.unicast(n.nodes()[i], family) {
						for j, port := range []uint16{80, 81} {
							all.Go(func() {
								n.dials(n.a, netip.AddrPortFrom(dst, port), want[j], fmt.Sprintf("%s, by the address %s", x.what, what))
							})
						}
					}
				}
			}
			all.Wait()
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
	})
}

// unicast returns the addresses of a family of a node that are its own alone.
func (n *twoNodes) unicast(g *guardLab, family int) map[string]netip.Addr {
	list := n.allAddrs(g, family)
	for what := range list {
		switch what {
		case "between nodes", "on lo", "of the overlay", "of the bridge":
		default:
			delete(list, what)
		}
	}
	return list
}
