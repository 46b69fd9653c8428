package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Who can send raw packets can write any source into them. The tables go by
// addresses, so that must be found out before: what comes in by a local endpoint's
// interface must have its address. For interfaces that are routed the first chain of
// all, before connection tracking, has
//
//	iif @links goto source
//	chain source       iif @ports goto dropped-source    (what a bridge does not forward)
//	                   iif . ip saddr @sources4 goto guard-workload4
//	                   iif . ip6 saddr @sources6 goto guard-workload6
//	                   a link-local source: likewise
//	                   without an address yet (solicitations, DHCP): return
//	                   update @spoofed4 { iif . ip saddr counter }
//	                   goto dropped-source
//
// and so decides about packets of established connections too, which go by addresses
// as well. Interfaces are known by their number, not by their name: a number is not used
// again while it could be mistaken. Ports of bridges have a table of their own,
// see bridgecontent.go; to this table, what they send comes from their bridge.
//
// If the node has pod networks of its own, addresses in them that are no local
// endpoint's have no traffic:
//
//	chain forward      ip saddr 10.244.1.0/24 jump unknown-source4 (and so on)
//	chain unknown-source4  ip saddr @here4 return
//	                   counter drop

// sourceEntry is one element of the sets of interfaces and their sources.
type sourceEntry struct{ set, key string }

// Sets of what is known of interfaces beside links and sources.
const (
	closedSet = "closed-links" // from which nothing link-local may come to the host
	portsSet  = "ports"        // of bridges: IP comes from the bridge, and not from them
	// bridgesSet are the bridges of these ports: what comes from there with a link-local source
	// may be from any of them.
	bridgesSet = "pod-bridges"
	// outsideMillis is how long it is remembered who was pretended to be elsewhere.
	outsideMillis = 3600 * 1000
	// outsideCapacity bounds how many of them: there are no more than local addresses.
	outsideCapacity = 4096
	// spoofedMillis and spoofedCapacity are the same for what comes from interfaces of local
	// endpoints with others' sources. Where the set is full, others are dropped uncounted.
	spoofedMillis   = 600 * 1000
	spoofedCapacity = 2048
)

// boundName names the set of addresses whose interface is known, behindName that of bridges
// with the addresses behind them, outsideName that of addresses that came from elsewhere.
func boundName(family int) string   { return "bound" + familyDigit[family] }
func behindName(family int) string  { return "behind" + familyDigit[family] }
func outsideName(family int) string { return "outside" + familyDigit[family] }

// spoofedName names the set of interfaces with the sources that were dropped.
func spoofedName(family int) string { return "spoofed" + familyDigit[family] }

// vouchedName names the set of the addresses behind bridges whose errors the table of the
// bridge family has judged: it knows the further sources of their ports.
func vouchedName(family int) string { return "vouched" + familyDigit[family] }

// linkKey is an interface's number as the kernel compares it.
func linkKey(index int) string {
	var b [4]byte
	codec.PutNativeUint32(b[:], uint32(index))
	return string(b[:])
}

// sourceEntries returns the elements for interfaces that are ports, or are not.
func sourceEntries(links []dataplane.Link, ports bool) map[sourceEntry]bool {
	entries := map[sourceEntry]bool{}
	for _, l := range links {
		if l.Port != ports || l.Index <= 0 {
			continue
		}
		entries[sourceEntry{linksSet, linkKey(l.Index)}] = true
		for _, a := range l.Addrs {
			entries[sourceEntry{sourcesName(familyOf(a)), linkKey(l.Index) + addrKey(a)}] = true
		}
	}
	return entries
}

