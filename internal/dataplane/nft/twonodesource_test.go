package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
)

// allowedPort is where the policies of these tests let pod a send.
const allowedPort = 9997

// sentAs is a form in which a pod sends a packet, which may be several frames.
type sentAs struct {
	// frames makes them from a packet, for the gateway.
	frames func(gateway net.HardwareAddr, p []byte) []lab.Frame
	// arrives says that what policy allows arrives in this form.
	arrives bool
}

// whole returns one frame for each packet that f makes of one.
func whole(f func(p []byte) [][]byte) func(net.HardwareAddr, []byte) []lab.Frame {
	return func(gateway net.HardwareAddr, p []byte) (list []lab.Frame) {
		for _, q := range f(p) {
			list = append(list, lab.IPFrame(gateway, q))
		}
		return list
	}
}

func one(f func(p []byte) []byte) func(net.HardwareAddr, []byte) []lab.Frame {
	return whole(func(p []byte) [][]byte { return [][]byte{f(p)} })
}

func tagged(tags ...lab.Tag) sentAs {
	return sentAs{frames: func(gateway net.HardwareAddr, p []byte) []lab.Frame {
		f := lab.IPFrame(gateway, p)
		f.Tags = tags
		return []lab.Frame{f}
	}}
}

// sendingForms returns the forms of a family, by name. Another's hardware address is among
// them for those that have one.
func sendingForms(family int, others net.HardwareAddr) map[string]sentAs {
	forms := map[string]sentAs{
		"as it is":          {one(func(p []byte) []byte { return p }), true},
		"in fragments":      {whole(func(p []byte) [][]byte { return fragments(p, 8) }), true},
		"last first":        {whole(func(p []byte) [][]byte { f := fragments(p, 8); return [][]byte{f[1], f[0]} }), true},
		"802.1Q, VID 0":     tagged(lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q, VID 7":     tagged(lab.Tag{Type: lab.EtherVLAN, ID: 7}),
		"802.1ad, VID 0":    tagged(lab.Tag{Type: lab.EtherQinQ}),
		"802.1ad in 802.1Q": tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherQinQ}),
		"802.1Q in 802.1ad": tagged(lab.Tag{Type: lab.EtherQinQ}, lab.Tag{Type: lab.EtherVLAN}),
		"802.1Q twice":      tagged(lab.Tag{Type: lab.EtherVLAN}, lab.Tag{Type: lab.EtherVLAN}),
		"by another's MAC": {func(gateway net.HardwareAddr, p []byte) []lab.Frame {
			f := lab.IPFrame(gateway, p)
			f.Src = others
			return []lab.Frame{f}
		}, false},
	}
	if family == 0 {
		hop := p4("10.244.2.3")
		for name, options := range map[string][]byte{
			"with no-operation options": {1, 1, 1, 0}, "with a record of the route": {7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"with a router alert": {148, 4, 0, 0},
		} {
			forms[name] = sentAs{one(func(p []byte) []byte { return lab.WithOptions(p, options) }), true}
		}
		for name, option := range map[string]byte{"by a loose source route": 131, "by a strict source route": 137} {
			forms[name] = sentAs{one(func(p []byte) []byte { return lab.WithOptions(p, append([]byte{option, 7, 4}, append(hop, 0)...)) }), false}
		}
		return forms
	}
	options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	toD := netip.MustParseAddr("fd00:244:2::3").AsSlice()
	routing := func(typ, left byte, last byte) func(next byte) []byte {
		return func(next byte) []byte { return append([]byte{next, 2, typ, left, last, 0, 0, 0}, toD...) }
	}
	for name, h := range map[string]struct {
		first   byte
		headers func(next byte) []byte
	}{
		"behind hop-by-hop options":     {0, options},
		"behind destination options":    {60, options},
		"behind both":                   {0, func(next byte) []byte { return append(options(60), options(next)...) }},
		"behind a route, type 0":        {43, routing(0, 0, 0)},
		"behind a route of segments":    {43, routing(4, 0, 0)},
		"behind a route with more hops": {43, routing(0, 1, 0)},
		"behind a route to a home":      {43, routing(2, 0, 0)},
	} {
		forms[name] = sentAs{one(func(p []byte) []byte { return behind(p, h.first, h.headers(p[6])) }), true}
		if h.first == 0 { // which fragments have in front
			continue
		}
		cut := func(after int) func(p []byte) [][]byte {
			return func(p []byte) [][]byte { return fragments(behind(p, h.first, h.headers(p[6])), after) }
		}
		forms[name+", in fragments"] = sentAs{whole(cut(len(h.headers(0)) + 8)), true}
		forms[name+", in fragments, the first without a port"] = sentAs{whole(cut(8)), false}
	}
	return forms
}

func p4(text string) []byte { return netip.MustParseAddr(text).AsSlice() }

// behind puts extension headers before what an IPv6 packet carries.
func behind(p []byte, first byte, headers []byte) []byte {
	src, dst := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	return lab.Packet(src, dst, first, append(append([]byte{}, headers...), p[40:]...))
}

