package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Policy goes by the addresses of a packet. Between ports of one bridge a packet may have
// others than those of the endpoints: link-local ones, or a group's, or everybody's. The
// bridge asks for each port that a frame leaves by, so it can be said there:
//
//	chain forward      oif @links jump to-port
//	                   iif @links jump from-port
//	chain to-port      frames that are neither IP nor ARP: dropped-frame
//	                   ARP; what policy never judges: return
//	                   oif @ingress-ports jump delivered
//	chain delivered    oif . ip daddr @sources4 return          (the rules for IP ask the policy)
//	                   link-local: dropped-link-local; any other: dropped-destination
//	chain from-port    what policy never judges: return
//	                   iif @egress-ports, from or to a link-local address: dropped-link-local
//	                   DHCP, where the policy of the port's addresses denies it: drop
//	                   iif @egress-ports, to another port: jump addressed
//	chain addressed    oif . ip daddr @sources4, groups and everybody: return
//	                   goto dropped-destination             (policy was asked about who does not get it)
//
// A port is in @ingress-ports (@egress-ports) if policy governs its endpoint in that
// direction and may deny anything there. What the host sends itself leaves by another
// hook, and is never asked.

const (
	forwardPortsChain = "forward"
	toPortChain       = "to-port"
	fromPortChain     = "from-port"
	deliveredChain    = "delivered"
	addressedChain    = "addressed"

	egressPortsSet  = "egress-ports"
	ingressPortsSet = "ingress-ports"
	noDHCPSet       = "no-dhcp"
	noDHCPNodeSet   = "no-dhcp-to-node" // the same for the node itself; in the table for IP of interfaces that are no ports

	noDHCPComment = "DHCP, which its egress policy denies"
)

// emitForward hands out what is asked between ports.
func (c *bridgeContent) emitForward(g guardChains) {
	g.out.AddBaseChain(bridgeBases[2], []codec.Rule{
		when(interfaceIn(codec.MetaOIF, linksSet), jumpTo(toPortChain)),
		when(fromLink(), jumpTo(fromPortChain)),
	})
	g.chain(toPortChain, g.when(dataplane.GuardFrame, always(jumpTo(framesChain))),
		[]codec.Rule{when(isEther(etherARP), returns)}, bridgeControl(), routerAdverts(),
		[]codec.Rule{when(interfaceIn(codec.MetaOIF, ingressPortsSet), jumpTo(deliveredChain))})
	var own, other []codec.Rule
	for family := range familyDigit {
		to := interfaceAnd(codec.MetaOIF, address(family, destination), sourcesName(family))
		own = append(own, when(join(isEtherIP(family), to), returns))
		other = append(other, when(isEtherIP(family), droppedBy(dataplane.GuardDestination)))
	}
	local := when(join(isEther(etherIPv6), linkLocal(address(1, destination))), droppedBy(dataplane.GuardLinkLocal))
	if !c.guards.Has(dataplane.GuardLinkLocal) {
		local = when(join(isEther(etherIPv6), linkLocal(address(1, destination))), returns)
	}
	g.chain(deliveredChain, own, []codec.Rule{local}, g.when(dataplane.GuardDestination, other...))
	var locals []codec.Rule
	for _, s := range []side{source, destination} {
		locals = append(locals, when(join(isEther(etherIPv6), linkLocal(address(1, s)), interfaceIn(codec.MetaIIF, egressPortsSet)), droppedBy(dataplane.GuardLinkLocal)))
	}
	last := []codec.Rule{noDHCP(isEther(etherIPv4), noDHCPSet)}
	if len(c.allowed) == 0 && c.guards.Has(dataplane.GuardDestination) { // else a port may lead to more addresses than its endpoint's
		between := join(interfaceIn(codec.MetaIIF, egressPortsSet), interfaceIn(codec.MetaOIF, linksSet))
		last = append(last, when(between, jumpTo(addressedChain)))
		c.emitAddressed(g, own, other)
	}
	g.chain(fromPortChain, bridgeControl(), g.when(dataplane.GuardLinkLocal, locals...), last)
}

// emitAddressed hands out what is asked of frames between ports whose sender policy governs.
func (c *bridgeContent) emitAddressed(g guardChains, own, other []codec.Rule) {
	var anyway []codec.Rule
	if !c.guards.Has(dataplane.GuardLinkLocal) {
		anyway = append(anyway, when(join(isEther(etherIPv6), linkLocal(address(1, destination))), returns))
	}
	for family := range familyDigit {
		anyway = append(anyway, when(join(isEtherIP(family), multicast(family)), returns))
	}
	anyway = append(anyway, when(join(isEtherIP(0), []codec.Expr{address(0, destination), is(0xff, 0xff, 0xff, 0xff)}), returns))
	g.chain(addressedChain, own, anyway, other)
}

