package nft

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Guards (dataplane.Guards) drop what policy could not judge. In the table for IP:
//
//	chain prerouting   (base, before connection tracking: what is dropped has changed no connection)
//	                   not from lo
//	                   iif @links goto source                    antispoofing.go
//	                   ip saddr @bound4 jump guard-outside4      the endpoint has an interface: is it this bridge?
//	                   ICMP with ip saddr @here4 jump guard-icmp4
//	chain guard-workload4  from a local endpoint, as far as is known: ICMP goto guard-icmp4
//	chain forward      encapsulated: jump guard-encapsulation    guardtunnels.go
//	chain guard-input  (base) the same for the host itself; link-local sources
//
// The table of the bridge family has its own: see bridgecontent.go.
//
// What must hold:
//
//   - A guard drops in a chain of its own, which counts: its name says which guard it
//     was, in both tables. All other chains here begin with guardPrefix.
//   - A check is written as what may pass, followed by the drop: where a packet is too
//     short for a rule to read it, the rule does not match, and the packet ends.
//   - Nothing that a host sends itself comes here: guards are about workloads, and about
//     who claims to be one.

const (
	rawChain        = "prerouting"
	guardInputChain = "guard-input"
	guardPrefix     = "guard-"
	neighbourChain  = "guard-neighbour" // where it ends, without policy of host endpoints, what guards have let by of pods with link-local sources
	droppedPrefix   = "dropped-"

	// Before host policy without tracking, and a little before others that filter.
	guardRawPriority   = rawPriority - 1
	guardInputPriority = priority - 1
)

// guardBases are the base chains of guards.
var guardBases = []codec.ChainSpec{
	{Name: rawChain, Base: true, Hook: hookPrerouting, Priority: guardRawPriority},
	{Name: guardInputChain, Base: true, Hook: hookInput, Priority: guardInputPriority},
}

// droppedBy returns the chain in which a guard drops.
func droppedBy(g dataplane.Guard) codec.Verdict { return goTo(droppedPrefix + string(g)) }

// guardOf returns the guard that drops in a chain.
func guardOf(chain string) (dataplane.Guard, bool) {
	name, ok := strings.CutPrefix(chain, droppedPrefix)
	return dataplane.Guard(name), ok
}

// emitDropped hands out the chains in which guards drop.
func emitDropped(out sink, guards ...dataplane.Guard) {
	for _, g := range guards {
		info, _ := g.Info()
		out.AddChain(codec.ChainRules{Name: droppedPrefix + string(g), Rules: []codec.Rule{denied(nil, info.Drops)}})
	}
}

// guardChains collects the chains of guards.
type guardChains struct {
	out      sink
	settings dataplane.GuardSettings
}

func (g guardChains) chain(name string, rules ...[]codec.Rule) {
	g.out.AddChain(codec.ChainRules{Name: name, Rules: slices.Concat(rules...)})
}

// when returns rules where a guard is on.
func (g guardChains) when(guard dataplane.Guard, rules ...codec.Rule) []codec.Rule {
	if g.settings.Has(guard) {
		return rules
	}
	return nil
}

// emitGuards hands out the guards of the table for IP.
func (l *layout) emitGuards(out sink) {
	g := guardChains{out, l.guards}
	emitDropped(out, dataplane.GuardSource, dataplane.GuardUplinkSource, dataplane.GuardRouter, dataplane.GuardICMPError,
		dataplane.GuardEncapsulation, dataplane.GuardOverlay, dataplane.GuardLinkLocal)
	notLoopback := when([]codec.Expr{ifName(policy.HookInput), is([]byte(ifKey("lo"))...)}, returns)
	raw := []codec.Rule{notLoopback, when(fromLink(), goTo(sourceChain))}
	for family := range familyDigit {
		raw = append(raw, l.outside(g, family)...)
		// Last what few packets are asked: each lookup counts for every packet there is.
		local := []codec.Expr{address(family, source), inSet(hereName(family))}
		raw = append(raw, when(join(isFamily(family), isProtocol(icmpOf(family)), local), jumpTo("guard-icmp"+familyDigit[family])))
		workloadICMP(g, family, isFamily(family), []codec.Rule{
			when(join(isFamily(family), sourceAndEmbedded(family)), returns),
			when(join(isFamily(family), ownSource(family, embeddedDestination(family))), returns),
			when(join(isFamily(family), []codec.Expr{address(family, source), inSet(vouchedName(family))}), returns),
		}, l.allowed.toEmbedded()...)
	}
	out.AddBaseChain(guardBases[0], raw)
	l.allowed.emit(out, false)
	g.chain(neighbourChain)
	l.emitTunnels(g)
	out.AddBaseChain(guardBases[1], slices.Concat([]codec.Rule{notLoopback}, l.inputGuards(g)))
}

// outside returns what becomes of a local endpoint's address that comes from an interface
// that is no endpoint's own.
func (l *layout) outside(g guardChains, family int) []codec.Rule {
	digit := familyDigit[family]
	g.chain("guard-outside"+digit, []codec.Rule{
		when(join(isFamily(family), ownInterface(family, behindName(family))), returns),
		{Exprs: join(isFamily(family), []codec.Expr{address(family, source), {Kind: codec.CountIn, Register: codec.Reg1, Set: outsideName(family), Key: outsideMillis}})},
		always(droppedBy(dataplane.GuardUplinkSource)),
	})
	bound := []codec.Expr{address(family, source), inSet(boundName(family))}
	return g.when(dataplane.GuardUplinkSource, when(join(isFamily(family), bound), jumpTo("guard-outside"+digit)))
}

// icmpOf returns the protocol of a family's errors.
func icmpOf(family int) policy.Protocol {
	return [...]policy.Protocol{policy.ICMP, policy.ICMPv6}[family]
}

