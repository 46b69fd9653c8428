package nft

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
)

// policyCounts are how many policies pods have in benchmarks of connections; 0: no tables.
var policyCounts = []int{0, 1, 10_000}

// BenchmarkOwnNodeConnections measures TCP connections per second, one after the other, from
// a pod to the node that it is on, which its egress policy governs.
func BenchmarkOwnNodeConnections(b *testing.B) {
	benchPolicyCounts(b, func(b *testing.B, policies int) *connEnds {
		l := newLab(b)
		addHost(b, l, "a", localAddr(0).String())
		if policies > 0 {
			apply(b, newDataplane(b, nodeNS(l)), ownNodeTables(l.Node().Addr4(), policies))
		}
		return nodeConnEnds(b, l)
	})
}

// BenchmarkBridgedConnections is BenchmarkConnections for two pods that are ports of one
// bridge.
func BenchmarkBridgedConnections(b *testing.B) {
	benchPolicyCounts(b, func(b *testing.B, policies int) *connEnds {
		l := newLab(b)
		if err := l.AddBridge(lab.BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{netip.MustParsePrefix("10.0.0.254/24")}}); err != nil {
			b.Fatal(err)
		}
		for i, name := range []string{"a", "b"} {
			if _, err := l.AddHost(lab.HostConfig{Name: name, Addrs: []netip.Addr{localAddr(i)}, Bridge: "cni0"}); err != nil {
				b.Fatal(err)
			}
		}
		if policies > 0 {
			apply(b, newDataplane(b, nodeNS(l)), connTables(max(policies, 2)))
		}
		return newConnEnds(b, l)
	})
}

// benchPolicyCounts has pods with few and with many policies connect in turns: only their
// ratios say anything. The figures are medians of the rounds.
func benchPolicyCounts(b *testing.B, setUp func(b *testing.B, policies int) *connEnds) {
	var names []string
	var ends []*connEnds
	for _, n := range policyCounts {
		names = append(names, strconv.Itoa(n))
		ends = append(ends, setUp(b, n))
	}
	measureInTurns(b, names, ends)
}

// ownNodeTables returns tables in which pod 0 may reach the node at connPort by one policy,
// the last one of all, among as many policies.
func ownNodeTables(node netip.Addr, policies int) *dataplane.Delta {
	policies = max(policies, 2)
	d := connTables(policies)
	d.SetAddrs[node] = d.SetAddrs[localAddr(1)]
	d.SetLocals[0].ToNode = d.SetLocals[0].Egress
	return d
}

// TestOwnNodeTables checks the tables of the benchmark: what it measures is allowed, by policy.
func TestOwnNodeTables(t *testing.T) {
	node := netip.MustParseAddr("192.0.2.1")
	for _, n := range policyCounts[1:] {
		s := dataplane.NewState()
		if err := s.Apply(ownNodeTables(node, n)); err != nil {
			t.Fatal(err)
		}
		f := flowTo(node, connPort)
		f.Src = localAddr(0)
		if v := s.DecideToNode(f); !v.Governed || !v.Allow {
			t.Errorf("%d policies: %v", n, v)
		}
		if f.DstPort++; s.DecideToNode(f).Allow {
			t.Errorf("%d policies: another port is allowed", n)
		}
	}
}
