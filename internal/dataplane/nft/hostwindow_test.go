package nft

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// TestNoWindowAtHosts floods a host with packets that its endpoint denies, while
// dataplanes take over from one another, policies come and go, and with them hooks
// before DNAT and before connection tracking. Nothing gets through, and a
// connection that is allowed all the time lives on.
func TestNoWindowAtHosts(t *testing.T) {
	l := newLab(t)
	far := netip.MustParseAddr("198.51.100.7")
	addHost(t, l, "far", far.String())
	tcp, udp := policy.TCP, policy.UDP
	port := func(p uint16) policy.Peer {
		return policy.Peer{Ports: &policy.Ports{Ranges: []policy.PortRange{{First: p, Last: p}}}}
	}
	of := func(name string, o policy.HostOptions, rules ...policy.Rule) *policy.Policy {
		return &policy.Policy{
			Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}, Tier: "default", Selector: selector.All(), Host: o,
			Types: [2]bool{policy.Ingress: true}, Rules: [2][]policy.Rule{policy.Ingress: rules},
		}
	}
	ssh := policy.Rule{Action: policy.Allow, Protocol: &tcp, Destination: port(443)}
	early := of("early", policy.HostOptions{ApplyOnForward: true, PreDNAT: true}, policy.Rule{Action: policy.Allow, Protocol: &udp, Destination: port(54)})
	raw := of("raw", policy.HostOptions{ApplyOnForward: true, DoNotTrack: true}, policy.Rule{Action: policy.Allow, Protocol: &udp, Destination: port(55)})
	many := func(i int) *policy.Policy { // its peers are other nets each time
		net := netip.MustParsePrefix(fmt.Sprintf("203.0.%d.0/24", i))
		return of("many", policy.HostOptions{}, policy.Rule{Action: policy.Allow, Protocol: &udp, Source: policy.Peer{Nets: []netip.Prefix{net}}})
	}
	base := []policy.Object{
		of("ssh", policy.HostOptions{}, ssh),
		&policy.Endpoint{Key: policy.Key{Kind: policy.KindHostEndpoint, Name: "h"}, Node: "node-a", Interface: policy.AllInterfaces, Host: &policy.Host{}},
	}
	start := func() (*Dataplane, func(...policy.Change)) {
		b, e := newDataplane(t, nodeNS(l)), onNodeA()
		apply(t, b, flush(e, base, policy.FixedTiers()))
		return b, func(changes ...policy.Change) {
			e.Apply(changes...)
			apply(t, b, e.Flush())
			if findings, err := b.compare(); err != nil || len(findings) > 0 {
				t.Fatalf("%q, %v", findings, err)
			}
			if b.rewrites > 0 {
				t.Fatal("the kernel refused a step")
			}
		}
	}
	b, _ := start()
	live, err := l.Open(t.Context(), policy.Flow{Src: far, Dst: l.Node().Addr4(), Protocol: policy.TCP, DstPort: 443}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.Close() }()
	sent, leaked := flood(t, l.Host("far").DialContext, l.Node().ListenPacket, netip.AddrPortFrom(l.Node().Addr4(), 53))
	deadline := time.Now().Add(30 * time.Second)
	some := func() {
		for seen := sent.Load(); sent.Load() < seen+50 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // until there was traffic
		}
	}
	for i := range 6 {
		var step func(...policy.Change)
		b, step = start() // takes over
		some()
		for _, o := range []policy.Object{many(i), many(i + 1), early, raw} {
			step(policy.Change{Key: o.ObjectKey(), Object: o})
			some()
		}
		if err := live.Exchange(5 * time.Second); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		step(policy.Change{Key: early.Key}, policy.Change{Key: raw.Key})
		some()
	}
	if sent.Load() < 500 || leaked.Load() > 0 {
		t.Errorf("%d of %d denied packets arrived", leaked.Load(), sent.Load())
	}
	k, err := b.ReadBack(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if at := (dataplane.AttachmentKey{Node: "node-a", Hook: policy.HookInput, Interface: "tw1"}); k.DecideHost(at, policy.Flow{
		Src: far, Dst: l.Node().Addr4(), Protocol: policy.UDP, DstPort: 53,
	}).Allow {
		t.Error("the kernel's chains allow what they deny")
	}
}