// noDHCP drops what asks for an address, from interfaces of a set.
func noDHCP(match []codec.Expr, set string) codec.Rule {
	dhcp := withoutAddress(0, match)[0].Exprs
	return denied(join(dhcp[:len(dhcp)-1], interfaceIn(codec.MetaIIF, set)), noDHCPComment)
}

// emitInput hands out what is asked of frames for the host itself.
func (c *bridgeContent) emitInput(g guardChains) {
	// Such groups are for bridges themselves: they are not forwarded, and do not meet the
	// first chain, but the bridge learns from them, and the host takes what is in them.
	reserved := []codec.Expr{
		payload(codec.LinkHeader, 0, 6),
		{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 6, Data: "\xff\xff\xff\xff\xff\xf0"},
		is(0x01, 0x80, 0xc2, 0, 0, 0),
	}
	local := when(join(isEther(etherIPv6), linkLocal(address(1, source)), interfaceIn(codec.MetaIIF, closedSet)), goTo("guard-link-local"))
	g.out.AddBaseChain(bridgeBases[1],
		append([]codec.Rule{when(join(reserved, fromLink()), jumpTo(sourceChain)), noDHCP(isEther(etherIPv4), noDHCPNodeSet)}, g.when(dataplane.GuardLinkLocal, local)...))
	g.chain("guard-link-local", bridgeControl(), []codec.Rule{always(droppedBy(dataplane.GuardLinkLocal))})
}

// bridgeControl lets by what policy never judges.
func bridgeControl() []codec.Rule { return controlRules(returns, isEtherIP) }

// routerAdverts lets by what routers say: those of workloads are dropped where they come in.
func routerAdverts() []codec.Rule {
	return []codec.Rule{when(join(isEther(etherIPv6), isICMPv6(is(134))), returns)}
}

// portEntries returns the elements that say what policy governs of a port's endpoint.
func (l *layout) portEntries(entries map[sourceEntry]bool, x dataplane.Link, d denials) {
	key := linkKey(x.Index)
	for _, a := range x.Addrs {
		local, ok := l.state.Local(a)
		if !ok {
			continue
		}
		if d.any(local.Egress) {
			entries[sourceEntry{egressPortsSet, key}] = true
		}
		if d.any(local.Ingress) {
			entries[sourceEntry{ingressPortsSet, key}] = true
		}
		if a.Is4() && !l.allowsDHCP(a) {
			entries[sourceEntry{noDHCPSet, key}] = true
		}
	}
	l.nodeEntries(entries, x, d)
}

// nodeEntries returns the elements that say what an endpoint may not send to the node itself from
// addresses that policy does not know.
func (l *layout) nodeEntries(entries map[sourceEntry]bool, x dataplane.Link, d denials) {
	key := linkKey(x.Index)
	if l.closesHost(x, d) {
		entries[sourceEntry{closedSet, key}] = true
	}
	for _, a := range x.Addrs {
		if a.Is4() && !l.state.DecideToNode(discover(a)).Allow {
			entries[sourceEntry{noDHCPNodeSet, key}] = true
		}
	}
}

// denials say which programs of a state deny anything. Endpoints share programs, so each
// is looked at once.
type denials struct {
	state *dataplane.State
	found map[dataplane.ProgramID]bool
}

func newDenials(s *dataplane.State) denials { return denials{s, map[dataplane.ProgramID]bool{}} }

// any reports whether a program denies anything. Program 0 does not govern.
func (d denials) any(id dataplane.ProgramID) bool {
	denies, done := d.found[id]
	if !done {
		denies = d.look(id)
		d.found[id] = denies
	}
	return denies
}

func (d denials) look(id dataplane.ProgramID) bool {
	program := d.state.Program(id)
	if program == nil {
		return false
	}
	if !allowsAll(d.state.Row(program.Base)) {
		return true
	}
	for _, row := range program.Cells {
		if !allowsAll(d.state.Row(row)) {
			return true
		}
	}
	return false
}

func allowsAll(row dataplane.Row) bool {
	for _, g := range row {
		if !g.Allow {
			return false
		}
	}
	return true
}

var everybody4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// allowsDHCP reports whether an endpoint's egress policy lets it ask for its address.
func (l *layout) allowsDHCP(a netip.Addr) bool {
	egress, _ := l.state.Decide(discover(a))
	return egress.Allow
}

// discover is how an endpoint asks for its address, as policy sees it.
func discover(a netip.Addr) policy.Flow {
	return policy.Flow{Src: a, Dst: everybody4, Protocol: policy.UDP, SrcPort: 68, DstPort: 67}
}