// knownEntries returns all elements of the table for IP that say what is known of interfaces.
func (l *layout) knownEntries(known *dataplane.AntiSpoofing) map[sourceEntry]bool {
	entries := sourceEntries(known.Links, false)
	for _, x := range known.Links {
		if x.Index > 0 && x.Port {
			entries[sourceEntry{linksSet, linkKey(x.Index)}] = true
			entries[sourceEntry{portsSet, linkKey(x.Index)}] = true
		}
		if x.Index <= 0 || x.Port && x.Bridge <= 0 {
			continue
		}
		for _, a := range x.Addrs {
			family := familyOf(a)
			entries[sourceEntry{boundName(family), addrKey(a)}] = true
			if x.Port {
				entries[sourceEntry{bridgesSet, linkKey(x.Bridge)}] = true
				entries[sourceEntry{behindName(family), linkKey(x.Bridge) + addrKey(a)}] = true
			}
			if x.Port && len(x.Sources) > 0 {
				entries[sourceEntry{vouchedName(family), addrKey(a)}] = true
			}
		}
	}
	return entries
}

// linkSets are the sets of interfaces and their sources, of both tables.
func linkSets() []codec.SetSpec {
	sets := []codec.SetSpec{{Name: linksSet, KeyType: codec.IfIndex, KeyLen: 4}}
	for family := range familyDigit {
		spoofed := interfaceAndAddress(spoofedName(family), family)
		spoofed.Size, spoofed.Brief = spoofedCapacity, true
		sets = append(sets, interfaceAndAddress(sourcesName(family), family), spoofed)
	}
	return sets
}

func interfaceAndAddress(name string, family int) codec.SetSpec {
	return codec.SetSpec{Name: name, KeyType: codec.IfIndex<<codec.ConcatBits | addrType(family), KeyLen: 4 + addrLen(family)}
}

// knownSets are all sets of the table for IP of what is known of interfaces.
func knownSets() []codec.SetSpec {
	sets := linkSets()
	for _, name := range []string{portsSet, bridgesSet} {
		sets = append(sets, codec.SetSpec{Name: name, KeyType: codec.IfIndex, KeyLen: 4})
	}
	for family := range familyDigit {
		outside := sized(outsideName(family), family, outsideCapacity)
		outside.Brief = true
		sets = append(sets, addrSet(boundName(family), family), interfaceAndAddress(behindName(family), family), outside, addrSet(vouchedName(family), family))
	}
	return sets
}

// emitEntries returns sets with their elements.
func emitEntries(out sink, sets []codec.SetSpec, entries map[sourceEntry]bool) {
	for _, s := range sets {
		out.AddSet(s)
	}
	for e := range entries {
		out.AddElement(e.set, codec.Element{Key: e.key})
	}
}

// stepSources writes the way from some elements to others.
func stepSources(out *codec.Batch, was, is map[sourceEntry]bool) {
	for e := range is {
		if !was[e] {
			out.AddElement(e.set, codec.Element{Key: e.key})
		}
	}
	for e := range was {
		if !is[e] {
			out.DelElement(e.set, codec.Element{Key: e.key})
		}
	}
}

// fromNeighbour matches packets of local endpoints that go by a link-local source: from their
// interfaces (linksSet), or from their bridges (bridgesSet).
func fromNeighbour(set string) []codec.Expr {
	return join(isFamily(1), linkLocal(address(1, source)), interfaceIn(codec.MetaIIF, set))
}

// fromLink matches packets from an interface of a local endpoint.
func fromLink() []codec.Expr { return interfaceIn(codec.MetaIIF, linksSet) }

// interfaceIn matches packets that come in or leave by an interface of a set.
func interfaceIn(key uint32, set string) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: key}, inSet(set)}
}

// ownSource matches packets of which one field is an address of the interface.
func ownSource(family int, field codec.Expr) []codec.Expr {
	return interfaceAnd(codec.MetaIIF, field, sourcesName(family))
}

// ownInterface matches packets whose source is known at the interface by a set.
func ownInterface(family int, set string) []codec.Expr {
	return interfaceAnd(codec.MetaIIF, address(family, source), set)
}

// interfaceAnd matches packets of which an interface beside a field is in a set.
func interfaceAnd(key uint32, field codec.Expr, set string) []codec.Expr {
	field.Register = codec.Reg32Start + 1
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: key}, field, inSet(set)}
}

