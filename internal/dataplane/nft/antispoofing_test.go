package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// spoofLab is a node with pods, whose interfaces are known: one who may be
// believed, one who lies, and one who is spoken to.
type spoofLab struct {
	t                     *testing.T
	lab                   *lab.Lab
	b                     *Dataplane
	honest, liar, spokeTo *lab.Host
	known                 dataplane.AntiSpoofing
}

func newSpoofLab(t *testing.T, bridge bool) *spoofLab {
	l := newLab(t)
	g := &spoofLab{t: t, lab: l}
	if bridge {
		err := l.AddBridge(lab.BridgeConfig{Name: "cni0", Gateways: []netip.Prefix{
			netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:244::1/64"),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range []**lab.Host{&g.honest, &g.liar, &g.spokeTo} {
		cfg := lab.HostConfig{Name: []string{"honest", "liar", "spokeTo"}[i], Addrs: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 244, 1, byte(2 + i)}), netip.MustParseAddr([]string{"fd00:244::2", "fd00:244::3", "fd00:244::4"}[i]),
		}}
		if bridge {
			cfg.Bridge = "cni0"
		}
		var err error
		if *h, err = l.AddHost(cfg); err != nil {
			t.Fatal(err)
		}
		g.known.Links = append(g.known.Links, dataplane.Link{Index: g.index((*h).Interface()), Port: bridge, Addrs: (*h).Addrs()})
	}
	g.b = newDataplane(t, nodeNS(l))
	apply(t, g.b, tabletest.Empty().Step(tabletest.First()))
	g.set(g.known)
	return g
}

func (g *spoofLab) index(name string) (index int) {
	g.t.Helper()
	if err := g.lab.Node().Do(func() error {
		i, err := net.InterfaceByName(name)
		if err == nil {
			index = i.Index
		}
		return err
	}); err != nil {
		g.t.Fatal(err)
	}
	return index
}

func (g *spoofLab) set(known dataplane.AntiSpoofing) {
	g.t.Helper()
	if err := g.b.SetAntiSpoofing(context.Background(), known); err != nil {
		g.t.Fatal(err)
	}
	g.same()
}

// same checks that the kernel has what was written.
func (g *spoofLab) same() {
	g.t.Helper()
	if d, err := g.b.Check(context.Background()); err != nil || len(d.Findings) > 0 {
		g.t.Errorf("the kernel differs: %q, %v", d.Findings, err)
	}
}

