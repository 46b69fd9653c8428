package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// BenchmarkHostConnections measures TCP connections per second, one after the
// other, from a pod's namespace to the node itself: without tables, and with a host
// endpoint of 1, and of 1,000 policies, each with peers of its own. They take turns
// in one run, since only their ratios say anything; figures are medians of rounds.
func BenchmarkHostConnections(b *testing.B) {
	counts := []int{0, 1, 1000}
	var names []string
	var ends []*connEnds
	for _, n := range counts {
		names = append(names, strconv.Itoa(n))
		l := newLab(b)
		addHost(b, l, "a", localAddr(0).String())
		if n > 0 {
			dp, err := New(Options{NetNS: nodeNS(l), KeepConnections: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = dp.Close() })
			apply(b, dp, flush(hostPolicies(n), nil, policy.FixedTiers()))
		}
		ends = append(ends, nodeConnEnds(b, l))
	}
	measureInTurns(b, names, ends)
}

// hostPolicies returns an engine with a host endpoint and so many policies for it,
// the last of which lets the client in.
func hostPolicies(n int) *engine.Engine {
	e := onNodeA()
	add := func(o policy.Object) { e.Apply(policy.Change{Key: o.ObjectKey(), Object: o}) }
	tcp := policy.TCP
	for i := range n {
		app := fmt.Sprintf("app-%d", i)
		match, err := selector.Parse("app == '" + app + "'")
		if err != nil {
			panic(err)
		}
		add(&policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: app}, Tier: "default", Order: float64(i), Selector: selector.All(),
			Types: [2]bool{policy.Ingress: true},
			Rules: [2][]policy.Rule{policy.Ingress: {{
				Action: policy.Allow, Protocol: &tcp, Source: policy.Peer{Set: &policy.PeerSet{Selector: match}},
				Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: connPort, Last: connPort}}}},
			}}},
		})
		addr := remoteAddr(i)
		if i == n-1 {
			addr = localAddr(0)
		}
		add(&policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "ns", Name: app}, Node: "elsewhere", Addrs: []netip.Addr{addr},
			Labels: selector.Labels{{Key: "app", Value: app}}, Profiles: []string{"kns.ns"},
		})
	}
	add(&policy.Endpoint{
		Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "h"}, Node: "node-a", Interface: policy.AllInterfaces, Host: &policy.Host{},
	})
	return e
}

// nodeConnEnds are a client and a server on the node.
func nodeConnEnds(b *testing.B, l *lab.Lab) *connEnds {
	e := &connEnds{l, netip.AddrPortFrom(l.Node().Addr4(), connPort)}
	listener, err := l.Node().Listen("tcp", e.to.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_ = c.Close()
			}
		}
	}()
	return e
}