// emitAntiSpoofing hands out what checks sources.
func (l *layout) emitAntiSpoofing(out sink) {
	emitEntries(out, knownSets(), l.sources)
	emitEntries(out, tunnelSets(), l.tunnels)
	emitEntries(out, []codec.SetSpec{{Name: closedSet, KeyType: codec.IfIndex, KeyLen: 4}, {Name: noDHCPNodeSet, KeyType: codec.IfIndex, KeyLen: 4}}, l.closed)
	rules := []codec.Rule{when(interfaceIn(codec.MetaIIF, portsSet), droppedBy(dataplane.GuardSource))}
	for family := range familyDigit {
		rules = append(rules, when(join(isFamily(family), ownSource(family, address(family, source))), goTo(workloadChain(family))))
	}
	rules = append(rules, when(join(isFamily(1), linkLocal(address(1, source))), goTo(workloadChain(1))))
	for family := range familyDigit {
		rules = append(rules, withoutAddress(family, isFamily(family))...)
	}
	rules = append(rules, l.allowed.toSource()...)
	for family := range familyDigit {
		rules = append(rules, countSpoofed(family, isFamily(family), address(family, source)))
	}
	out.AddChain(codec.ChainRules{Name: sourceChain, Rules: append(rules, always(droppedBy(dataplane.GuardSource)))})
	l.emitUnknown(out)
}

// countSpoofed counts what is going to be dropped, by interface and source.
func countSpoofed(family int, match []codec.Expr, field codec.Expr) codec.Rule {
	parts := interfaceAnd(codec.MetaIIF, field, "")
	parts[2] = codec.Expr{Kind: codec.CountIn, Register: codec.Reg1, Set: spoofedName(family), Key: spoofedMillis}
	return codec.Rule{Exprs: join(match, parts)}
}

// withoutAddress lets by what a host sends that has no address yet: DHCP, solicitations, and
// which groups it listens to.
func withoutAddress(family int, match []codec.Expr) []codec.Rule {
	if family == 0 {
		discover := join(match, isProtocol(policy.UDP), []codec.Expr{
			payload(codec.NetworkHeader, 12, 8), is(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), // from nobody to everybody
			payload(codec.TransportHeader, 0, 4), is(0, 68, 0, 67),
		})
		return []codec.Rule{when(discover, returns)}
	}
	var rules []codec.Rule
	for _, typ := range []codec.Expr{between(131, 133), is(135), is(143)} {
		rules = append(rules, when(join(match, []codec.Expr{address(1, source), is(make([]byte, 16)...)},
			isICMPv6(typ)), returns))
	}
	return rules
}

// emitUnknown hands out the chains where addresses of the node's networks end.
func (l *layout) emitUnknown(out sink) {
	if len(l.podNets) > 0 {
		emitDropped(out, dataplane.GuardUnknown)
	}
	for family := range familyDigit {
		if !hasFamily(l.podNets, family) {
			continue
		}
		for _, s := range []side{source, destination} {
			out.AddChain(codec.ChainRules{Name: unknownName(family, s), Rules: []codec.Rule{
				when(join(isFamily(family), []codec.Expr{address(family, s), inSet(hereName(family))}), returns),
				always(droppedBy(dataplane.GuardUnknown)),
			}})
		}
	}
}

func hasFamily(nets []netip.Prefix, family int) bool {
	for _, p := range nets {
		if familyOf(p.Addr()) == family {
			return true
		}
	}
	return false
}

// unknownRules send packets from and to the node's pod networks to where
// addresses that are not known end.
func unknownRules(nets []netip.Prefix) []codec.Rule {
	var rules []codec.Rule
	for _, p := range nets {
		for _, s := range []side{source, destination} {
			rules = append(rules, when(inNet(p, s), jumpTo(unknownName(familyOf(p.Addr()), s))))
		}
	}
	return rules
}