func (g *spoofLab) spoofed() uint64 {
	g.t.Helper()
	n, err := g.b.Spoofed(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestSpoofedSources sends packets with the sources of others: none arrives, and
// the honest are not disturbed.
func TestSpoofedSources(t *testing.T) {
	for name, bridge := range map[string]bool{"routed": false, "bridge": true} {
		t.Run(name, func(t *testing.T) {
			g := newSpoofLab(t, bridge)
			for _, is6 := range []int{0, 1} {
				dst := g.spokeTo.Addrs()[is6]
				server, err := g.spokeTo.ListenPacket("udp", netip.AddrPortFrom(dst, 9999).String())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = server.Close() }()
				honest, liar := g.honest.Addrs()[is6], g.liar.Addrs()[is6]
				world := []netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8::77")}[is6]
				before := g.spoofed()
				to := netip.AddrPortFrom(dst, 9999)
				// An honest exchange first, so that the lie is about a connection that is established.
				sendRaw(t, g.honest, udp(netip.AddrPortFrom(honest, 4000), to, "honest"))
				g.expect(server, "honest", netip.AddrPortFrom(honest, 4000))
				for _, source := range []netip.AddrPort{
					netip.AddrPortFrom(honest, 4000), netip.AddrPortFrom(honest, 4001), netip.AddrPortFrom(world, 4002),
				} {
					sendRaw(t, g.liar, udp(source, to, "lie"))
				}
				eventually(t, "the lies are dropped", func() bool { return g.spoofed() == before+3 })
				sendRaw(t, g.liar, udp(netip.AddrPortFrom(liar, 4003), to, "truth"))
				g.expect(server, "truth", netip.AddrPortFrom(liar, 4003))
			}
			g.same()
			g.toldBySource()
			// When no source is checked the same packets arrive: it was the check that stopped them.
			g.set(dataplane.AntiSpoofing{})
			server, err := g.spokeTo.ListenPacket("udp", netip.AddrPortFrom(g.spokeTo.Addr4(), 9998).String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			from := netip.AddrPortFrom(g.honest.Addr4(), 4004)
			sendRaw(t, g.liar, udp(from, netip.AddrPortFrom(g.spokeTo.Addr4(), 9998), "lie"))
			g.expect(server, "lie", from)
		})
	}
}

// expect reads the next packet.
// toldBySource checks that the liar's interface is told, with the sources that it had.
func (g *spoofLab) toldBySource() {
	g.t.Helper()
	list, err := g.b.SpoofedSources(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, s := range list {
		if s.Link != g.known.Links[1].Index {
			g.t.Errorf("interface %d is told of %v", s.Link, s.Source)
		}
		got[s.Source.String()] += s.Packets
	}
	want := map[string]uint64{"192.0.2.77": 1, "2001:db8::77": 1, g.honest.Addr4().String(): 2, g.honest.Addr6().String(): 2}
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Error(diff)
	}
}

func (g *spoofLab) expect(server net.PacketConn, text string, from netip.AddrPort) {
	g.t.Helper()
	if err := server.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	b := make([]byte, 100)
	n, addr, err := server.ReadFrom(b)
	if err != nil {
		g.t.Fatal(err)
	}
	got := addr.(*net.UDPAddr).AddrPort()
	if string(b[:n]) != text || netip.AddrPortFrom(got.Addr().Unmap(), got.Port()) != from {
		g.t.Errorf("got %q from %v, want %q from %v", b[:n], got, text, from)
	}
}

// TestConnectionsWithAntiSpoofing makes connections of all kinds between pods whose sources are checked, the
// node and each other: nothing that is true is stopped.
func TestConnectionsWithAntiSpoofing(t *testing.T) {
	for name, bridge := range map[string]bool{"routed": false, "bridge": true} {
		t.Run(name, func(t *testing.T) {
			g := newSpoofLab(t, bridge)
			hosts := append(g.lab.Hosts(), g.lab.Node())
			for _, from := range hosts {
				for _, to := range hosts {
					if from == to {
						continue
					}
					for _, f := range []policy.Flow{
						{Src: from.Addr4(), Dst: to.Addr4(), Protocol: policy.TCP, DstPort: 80},
						{Src: from.Addr6(), Dst: to.Addr6(), Protocol: policy.TCP, DstPort: 80},
						{Src: from.Addr4(), Dst: to.Addr4(), Protocol: policy.ICMP, ICMPType: 8},
						{Src: from.Addr6(), Dst: to.Addr6(), Protocol: policy.ICMPv6, ICMPType: 128},
					} {
						if out := g.lab.Probe(context.Background(), f, 0); out.Verdict != lab.Allowed {
							t.Errorf("%s: %v (%s)", flowText(f), out.Verdict, out.Detail)
						}
					}
				}
			}
			if n := g.spoofed(); n != 0 {
				t.Errorf("%d honest packets were dropped", n)
			}
		})
	}
}

// TestBridgeClaims has a pod on a bridge claim the address of another, by ARP and
// by neighbour advertisements.
func TestBridgeClaims(t *testing.T) {
	g := newSpoofLab(t, true)
	claim := func(sender netip.Addr) []byte {
		b := []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9}
		b = append(b, sender.AsSlice()...)
		b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		return append(b, sender.AsSlice()...)
	}
	sendFrame(t, g.liar, unix.ETH_P_ARP, claim(g.honest.Addr4()))
	eventually(t, "the claim by ARP is dropped", func() bool { return g.spoofed() == 1 })
	sendFrame(t, g.liar, unix.ETH_P_ARP, claim(g.liar.Addr4()))
	advert := func(target netip.Addr) []byte {
		src, dst := netip.MustParseAddr("fe80::9"), netip.MustParseAddr("ff02::1")
		body := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...)
		body = append(body, 2, 1, 2, 0, 0, 0, 0, 9)
		binary.BigEndian.PutUint16(body[2:], checksum(src, dst, unix.IPPROTO_ICMPV6, body))
		h := make([]byte, 40)
		h[0], h[5], h[6], h[7] = 0x60, byte(len(body)), unix.IPPROTO_ICMPV6, 255
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		return append(h, body...)
	}
	sendFrame(t, g.liar, unix.ETH_P_IPV6, advert(g.liar.Addr6()))
	sendFrame(t, g.liar, unix.ETH_P_IPV6, advert(g.honest.Addr6()))
	eventually(t, "the claim by advertisement is dropped", func() bool { return g.spoofed() == 2 })
	g.same()
}

