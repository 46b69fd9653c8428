package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// What a workload packs into another packet comes out at whoever unpacks it, with a
// source of the workload's choice. Those who do are nodes, by the ports of their overlay
// interfaces, or by protocols that the kernel unpacks by itself:
//
//	chain forward              meta l4proto @encapsulating jump guard-encapsulation
//	chain guard-encapsulation  protocol . destination port @tunnel-ports, protocol @tunnel-protocols:
//	                           goto guard-encapsulated
//	chain guard-encapsulated   to a node, a group or everybody: goto guard-encapsulator
//	chain guard-encapsulator   from a local endpoint: goto dropped-encapsulation
//
// No node knows all addresses of the others. So what is for this host, whoever sends it, and in a form of
// its overlay, is dropped where that is at another address than the overlay's end:
//
//	chain guard-input          of @overlay-ports, @overlay-protocols: jump guard-overlay
//	chain guard-overlay        ip daddr @overlay4 return
//	                           goto dropped-overlay
//
// What is for the host itself is to a node, whatever its address is; destinations are
// those after translation, so that a service does not help. Fragments are whole again
// here, and the protocol is the one behind all extension headers.

const (
	encapsulatingSet   = "encapsulating"
	tunnelPortsSet     = "tunnel-ports"
	tunnelProtocolsSet = "tunnel-protocols"
	// overlayPortsSet and overlayProtocolsSet are the forms that come at known addresses only.
	overlayPortsSet     = "overlay-ports"
	overlayProtocolsSet = "overlay-protocols"
)

// udpProtocols have ports that may be those of tunnels: UDP and UDP-Lite.
var udpProtocols = []byte{17, 136}

func nodesName(family int) string   { return "nodes" + familyDigit[family] }
func overlayName(family int) string { return "overlay" + familyDigit[family] }

// tunnelEntries returns the elements that say what tunnels are, and where they end.
func tunnelEntries(known *dataplane.AntiSpoofing) map[sourceEntry]bool {
	entries := map[sourceEntry]bool{}
	for _, a := range known.NodeAddrs {
		entries[sourceEntry{nodesName(familyOf(a)), addrKey(a)}] = true
	}
	for _, a := range known.OverlayAddrs {
		entries[sourceEntry{overlayName(familyOf(a)), addrKey(a)}] = true
	}
	ports := func(set string, list []uint16) {
		for _, port := range list {
			for _, p := range udpProtocols {
				entries[sourceEntry{set, string([]byte{p, 0, 0, 0, byte(port >> 8), byte(port), 0, 0})}] = true
			}
		}
	}
	ports(tunnelPortsSet, dataplane.UsualTunnelPorts)
	ports(tunnelPortsSet, known.TunnelPorts)
	ports(overlayPortsSet, known.OverlayPorts)
	for _, p := range known.OverlayProtocols {
		entries[sourceEntry{overlayProtocolsSet, string([]byte{byte(p)})}] = true
	}
	for _, p := range udpProtocols {
		entries[sourceEntry{encapsulatingSet, string([]byte{p})}] = true
	}
	for _, p := range dataplane.TunnelProtocols {
		entries[sourceEntry{encapsulatingSet, string([]byte{byte(p)})}] = true
		entries[sourceEntry{tunnelProtocolsSet, string([]byte{byte(p)})}] = true
	}
	return entries
}

// tunnelSets are the sets of these elements.
func tunnelSets() []codec.SetSpec {
	sets := []codec.SetSpec{addrSet(nodesName(0), 0), addrSet(nodesName(1), 1), addrSet(overlayName(0), 0), addrSet(overlayName(1), 1)}
	for _, name := range []string{tunnelPortsSet, overlayPortsSet} {
		sets = append(sets, codec.SetSpec{Name: name, KeyType: codec.InetProto<<codec.ConcatBits | codec.InetService, KeyLen: 8})
	}
	for _, name := range []string{tunnelProtocolsSet, overlayProtocolsSet, encapsulatingSet} {
		sets = append(sets, codec.SetSpec{Name: name, KeyType: codec.InetProto, KeyLen: 1})
	}
	return sets
}

// encapsulationRules lead from the forward chain to the guard.
func (l *layout) encapsulationRules() []codec.Rule {
	if !l.guards.Has(dataplane.GuardEncapsulation) {
		return nil
	}
	return []codec.Rule{when(protocolIn(encapsulatingSet), jumpTo("guard-encapsulation"))}
}

