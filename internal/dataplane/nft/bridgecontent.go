package nft

import (
	"net"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Behind a bridge, the rules for IP see the bridge as the interface of a packet,
// not its port. So what the ports of local endpoints may send is checked by a
// table of the bridge family, which is there only while there are such ports:
//
//	chain prerouting   iif @links goto source
//	                   ip saddr @bound4 goto dropped-uplink-source
//	chain input        (for the host itself) to a group that bridges keep to themselves, which
//	                   comes by no other hook: iif @links jump source
//	                   from a link-local address: see closesHost
//	chain source       jump frames; jump mac
//	                   ICMPv6 neighbour advertisements: jump advert
//	                   IP with an address of the port: goto guard-workload4
//	                   ARP that claims an address of the port: return
//	                   IPv6 with an address of the port, or a link-local one: goto guard-workload6
//	                   without an address yet (DHCP, solicitations, probes): return
//	                   other IP, ARP, IPv6: goto dropped-source
//	chain frames       IPv4, IPv6, ARP: return
//	                   goto dropped-frame
//	chain forward      oif @links jump to-port, iif @links jump from-port: see bridgeports.go
//
// What must hold:
//
//   - A frame's type is read where it stands in the frame. The kernel takes a tag off
//     before it asks, and says the inner type then; nft puts the tag back for whoever
//     reads the frame itself.
//   - A bridge learns from a frame after its first chain, so that what is dropped there
//     moves no hardware address to another port.

const (
	bridgeChain      = "prerouting"
	bridgeInputChain = "input"
	advertChain      = "advert"
	framesChain      = "frames"
	macChain         = "mac"
	bridgePriority   = -300 // before br_netfilter has the rules for IP asked

	macLinksSet = "mac-links" // ports whose hardware address is known
	macsSet     = "macs"
)

const (
	etherIPv4 = dataplane.EtherIPv4
	etherARP  = dataplane.EtherARP
	etherIPv6 = dataplane.EtherIPv6
)

// bridgeBases are the base chains of the table.
var bridgeBases = []codec.ChainSpec{
	{Name: bridgeChain, Base: true, Hook: hookPrerouting, Priority: bridgePriority},
	{Name: bridgeInputChain, Base: true, Hook: hookInput, Priority: bridgePriority},
	{Name: forwardPortsChain, Base: true, Hook: codec.HookForward, Priority: bridgePriority},
}

// bridgeContent is all that the table holds.
type bridgeContent struct {
	entries map[sourceEntry]bool
	allowed allowedSources
	guards  dataplane.GuardSettings
}

func (*bridgeContent) emitAddrs(sink) {}

func (c *bridgeContent) emit(out sink) error {
	g := guardChains{out, c.guards}
	emitEntries(out, bridgeSets(), c.entries)
	emitDropped(out, dataplane.GuardFrame, dataplane.GuardMAC, dataplane.GuardSource, dataplane.GuardRouter, dataplane.GuardICMPError,
		dataplane.GuardLinkLocal, dataplane.GuardDestination)
	emitDropped(out, dataplane.GuardUplinkSource)
	var outside []codec.Rule // what comes by other ports, an uplink for one, with the address of a port's endpoint
	for family := range familyDigit {
		outside = append(outside, when(join(isEtherIP(family), []codec.Expr{address(family, source), inSet(boundName(family))}), droppedBy(dataplane.GuardUplinkSource)))
	}
	out.AddBaseChain(bridgeBases[0],
		append([]codec.Rule{when(fromLink(), goTo(sourceChain))}, g.when(dataplane.GuardUplinkSource, outside...)...))
	g.chain(sourceChain, g.when(dataplane.GuardFrame, always(jumpTo(framesChain))),
		g.when(dataplane.GuardMAC, when(interfaceIn(codec.MetaIIF, macLinksSet), jumpTo(macChain))), c.portRules())
	g.chain(advertChain, c.advertRules())
	g.chain(framesChain, frameRules())
	emitMACs(g)
	for family := range familyDigit {
		workloadICMP(g, family, isEtherIP(family), []codec.Rule{
			when(join(isEtherIP(family), ownSource(family, embeddedDestination(family))), returns),
		}, c.allowed.toEmbedded()...)
	}
	c.allowed.emit(out, true)
	c.emitForward(g)
	c.emitInput(g)
	return nil
}

// bridgeSets are the sets of the table.
func bridgeSets() []codec.SetSpec {
	sets := append(linkSets(), addrSet(boundName(0), 0), addrSet(boundName(1), 1))
	for _, name := range []string{macLinksSet, closedSet, egressPortsSet, ingressPortsSet, noDHCPSet, noDHCPNodeSet} {
		sets = append(sets, codec.SetSpec{Name: name, KeyType: codec.IfIndex, KeyLen: 4})
	}
	return append(sets, codec.SetSpec{Name: macsSet, KeyType: codec.IfIndex<<codec.ConcatBits | codec.EtherAddr, KeyLen: 12})
}

// isEther matches the type of what a frame carries, tags taken off.
func isEther(typ uint16) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaProtocol}, is(byte(typ>>8), byte(typ))}
}

