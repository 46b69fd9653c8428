package nft

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// TestHostConnections has policy of a host endpoint come while connections of the
// host live: those that it denies end, those that it allows and failsafes do not.
func TestHostConnections(t *testing.T) {
	lab.Require(t)
	node := netip.MustParseAddr("192.0.2.1")
	l, err := lab.New(lab.Config{Name: "node-a", Addrs: []netip.Addr{node}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	far, via := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("198.51.100.8")
	for name, a := range map[string]netip.Addr{"eth0": far, "eth1": via} {
		if _, err := l.AddHost(lab.HostConfig{Name: "far-" + name, Addrs: []netip.Addr{a}, Interface: name}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := New(Options{NetNS: nodeNS(l), Host: dataplane.HostSettings{HostSettings: policy.HostSettings{
		FailsafeIn: []policy.Failsafe{{Protocol: policy.TCP, Port: 22}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e := onNodeA()
	apply(t, b, flush(e, nil, policy.FixedTiers()))
	open := func(src, dst netip.Addr, port uint16) *lab.Conn {
		c, err := l.Open(context.Background(), policy.Flow{Src: src, Dst: dst, Protocol: policy.TCP, DstPort: port}, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	denied := []*lab.Conn{open(far, node, 81), open(node, far, 81)}
	allowed := []*lab.Conn{
		open(far, node, 80), open(far, node, 22), open(node, far, 80),
		open(via, node, 81), open(node, via, 81), open(far, via, 81), // by an interface that nobody governs, or routed
	}
	tcp := policy.TCP
	rule := []policy.Rule{{Action: policy.Allow, Protocol: &tcp, Destination: policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 80, Last: 80}}}}}}
	apply(t, b, flush(e, []policy.Object{
		&policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}, Tier: "default", Selector: selector.All(),
			Types: [2]bool{true, true}, Rules: [2][]policy.Rule{rule, rule},
		},
		&policy.Endpoint{Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "h"}, Node: "node-a", Interface: "eth0", Host: &policy.Host{}},
	}, nil))
	for _, c := range allowed {
		if err := c.Exchange(0); err != nil {
			t.Errorf("%v is allowed: %v", c, err)
		}
	}
	for _, c := range denied {
		if err := c.Exchange(300 * time.Millisecond); !lab.IsSilence(err) {
			t.Errorf("%v is denied now, but: %v", c, err)
		}
	}
	if b.ConnectionsCut() != uint64(len(denied)) {
		t.Errorf("%d connections were cut", b.ConnectionsCut())
	}
}

// flush returns objects to an engine and what follows.
func flush(e *engine.Engine, objects []policy.Object, tiers []*policy.Tier) *dataplane.Delta {
	for _, tier := range tiers {
		objects = append(objects, tier)
	}
	for _, o := range objects {
		e.Apply(policy.Change{Key: o.ObjectKey(), Object: o})
	}
	return e.Flush()
}