// TestBridgePolicy checks that packets between ports of one bridge meet policy
// when br_netfilter is on, and do not when it is off: which is why that is reported.
func TestBridgePolicy(t *testing.T) {
	g := newSpoofLab(t, true)
	deny := tabletest.First()
	deny.Deciders[1] = dataplane.Decider{ID: 1, Direction: policy.Ingress, By: policy.Decider{Tier: "default", Kind: "K", Name: "none"}}
	deny.Rows[1] = dataplane.Row{{LastProtocol: 255, Dst: dataplane.FullRange, Src: dataplane.FullRange, Decider: 1}}
	for id, h := range map[dataplane.ProgramID]netip.Addr{4: g.spokeTo.Addr4(), 5: g.spokeTo.Addr6()} {
		deny.Programs[id] = dataplane.Program{ID: id, Base: 1}
		deny.Locals[h] = dataplane.Local{Addr: h, Ingress: id}
	}
	apply(t, g.b, tabletest.First().Step(deny))
	for _, on := range []string{"1", "0"} {
		for _, file := range []string{"iptables", "ip6tables"} {
			if err := g.lab.Node().Do(func() error {
				return os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+file, []byte(on), 0)
			}); err != nil {
				if os.IsNotExist(err) && os.Getenv("CI") != "true" {
					t.Skip("SKIPPED: this kernel has no br_netfilter")
				}
				t.Fatal(err)
			}
		}
		for _, f := range []policy.Flow{
			{Src: g.honest.Addr4(), Dst: g.spokeTo.Addr4(), Protocol: policy.TCP, DstPort: 80},
			{Src: g.honest.Addr6(), Dst: g.spokeTo.Addr6(), Protocol: policy.TCP, DstPort: 80},
		} {
			want := map[string]lab.Verdict{"1": lab.Denied, "0": lab.Allowed}[on]
			if out := g.lab.Probe(context.Background(), f, 0); out.Verdict != want {
				t.Errorf("br_netfilter %s: %s: %v (%s), want %v", on, flowText(f), out.Verdict, out.Detail, want)
			}
		}
	}
}

