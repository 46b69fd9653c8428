package nft

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// podLab is a node with pods a and b, a host of the world and one of the office.
func podLab(t testing.TB) *lab.Lab {
	l := newLab(t)
	addHost(t, l, "a", podA4.String(), podA6.String())
	addHost(t, l, "b", podB4.String(), podB6.String())
	addHost(t, l, "world", world4IP.String(), world6IP.String())
	addHost(t, l, "office", office4IP.String(), office6IP.String())
	return l
}

// TestPackets sends real packets of all kinds between all hosts, and holds what
// becomes of them against what the state and the kernel's tables say.
func TestPackets(t *testing.T) {
	t.Run("nets as intervals", testPackets)
	t.Run("nets by length", func(t *testing.T) {
		setMaxSpans(t, 0)
		testPackets(t)
	})
}

func testPackets(t *testing.T) {
	l := podLab(t)
	b := newDataplane(t, nodeNS(l))
	apply(t, b, tabletest.Empty().Step(podTables()))
	k, err := b.ReadBack(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	busy := make(chan struct{}, 24)
	for _, f := range packetFlows() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			busy <- struct{}{}
			defer func() { <-busy }()
			want := lab.Denied
			if b.State().Allows(f) {
				want = lab.Allowed
			}
			if e, i := k.Decide(f); (e.Allow && i.Allow) != (want == lab.Allowed) {
				t.Errorf("%s: the tables read back say %v %v", flowText(f), e, i)
			}
			if got := l.Probe(context.Background(), f, 0); got.Verdict != want {
				t.Errorf("%s: packets were %v (%s), want %v", flowText(f), got.Verdict, got.Detail, want)
			}
		}()
	}
	wait.Wait()
	counters, err := b.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counters {
		if c.Packets == 0 || c.Bytes < 20*c.Packets {
			t.Errorf("decider %d counted %d packets, %d bytes", c.Decider.ID, c.Packets, c.Bytes)
		}
	}
}

func flowText(f policy.Flow) string {
	return fmt.Sprintf("%v %v -> %v port %d from %d type %d", f.Protocol, f.Src, f.Dst, f.DstPort, f.SrcPort, f.ICMPType)
}

// packetFlows returns flows between all pairs of hosts, in both families.
func packetFlows() []policy.Flow {
	var flows []policy.Flow
	hosts := [][2]netip.Addr{{podA4, podA6}, {podB4, podB6}, {world4IP, world6IP}, {office4IP, office6IP}}
	for family, icmp := range []struct {
		protocol    policy.Protocol
		echo, other uint8
	}{{policy.ICMP, 8, 13}, {policy.ICMPv6, 128, 144}} {
		for i, from := range hosts {
			for j, to := range hosts {
				if i == j || i > 1 && j > 1 {
					continue
				}
				f := policy.Flow{Src: from[family], Dst: to[family]}
				for _, p := range []uint16{80, 81, 90, 443, 8085} {
					f.Protocol, f.DstPort = policy.TCP, p
					flows = append(flows, f)
				}
				for k, p := range []uint16{5000, 6000} { // source ports
					f.DstPort, f.SrcPort = 9000, p+uint16(10*i+j+k)
					flows = append(flows, f)
				}
				f.SrcPort = 0
				for _, p := range []uint16{53, 54} {
					f.Protocol, f.DstPort = policy.UDP, p
					flows = append(flows, f)
				}
				f.Protocol, f.DstPort = policy.SCTP, 7
				flows = append(flows, f)
				f.DstPort = 0
				for _, p := range []policy.Protocol{47, 253} {
					// Without ports, a packet the other way looks like a reply.
					if f.Protocol = p; i < j {
						flows = append(flows, f)
					}
				}
				for _, typ := range []uint8{icmp.echo, icmp.other} {
					f.Protocol, f.ICMPType = icmp.protocol, typ
					flows = append(flows, f)
				}
			}
		}
	}
	return flows
}