func workloadChain(family int) string { return "guard-workload" + familyDigit[family] }

// workloadICMP hands out what workloads may not say in ICMP: that they are routers, and
// errors about connections of others. own are the rules that let errors by, and last is
// what follows.
//
// An error tells of a packet that somebody has received or passed on, by what it carries
// of it: whoever received it is the embedded packet's destination. Connection tracking
// has the error belong to the embedded packet's connection, so that it is let by without
// policy, to wherever it is addressed, with whatever is behind the embedded headers.
func workloadICMP(g guardChains, family int, match []codec.Expr, own []codec.Rule, last ...codec.Rule) {
	digit := familyDigit[family]
	protocol := icmpOf(family)
	typ := func(matches codec.Expr, v codec.Verdict) codec.Rule {
		return when(join(isProtocol(protocol), []codec.Expr{payload(codec.TransportHeader, 0, 1), matches}), v)
	}
	g.chain(workloadChain(family), []codec.Rule{when(join(match, isProtocol(protocol)), goTo("guard-icmp"+digit))})
	toRouter, toError := droppedBy(dataplane.GuardRouter), goTo("guard-icmp-error"+digit)
	routers := []codec.Rule{typ(is(5), toRouter), typ(is(9), toRouter)} // redirect, router advertisement
	errors := []codec.Rule{typ(between(3, 4), toError), typ(between(11, 12), toError)}
	if family == 1 {
		routers = []codec.Rule{typ(is(134), toRouter), typ(is(137), toRouter)}
		errors = []codec.Rule{typ(between(0, 127), toError)} // RFC 4443, and connection tracking: all below 128, assigned or not
		own = append(own, when(join(match, linkLocal(address(1, source)), linkLocal(embeddedDestination(1))), returns))
	}
	g.chain("guard-icmp"+digit, g.when(dataplane.GuardRouter, routers...), g.when(dataplane.GuardICMPError, errors...))
	g.chain("guard-icmp-error"+digit, own, last, []codec.Rule{always(droppedBy(dataplane.GuardICMPError))})
}

// between matches one byte.
func between(first, last byte) codec.Expr {
	return codec.Expr{Kind: codec.InRange, Register: codec.Reg1, Data: string([]byte{first}), To: string([]byte{last})}
}

// embeddedDestination loads the destination of the packet that an ICMP error carries.
func embeddedDestination(family int) codec.Expr {
	const header = 8 // of ICMP
	if family == 0 {
		return payload(codec.TransportHeader, header+16, 4)
	}
	return payload(codec.TransportHeader, header+24, 16)
}

// sourceAndEmbedded matches ICMP errors whose sender is the one that the embedded packet was for.
func sourceAndEmbedded(family int) []codec.Expr {
	parts := bothAddresses(family)
	embedded := embeddedDestination(family)
	embedded.Register = parts[1].Register
	return []codec.Expr{parts[0], embedded, inSet(selfName(family))}
}

// controlRules give a verdict on what policy never judges: without it no address can be
// found. Neighbour discovery has a hop limit that no router lets by, and what tells of
// groups goes to a group, so that neither carries anything beyond its link.
func controlRules(v codec.Verdict, match func(family int) []codec.Expr) []codec.Rule {
	near := join(match(1), []codec.Expr{payload(codec.NetworkHeader, 7, 1), is(255)})
	return append([]codec.Rule{
		when(join(near, isICMPv6(is(133))), v),           // router solicitation
		when(join(near, isICMPv6(between(135, 136))), v), // neighbour solicitation, advertisement
	}, groupRules(v, match)...)
}

// groupRules give a verdict on what says who listens to which groups: MLD and IGMP, reports and
// queries, which go no further than their link (RFC 3810, 5; RFC 3376, 4).
func groupRules(v codec.Verdict, match func(family int) []codec.Expr) []codec.Rule {
	mld := join(match(1), multicast(1), []codec.Expr{payload(codec.NetworkHeader, 7, 1), is(1)})
	igmp := join(match(0), multicast(0), []codec.Expr{payload(codec.NetworkHeader, 8, 1), is(1)}, isProtocol(protocolIGMP), []codec.Expr{payload(codec.TransportHeader, 0, 1)})
	rules := []codec.Rule{when(join(mld, isICMPv6(between(130, 132))), v), when(join(mld, isICMPv6(is(143))), v)}
	for _, typ := range igmpTypes {
		rules = append(rules, when(join(igmp, []codec.Expr{between(typ[0], typ[1])}), v))
	}
	return rules
}

// igmpTypes are the messages of IGMP of all versions, as ranges.
var igmpTypes = [][2]byte{{0x11, 0x12}, {0x16, 0x17}, {0x22, 0x22}}

// isICMPv6 matches a type.
func isICMPv6(typ codec.Expr) []codec.Expr {
	return join(isProtocol(policy.ICMPv6), []codec.Expr{payload(codec.TransportHeader, 0, 1), typ})
}

const protocolIGMP policy.Protocol = 2

// multicast matches packets to a group.
func multicast(family int) []codec.Expr {
	load := address(family, destination)
	load.Length = 1
	if family == 1 {
		return []codec.Expr{load, is(0xff)}
	}
	return []codec.Expr{load, {Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 1, Data: "\xf0"}, is(0xe0)}
}

const controlChain = "control"

// emitControl hands out the chain of what policy never judges.
func emitControl(out sink) {
	out.AddChain(codec.ChainRules{Name: controlChain, Rules: controlRules(accept, isFamily)})
}

// controlTraffic leads to it, of protocols that could be any.
func controlTraffic() []codec.Rule {
	return []codec.Rule{when(isProtocol(policy.ICMPv6), jumpTo(controlChain)), when(isProtocol(protocolIGMP), jumpTo(controlChain))}
}