func isEtherIP(family int) []codec.Expr { return isEther([...]uint16{etherIPv4, etherIPv6}[family]) }

// frameRules let by IP and ARP, by the type that stands in the frame.
func frameRules() []codec.Rule {
	var rules []codec.Rule
	for _, typ := range []uint16{etherIPv4, etherIPv6, etherARP} {
		rules = append(rules, when([]codec.Expr{payload(codec.LinkHeader, 12, 2), is(byte(typ>>8), byte(typ))}, returns))
	}
	return append(rules, always(droppedBy(dataplane.GuardFrame)))
}

var (
	arpSender    = payload(codec.NetworkHeader, 8, 6)
	arpSource    = payload(codec.NetworkHeader, 14, 4)
	advertTarget = payload(codec.TransportHeader, 8, 16)
	toldOption   = payload(codec.TransportHeader, 24, 1) // the first option of neighbour discovery
	toldAddress  = payload(codec.TransportHeader, 26, 6)
	isAdvert     = join(isEther(etherIPv6), isICMPv6(is(136)))
	// isProbe is the question whether an address is free, of whoever is about to take it: who
	// asks for another's has it taken for a duplicate.
	isProbe = join(isEther(etherIPv6), []codec.Expr{address(1, source), is(make([]byte, 16)...)}, isICMPv6(is(135)))
)

// portRules check what a port sends.
func (c *bridgeContent) portRules() []codec.Rule {
	rules := []codec.Rule{
		when(isAdvert, jumpTo(advertChain)),
		when(isProbe, jumpTo(advertChain)),
		when(join(isEther(etherIPv4), ownSource(0, address(0, source))), goTo(workloadChain(0))),
		when(join(isEther(etherARP), ownSource(0, arpSource)), returns),
		when(join(isEther(etherIPv6), ownSource(1, address(1, source))), goTo(workloadChain(1))),
		when(join(isEther(etherIPv6), linkLocal(address(1, source))), goTo(workloadChain(1))),
		when(join(isEther(etherARP), []codec.Expr{arpSource, is(0, 0, 0, 0)}), returns),
	}
	for family := range familyDigit {
		rules = append(rules, withoutAddress(family, isEtherIP(family))...)
		rules = append(rules, c.allowed.to("allowed-source", isEtherIP(family))...)
	}
	rules = append(rules, c.allowed.to("allowed-arp", isEther(etherARP))...)
	rules = append(rules, countSpoofed(0, isEther(etherIPv4), address(0, source)), countSpoofed(1, isEther(etherIPv6), address(1, source)),
		countSpoofed(0, isEther(etherARP), arpSource))
	for _, typ := range []uint16{etherIPv4, etherARP, etherIPv6} {
		rules = append(rules, when(isEther(typ), droppedBy(dataplane.GuardSource)))
	}
	return rules
}

// advertRules check what a neighbour advertisement says where the sender is, and which address
// a probe is about: both are ICMPv6 with the address at one place.
func (c *bridgeContent) advertRules() []codec.Rule {
	isIPv6 := isEther(etherIPv6)
	rules := []codec.Rule{
		when(join(isIPv6, ownSource(1, advertTarget)), returns),
		when(join(isIPv6, linkLocal(advertTarget)), returns),
	}
	rules = append(rules, c.allowed.to("allowed-target", isIPv6)...)
	return append(rules, always(droppedBy(dataplane.GuardSource)))
}

// emitMACs hands out what checks hardware addresses: the frame's own, the sender's of
// ARP, and the one that neighbour discovery tells, where it stands first.
func emitMACs(g guardChains) {
	own := func(field codec.Expr) []codec.Expr { return interfaceAnd(codec.MetaIIF, field, macsSet) }
	toFrame, dropped := goTo(macChain+"-frame"), droppedBy(dataplane.GuardMAC)
	told := join(isEther(etherIPv6), isICMPv6(between(135, 136)), []codec.Expr{toldOption, between(1, 2)})
	g.chain(macChain, []codec.Rule{
		when(join(isEther(etherARP), own(arpSender)), toFrame),
		when(isEther(etherARP), dropped),
		when(told, goTo(macChain+"-told")),
		always(toFrame),
	})
	g.chain(macChain+"-told", []codec.Rule{when(own(toldAddress), toFrame), always(dropped)})
	g.chain(macChain+"-frame", []codec.Rule{when(own(payload(codec.LinkHeader, 6, 6)), returns), always(dropped)})
}

// macEntries returns the elements of the hardware address of a port.
func macEntries(entries map[sourceEntry]bool, link int, mac net.HardwareAddr) {
	if len(mac) != 6 {
		return
	}
	entries[sourceEntry{macLinksSet, linkKey(link)}] = true
	entries[sourceEntry{macsSet, linkKey(link) + string(mac) + "\x00\x00"}] = true
}

// linkLocal matches a field that holds an address of fe80::/10.
func linkLocal(field codec.Expr) []codec.Expr {
	mask, want := make([]byte, 16), make([]byte, 16)
	mask[0], mask[1], want[0], want[1] = 0xff, 0xc0, 0xfe, 0x80
	return []codec.Expr{field, {Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 16, Data: string(mask)}, is(want...)}
}