func protocolIn(set string) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto}, inSet(set)}
}

// isEncapsulated returns rules for all that is.
func isEncapsulated(v codec.Verdict) []codec.Rule {
	return encapsulatedIn(tunnelPortsSet, tunnelProtocolsSet, v)
}

// encapsulatedIn returns rules for what is in the forms that two sets hold.
func encapsulatedIn(ports, protocols string, v codec.Verdict) []codec.Rule {
	port := payload(codec.TransportHeader, 2, 2)
	port.Register = codec.Reg32Start + 1
	return []codec.Rule{
		when([]codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto}, port, inSet(ports)}, v),
		when(protocolIn(protocols), v),
	}
}

// emitTunnels hands out the chains of the guard.
func (l *layout) emitTunnels(g guardChains) {
	if !l.guards.Has(dataplane.GuardEncapsulation) {
		return
	}
	g.chain("guard-encapsulation", isEncapsulated(goTo("guard-encapsulated")))
	to := goTo("guard-encapsulator")
	ends := []codec.Rule{always(to)}
	if l.guards.Encapsulation == dataplane.EncapsulationToNodes {
		ends = nil
		for family := range familyDigit {
			node := []codec.Expr{address(family, destination), inSet(nodesName(family))}
			ends = append(ends, when(join(isFamily(family), node), to), when(join(isFamily(family), multicast(family)), to))
		}
		everybody := []codec.Expr{address(0, destination), is(0xff, 0xff, 0xff, 0xff)}
		ends = append(ends, when(join(isFamily(0), everybody), to))
	}
	g.chain("guard-encapsulated", ends)
	from := []codec.Rule{when(fromLink(), droppedBy(dataplane.GuardEncapsulation))}
	for family := range familyDigit {
		pod := []codec.Expr{address(family, source), inSet(hereName(family))}
		from = append(from, when(join(isFamily(family), pod), droppedBy(dataplane.GuardEncapsulation)))
	}
	g.chain("guard-encapsulator", append(from, when(fromNeighbour(bridgesSet), droppedBy(dataplane.GuardEncapsulation))))
}

// inputGuards are the rules about what is for the host itself.
func (l *layout) inputGuards(g guardChains) []codec.Rule {
	rules := []codec.Rule{noDHCP(isFamily(0), noDHCPNodeSet)}
	if l.guards.Has(dataplane.GuardEncapsulation) {
		rules = append(rules, isEncapsulated(jumpTo("guard-encapsulator"))...)
	}
	if l.guards.Has(dataplane.GuardOverlay) {
		rules = append(rules, encapsulatedIn(overlayPortsSet, overlayProtocolsSet, jumpTo("guard-overlay"))...)
		var ends []codec.Rule
		for family := range familyDigit {
			ends = append(ends, when(join(isFamily(family), []codec.Expr{address(family, destination), inSet(overlayName(family))}), returns))
		}
		g.chain("guard-overlay", ends, []codec.Rule{always(droppedBy(dataplane.GuardOverlay))})
	}
	if l.guards.Has(dataplane.GuardLinkLocal) {
		fromNeighbour := join(isFamily(1), linkLocal(address(1, source)), []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIF}, inSet(closedSet)})
		rules = append(rules, when(fromNeighbour, jumpTo("guard-link-local")))
		g.chain("guard-link-local", controlRules(returns, isFamily), []codec.Rule{always(droppedBy(dataplane.GuardLinkLocal))})
	}
	return rules
}

// closesHost reports whether what an endpoint sends to its node from a link-local address
// is dropped: policy goes by the endpoint's own addresses, so that it is closed as soon as
// anything may deny connections to the node.
func (l *layout) closesHost(x dataplane.Link, d denials) bool {
	if l.host.settings.EndpointToHost == policy.Deny {
		return true
	}
	for _, a := range x.Addrs {
		if local, ok := l.state.Local(a); ok && d.any(local.ToNode) {
			return true
		}
	}
	return false
}

// closedEntries returns the elements that close the node to interfaces that are no ports.
func (l *layout) closedEntries() map[sourceEntry]bool {
	entries, d := map[sourceEntry]bool{}, newDenials(l.state)
	for _, x := range l.known.Links {
		if !x.Port && x.Index > 0 {
			l.nodeEntries(entries, x, d)
		}
	}
	return entries
}