// TestUnknownAddresses checks the node's pod networks: addresses in them that are
// no endpoint's have no traffic, endpoints without any policy have all of it.
func TestUnknownAddresses(t *testing.T) {
	g := newSpoofLab(t, false)
	known := tabletest.First()
	for _, h := range []*lab.Host{g.honest, g.spokeTo} {
		for _, a := range h.Addrs() {
			known.Locals[a] = dataplane.Local{Addr: a}
		}
	}
	apply(t, g.b, tabletest.First().Step(known))
	addHost(t, g.lab, "world", world4IP.String(), world6IP.String())
	g.known.PodNets = []netip.Prefix{
		netip.MustParsePrefix("10.244.1.0/25"), netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244::/62"),
	}
	for round, nets := range [][]netip.Prefix{g.known.PodNets, g.known.PodNets, nil} {
		g.known.PodNets = nets
		g.set(g.known)
		for _, pair := range [][2]string{{"honest", "spokeTo"}, {"world", "honest"}, {"honest", "world"}, {"node", "liar"}, {"liar", "node"}, {"liar", "honest"}, {"honest", "liar"}, {"world", "liar"}, {"liar", "world"}} {
			from, to := g.lab.Host(pair[0]), g.lab.Host(pair[1])
			want := lab.Allowed
			if (pair[0] == "liar" || pair[1] == "liar") && pair[0] != "node" && pair[1] != "node" && round == 0 {
				want = lab.Denied
			}
			for _, f := range []policy.Flow{
				{Src: from.Addr4(), Dst: to.Addr4(), Protocol: policy.UDP, DstPort: 53},
				{Src: from.Addr6(), Dst: to.Addr6(), Protocol: policy.UDP, DstPort: 53},
			} {
				if out := g.lab.Probe(context.Background(), f, 0); out.Verdict != want {
					t.Errorf("round %d: %s to %s: %s: %v (%s), want %v", round, pair[0], pair[1], flowText(f), out.Verdict, out.Detail, want)
				}
			}
		}
		if round == 0 { // the last one becomes known
			next := known.Clone()
			for _, a := range g.liar.Addrs() {
				next.Locals[a] = dataplane.Local{Addr: a}
			}
			apply(t, g.b, known.Step(next))
			g.same()
		}
	}
}

// TestAntiSpoofingSteps changes what is known of interfaces, has it outlive a restart, a repair and a step
// that the kernel refuses, and go away.
func TestAntiSpoofingSteps(t *testing.T) {
	for name, bridge := range map[string]bool{"routed": false, "bridge": true} {
		t.Run(name, func(t *testing.T) {
			g := newSpoofLab(t, bridge)
			less := dataplane.AntiSpoofing{Links: g.known.Links[1:]}
			g.set(less)
			g.set(g.known)
			g.set(less)
			table := inet(DefaultTable)
			if bridge {
				table = codec.TableID{Family: unix.NFPROTO_BRIDGE, Name: DefaultTable}
			}
			tamper(t, nodeNS(g.lab), func(w *nfnl.Writer) { codec.WriteFlush(w, table, sourceChain) })
			d, err := g.b.Check(context.Background())
			if err != nil || !d.Repaired || len(d.Findings) != 1 || !strings.Contains(d.Findings[0], "chain source: ") {
				t.Errorf("after the rules were deleted: %+v, %v", d, err)
			}
			g.same()
			tamper(t, nodeNS(g.lab), func(w *nfnl.Writer) { codec.WriteTable(w, unix.NFT_MSG_DELTABLE, table) })
			g.set(g.known) // a step that does not fit what is there

			text := stockNFT(t, g.lab, "list ruleset")
			wants := []string{"type iface_index\n\t\telements = { \"tw1\", \"tw2\", \"tw3\" }", "iif . ip saddr @sources4 goto guard-workload4", "iif . ip6 saddr @sources6 goto guard-workload6", `comment "not its own address"`,
				"type filter hook prerouting priority raw - 1; policy accept;", "iif @links goto source", "ip saddr @bound4 jump guard-outside4",
				"update @outside4 { ip saddr timeout 1h counter }", "iif . @th,192,32 @sources4 return", "ip saddr . @th,192,32 @self4 return"}
			if bridge {
				wants = append(wants, "table bridge tierwall", "iif @links jump source", "arp saddr ip", "type filter hook prerouting priority dstnat;")
			}
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("nft does not print %q in\n%s", want, text)
				}
			}

			next := newDataplane(t, nodeNS(g.lab)) // another agent
			if err := next.SetAntiSpoofing(context.Background(), less); err != nil {
				t.Fatal(err)
			}
			apply(t, next, tabletest.Empty().Step(tabletest.First()))
			g.b = next
			g.same()
			if err := next.Remove(context.Background()); err != nil {
				t.Fatal(err)
			}
			if text := strings.TrimSpace(stockNFT(t, g.lab, "list ruleset")); text != "" {
				t.Errorf("after removal there is\n%s", text)
			}
		})
	}
}
