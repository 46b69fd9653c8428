package nft

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// tcpState reads what connection tracking says of the connection between two ports: the
// state that it is in, 3 for established.
func tcpState(t *testing.T, ns string, from, to netip.AddrPort) (state uint8, found bool) {
	t.Helper()
	conn, err := nfnl.Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_CTNETLINK, 1, unix.NLM_F_DUMP, unix.AF_UNSPEC)
	w.End()
	port := func(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }
	err = conn.Dump(&w, func(m nfnl.Message) error {
		const tupleOrig, protoInfo, protoNumbers, srcPort, dstPort, ofTCP, stateOf = 1, 4, 2, 2, 3, 1, 1
		numbers := m.Attrs.Get(tupleOrig).Attrs().Get(protoNumbers).Attrs()
		if string(numbers.Get(srcPort)) == port(from.Port()) && string(numbers.Get(dstPort)) == port(to.Port()) {
			state, found = m.Attrs.Get(protoInfo).Attrs().Get(ofTCP).Attrs().Get(stateOf).Uint8(), true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state, found
}

// nextSequence returns the sequence number that follows what a frame with TCP carries, of
// the connection between two ports.
func nextSequence(frame []byte, from, to uint16) (uint32, bool) {
	if len(frame) < 54 {
		return 0, false
	}
	ip := frame[14:]
	header, protocol, length := 20, ip[9], int(binary.BigEndian.Uint16(ip[2:]))-20
	if ip[0]>>4 == 6 {
		header, protocol, length = 40, ip[6], int(binary.BigEndian.Uint16(ip[4:]))
	}
	if protocol != unix.IPPROTO_TCP || len(ip) < header+20 {
		return 0, false
	}
	tcp := ip[header:]
	if binary.BigEndian.Uint16(tcp) != from || binary.BigEndian.Uint16(tcp[2:]) != to {
		return 0, false
	}
	return binary.BigEndian.Uint32(tcp[4:]) + uint32(length-int(tcp[12]>>4)*4), true
}

// TestSpoofedReset has a pod reset the connection of another, with the right sequence
// number: the reset does not arrive, and connection tracking does not hear of it. Where
// sources are not checked, it ends the connection there: the test can fail.
func TestSpoofedReset(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		for family := range 2 {
			for _, checked := range []bool{true, false} {
				known := g.known
				if !checked {
					known = dataplane.AntiSpoofing{}
				}
				g.knows(known)
				f := policy.Flow{
					Src: addrOf(g.a, family), Dst: addrOf(g.b, family), Protocol: policy.TCP,
					DstPort: uint16(8080 + family), SrcPort: uint16(50001 + family),
				}
				if !checked {
					f.SrcPort += 10
				}
				capture := g.capture(g.b)
				c, err := g.lab.Open(context.Background(), f, 20*time.Second)
				g.must(err)
				g.must(c.Exchange(20 * time.Second))
				from, to := netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort)
				if state, ok := tcpState(g.T, nodeNS(g.lab), from, to); !ok || state != 3 {
					g.Fatalf("the connection is in state %d (%v)", state, ok)
				}
				var next uint32
				seen := false
				for {
					frame, err := capture.Next(50 * time.Millisecond)
					if err != nil {
						break // all that came
					}
					if n, ok := nextSequence(frame, f.SrcPort, f.DstPort); ok && (!seen || n-next < 1<<31) {
						next, seen = n, true
					}
				}
				const rst = 4
				reset := lab.TCPPacket(from, to, rst, next, 0)
				g.must(g.c.SendFrames(lab.IPFrame(g.towards(g.b), reset)))
				if checked {
					g.wants(dataplane.GuardSource, 1)
					if state, ok := tcpState(g.T, nodeNS(g.lab), from, to); !ok || state != 3 {
						g.Errorf("after the reset the connection is in state %d (%v)", state, ok)
					}
					if err := c.Exchange(20 * time.Second); err != nil {
						g.Errorf("the connection has ended: %v", err)
					}
				} else {
					eventually(g.T, "the reset has arrived", func() bool {
						state, ok := tcpState(g.T, nodeNS(g.lab), from, to)
						return !ok || state != 3
					})
				}
				_ = c.Close()
			}
		}
	})
}

// towards returns the hardware address to which a pod sends what is for another host.
func (g *guardLab) towards(h *lab.Host) net.HardwareAddr {
	if mac, ok := g.mac[h]; ok && g.bridge {
		return mac
	}
	return g.nodeMAC
}

// TestUplinkSource has somebody beyond the uplink use the addresses of pods, with each
// other's and with their own: nothing arrives, and who was pretended to be outside is said.
func TestUplinkSource(t *testing.T) {
	onBoth(t, nil, func(g *guardLab) {
		// Nobody may reach b. It reaches itself all the same, in its own namespace.
		g.policies(governs("pod == 'b'", []policy.Direction{policy.Ingress}, allowTo(policy.UDP, markerPort)))
		lies := func(on bool) (n uint64) {
			for family := range 2 {
				b := addrOf(g.b, family)
				for _, from := range []netip.Addr{b, addrOf(g.a, family)} {
					for _, to := range []netip.Addr{b, addrOf(g.c, family)} {
						capture := g.b
						if to != b {
							capture = g.c
						}
						text := "lie of " + from.String() + " to " + to.String()
						got := g.arrives(capture, text, func(marker string) error {
							return g.world.SendPackets(lab.UDPPacket(netip.AddrPortFrom(from, 4000), netip.AddrPortFrom(to, 9999), text), g.marker(family, capture, marker))
						})
						// A pod reaches itself, and others that no policy governs.
						if want := !on && (to == from || to != b); got != want {
							g.Errorf("check of uplinks %v: %v arrives %v, want %v", on, text, got, want)
						}
						n++
					}
				}
			}
			return n
		}
		n := lies(true)
		g.wants(dataplane.GuardUplinkSource, n)
		list, err := g.dataplane.OutsideSources(context.Background())
		g.must(err)
		var sum uint64
		for _, x := range list {
			sum += x.Packets
			if !slices.Contains(append(g.a.Addrs(), g.b.Addrs()...), x.Source) || x.Packets != 2 {
				g.Errorf("%d packets of %v", x.Packets, x.Source)
			}
		}
		if sum != n {
			g.Errorf("%d packets are counted by source, want %d", sum, n)
		}
		g.same()
		g.options.Guards.Disabled = []dataplane.Guard{dataplane.GuardUplinkSource}
		g.start()
		lies(false)
	})
}

// markerPort is where markers go: policies of tests allow them.
const markerPort = 9998

// marker makes a packet from the world that arrives at a pod.
func (g *guardLab) marker(family int, to *lab.Host, text string) []byte {
	return lab.UDPPacket(netip.AddrPortFrom(addrOf(g.world, family), 4000), netip.AddrPortFrom(addrOf(to, family), markerPort), text)
}
