package nft

import (
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// hostObjects returns two host endpoints of node-a and a policy of each kind for them.
func hostObjects(t *testing.T) []policy.Change {
	t.Helper()
	tcp := policy.TCP
	port := func(p uint16) policy.Peer {
		return policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: p, Last: p}}}}
	}
	rules := func(p uint16) []policy.Rule {
		return []policy.Rule{
			{Action: policy.Allow, Protocol: &tcp, Destination: port(p), Source: policy.Peer{Nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}},
			{Index: 1, Action: policy.Deny, Protocol: &tcp, Destination: port(p + 1)},
		}
	}
	policyOf := func(name string, o policy.HostOptions, p uint16, egress bool) *policy.Policy {
		out := &policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: "default", Selector: selector.All(), Host: o,
			Types: [2]bool{policy.Ingress: true, policy.Egress: egress},
		}
		out.Rules[policy.Ingress] = rules(p)
		if egress {
			out.Rules[policy.Egress] = rules(p)
		}
		return out
	}
	var changes []policy.Change
	add := func(o policy.Object) { changes = append(changes, policy.Change{Key: o.ObjectKey(), Object: o}) }
	for _, tier := range policy.FixedTiers() {
		add(tier)
	}
	add(policyOf("plain", policy.HostOptions{ApplyOnForward: true}, 80, true))
	add(policyOf("early", policy.HostOptions{ApplyOnForward: true, PreDNAT: true}, 8080, false))
	add(policyOf("raw", policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}, 53, true))
	for name, iface := range map[string]string{"all": policy.AllInterfaces, "eth0": "eth0"} {
		add(&policy.Endpoint{
			Key: policy.Key{Kind: policy.KindHostEndpoint, Name: name}, Node: "node-a", Interface: iface, Host: &policy.Host{},
		})
	}
	return changes
}