// TestSpoofingAcrossNodes has a pod send to pods of the other node, in each form, with its own
// source and with those of others: of another pod of its node, of one of the other node, and of
// that node itself. Policy lets all but its own arrive; with its own it lets it send to one port
// only. One receiver has no policy at all.
func TestSpoofingAcrossNodes(t *testing.T) {
	onTwoNodes(t, fewOverlays, func(n *twoNodes) {
		n.policies(
			governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort), allowTo(policy.UDP, allowedPort)),
			governs("pod == 'c'", []policy.Direction{policy.Ingress}, policy.Rule{Action: policy.Allow, Source: policy.Peer{NotSet: from("pod == 'a'").Source.Set}},
				allowTo(policy.UDP, markerPort), allowTo(policy.UDP, allowedPort)),
		)
		for family := range familyDigit {
			for name, form := range sendingForms(family, n.one.mac[n.b]) {
				for _, to := range []*lab.Host{n.c, n.d} {
					send := func(src *lab.Host, port uint16) (text string, send func() error) {
						text = fmt.Sprintf("%s from %s to %s, port %d.", name, src.Name(), to.Name(), port)
						p := lab.UDPPacket(netip.AddrPortFrom(addrOf(src, family), 4000), netip.AddrPortFrom(addrOf(to, family), port), strings.Repeat(text, 3)) // cut wherever
						return text, func() error { return n.a.SendFrames(form.frames(n.one.nodeMAC, p)...) }
					}
					for _, src := range []*lab.Host{n.b, n.d, n.two.node} {
						if text, send := send(src, allowedPort); n.reaches(to, family, text, send) {
							n.Errorf("%s arrives", text)
						}
					}
					if text, send := send(n.a, 9999); n.reaches(to, family, text, send) {
						n.Errorf("%s arrives", text)
					}
					if form.arrives {
						text, send := send(n.a, allowedPort)
						n.comes(to, text, send)
					}
				}
			}
		}
		n.two.wants("", 0) // all of it has ended on the sender's node
		// Were sources not checked there, the other node would believe all but those of its own pods.
		n.one.knows(dataplane.AntiSpoofing{})
		for family := range familyDigit {
			spoofed := func(src *lab.Host, text string) func() error {
				return func() error {
					return n.a.SendPackets(lab.UDPPacket(netip.AddrPortFrom(addrOf(src, family), 4000), netip.AddrPortFrom(addrOf(n.c, family), 9999), text))
				}
			}
			n.comes(n.c, "believed", spoofed(n.b, "believed"))
			if n.reaches(n.c, family, "not believed", spoofed(n.d, "not believed")) {
				n.Errorf("family %d: a pod of the receiver's node is spoofed from another node", family)
			}
			n.two.wants(dataplane.GuardUplinkSource, 1)
		}
	})
}

// TestRoutesOfTheSender has a pod that may send to the other node alone give that node a way
// on to a pod, by a source route. The kernel takes none unless told so.
func TestRoutesOfTheSender(t *testing.T) {
	onTwoNodes(t, fewOverlays, func(n *twoNodes) {
		n.policies(governs("pod == 'a'", []policy.Direction{policy.Egress}, allowTo(policy.UDP, markerPort),
			policy.Rule{Action: policy.Allow, Destination: policy.Peer{Nets: []netip.Prefix{netip.PrefixFrom(n.two.node.Addr4(), 32), netip.PrefixFrom(n.two.node.Addr6(), 128)}}}))
		for family := range familyDigit {
			c, node := addrOf(n.c, family), addrOf(n.two.node, family)
			for name, p := range routedBy(addrOf(n.a, family), node, c) {
				if n.reaches(n.c, family, name, func() error { return n.a.SendPackets(p(name)) }) {
					n.Errorf("%s it arrives", name)
				}
			}
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
		for _, g := range n.nodes() {
			n.must(g.node.Do(takeSourceRoutes))
		}
		const loose = "by a loose source route"
		n.comes(n.c, loose, func() error {
			return n.a.SendPackets(routedBy(n.a.Addr4(), n.two.node.Addr4(), n.c.Addr4())[loose](loose))
		})
	})
}

// takeSourceRoutes has a node go by source routes of IPv4.
func takeSourceRoutes() error {
	files, err := filepath.Glob("/proc/sys/net/ipv4/conf/*/accept_source_route")
	for _, f := range files {
		err = errors.Join(err, os.WriteFile(f, []byte("1"), 0))
	}
	return err
}

// routedBy returns packets to a node that are to go on to a pod, by how they say so.
func routedBy(src, node, pod netip.Addr) map[string]func(text string) []byte {
	udp := func(text string) []byte {
		return lab.UDPPacket(netip.AddrPortFrom(src, 4000), netip.AddrPortFrom(node, 9999), text)
	}
	forms := map[string]func(text string) []byte{}
	if src.Is4() {
		for name, option := range map[string]byte{"by a loose source route": 131, "by a strict source route": 137} {
			forms[name] = func(text string) []byte {
				return lab.WithOptions(udp(text), append(append([]byte{option, 7, 4}, pod.AsSlice()...), 0))
			}
		}
		return forms
	}
	for name, typ := range map[string]byte{"by a route of type 0": 0, "by a route to a home": 2, "by a route for sources": 3, "by a route of segments": 4} {
		forms[name] = func(text string) []byte {
			p := udp(text)
			header := append([]byte{p[6], 2, typ, 1, 0, 0, 0, 0}, pod.AsSlice()...)
			return behind(p, 43, header)
		}
	}
	return forms
}
