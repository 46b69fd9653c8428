package nft

import (
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// The table, for one family and one direction ("egress4"; a side note in
// parentheses):
//
//	chain forward      from interfaces of local endpoints: see antispoofing.go
//	                   established and related connections pass; then, by family,
//	chain forward4     ip saddr vmap @egress4 (local endpoints: jump egress4)
//	                   ip daddr vmap @ingress4 (jump ingress4)
//	chain egress4      ip saddr . ip daddr @self4 return
//	                   jump strict
//	                   ip daddr @known4 goto egress4-node-… (addresses with a class of their own)
//	                   ip daddr vmap @nets4-egress (intervals: goto egress4-class-…)
//	                   drop
//	chain egress4-node-LEVEL-N   one digit of the class's slot: which child to go to
//	chain egress4-class-N        ip saddr vmap @egress4-class-N (locals whose row differs: goto row-…;
//	                             up to maxLinear of them are rules instead)
//	                             goto egress4-base
//	chain egress4-base           ip saddr vmap @egress4-base (locals: goto row-…)
//	                             drop
//	chain row-N        protocol and ports: goto allow-…, goto deny-…
//	chain allow-N      counter return (on to the other direction); what is logged
//	                   before, at a limited rate: log.go
//	chain deny-N       counter drop
//
// A chain that is entered by goto returns to the chain that jumped, forward4. A
// lookup that finds nothing where something must be ends in drop.
//
// Addresses are in plain sets, not in a map to verdicts: at every commit that
// adds an element with a chain, the kernel walks all elements of all verdict maps
// to look for loops (20 ms with 100,000 of them here, seconds on kernels before
// 6.18). So a class has a number of its own in its family, its slot, and the sets
// known4-digit… say what its digits are; see slots.

// strictRules keep connections that were cut from coming back. Connection
// tracking takes up a TCP connection that it does not know at any packet, with
// that packet's sender as the client: a server's next segment would revive what
// the client may not have. A packet that does not begin a connection, and
// belongs to none, ends here.
//
// That goes for connections, too, that were there before the kernel tracked any:
// where tierwall starts on a host that neither translates addresses nor filters
// by connection, the TCP connections of governed endpoints end and must be made
// again. To take them up at any packet instead would leave the door open for good.
func strictRules() []codec.Rule {
	const fin, syn, rst, ack = 1, 2, 4, 16
	midStream := join(
		isProtocol(policy.TCP),
		hasState(codec.StateNew|codec.StateInvalid),
		[]codec.Expr{
			payload(codec.TransportHeader, 13, 1),
			{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 1, Data: string([]byte{fin | syn | rst | ack})},
			isNot(syn),
			{Kind: codec.Counter},
		})
	sctp := join(isProtocol(policy.SCTP), hasState(codec.StateInvalid), []codec.Expr{{Kind: codec.Counter}})
	tcpRule, sctpRule := when(midStream, drop), when(sctp, drop)
	tcpRule.Comment = "no connection's packet"
	sctpRule.Comment = "no association's packet"
	return []codec.Rule{tcpRule, sctpRule}
}

// familyChain returns forward4 or forward6.
func familyChain(family int) codec.ChainRules {
	return codec.ChainRules{Name: forwardChain + familyDigit[family], Rules: []codec.Rule{
		byAddress(family, source, path{policy.Egress, family}.String()),
		byAddress(family, destination, path{policy.Ingress, family}.String()),
	}}
}

// classSwitch returns the switch where packets of local endpoints arrive, not settled:
// by the peer's class they go on to the class's chain.
func (p path) classSwitch() *classSwitch {
	return &classSwitch{
		name: p.String(), nets: p.netsName(), family: p.family, side: p.peer(), order: orderEntry,
		first: []codec.Rule{
			when(join(isFamily(p.family), bothAddresses(p.family), []codec.Expr{inSet(selfName(p.family))}), returns),
			always(jumpTo(strictChain)),
		},
		targets: classChains{p}, otherwise: drop, complete: true,
	}
}

// classChains are the targets of a path's switch: every class that has addresses or
// nets has a chain.
type classChains struct{ path }

func (classChains) has(dataplane.ClassID) bool                 { return true }
func (c classChains) of(class dataplane.ClassID) codec.Verdict { return goTo(c.className(class)) }

// cell is a local endpoint that has a row of its own for a class.
type cell struct {
	addr netip.Addr
	row  codec.Verdict
}

// classChain is where packets of a class arrive; n says how many cells it has,
// and cells are them if they are few.
func (p path) classChain(id dataplane.ClassID, n int, cells []cell) codec.ChainRules {
	c := codec.ChainRules{Name: p.className(id), Order: orderClass}
	switch {
	case isMap(n):
		c.Rules = append(c.Rules, byAddress(p.family, p.local(), p.className(id)))
	case n > 0:
		for _, x := range cells {
			c.Rules = append(c.Rules, when(join(isFamily(p.family), []codec.Expr{address(p.family, p.local()), is(x.addr.AsSlice()...)}), x.row))
		}
	}
	c.Rules = append(c.Rules, always(goTo(p.baseName())))
	return c
}

// isMap reports whether so many cells are a map and not rules: a set is dear to
// make, and the kernel looks for a set by its name among all there are.
func isMap(cells int) bool { return cells > maxLinear }

func (p path) baseChain() codec.ChainRules {
	return codec.ChainRules{Name: p.baseName(), Rules: []codec.Rule{byAddress(p.family, p.local(), p.baseName()), always(drop)}}
}

// fixedSets are the sets that are always there, those of addresses and of switches aside.
func fixedSets() []codec.SetSpec {
	var sets []codec.SetSpec
	for family := range familyDigit {
		t := addrType(family)
		sets = append(sets, codec.SetSpec{Name: selfName(family), KeyType: t<<codec.ConcatBits | t, KeyLen: 2 * addrLen(family)},
			addrSet(hereName(family), family))
	}
	for _, p := range paths {
		sets = append(sets, addrMap(p.String(), p.family), addrMap(p.baseName(), p.family))
	}
	return sets
}

// deciderChain logs for the rules that say so, counts for a decider, and acts.
func (l Logging) deciderChain(d dataplane.Decider, allow bool) codec.ChainRules {
	r := when([]codec.Expr{{Kind: codec.Counter}}, drop)
	if allow {
		r = when([]codec.Expr{{Kind: codec.Counter}}, returns)
	}
	text := d.Direction.String() + " " + dataplane.DeciderText(d.By)
	for _, by := range d.Logs.All() { // another decider's counter than without them
		text += ", logged by " + dataplane.DeciderText(by)
	}
	r.Comment = codec.Clip(text)
	return codec.ChainRules{Name: deciderName(d.ID, allow), Order: orderDecider, Rules: append(l.logRules(d, allow), r)}
}

// target is what a region does.
func target(g dataplane.Region) codec.Verdict {
	if g.Decider == 0 {
		if g.Allow {
			return returns
		}
		return drop
	}
	return goTo(deciderName(g.Decider, g.Allow))
}

// path is one direction of one family.
type path struct {
	dir    policy.Direction
	family int // 0 is IPv4, 1 is IPv6
}

var paths = [4]path{{policy.Egress, 0}, {policy.Ingress, 0}, {policy.Egress, 1}, {policy.Ingress, 1}}

func (p path) String() string { return p.dir.String() + familyDigit[p.family] }

// local and peer say which end of a packet is which.
func (p path) local() side { return side(p.dir) }
func (p path) peer() side  { return 1 - side(p.dir) }

// holds reports whether a class has addresses or nets in the path's family.
func (p path) holds(use dataplane.ClassUse) bool {
	return use.Addrs+use.Nets > 0 && (use.Family == policy.IPv6) == (p.family == 1)
}

// The kernel's hooks that base chains of ours are at, beside codec.HookForward.
const (
	hookPrerouting  = 0 // NF_INET_PRE_ROUTING, NF_BR_PRE_ROUTING
	hookInput       = 1 // NF_INET_LOCAL_IN
	hookOutput      = 3 // NF_INET_LOCAL_OUT
	hookPostrouting = 4 // NF_INET_POST_ROUTING
)

const (
	forwardChain = "forward"
	strictChain  = "strict"

	// The tables see a packet after DNAT, a little before others that filter.
	priority = -10
)

func (p path) baseName() string                      { return p.String() + "-base" }
func (p path) netsName() string                      { return "nets" + familyDigit[p.family] + "-" + p.dir.String() }
func (p path) className(id dataplane.ClassID) string { return fmt.Sprintf("%v-class-%d", p, id) }

func selfName(family int) string  { return "self" + familyDigit[family] }
func knownName(family int) string { return "known" + familyDigit[family] }

func digitSetName(family, digitSet int) string {
	if digitSet < 0 {
		return knownName(family)
	}
	return fmt.Sprintf("known%s-digit%d-is-%d", familyDigit[family], digitSet/3, digitSet%3+1)
}

func rowName(id dataplane.RowID) string { return fmt.Sprintf("row-%d", id) }

func deciderName(id dataplane.DeciderID, allow bool) string {
	if allow {
		return fmt.Sprintf("allow-%d", id)
	}
	return fmt.Sprintf("deny-%d", id)
}

// Sets and chains of the anti-spoofing check: see antispoofing.go.
const (
	linksSet    = "links"
	sourceChain = "source"
	hereSet     = "here" // all local endpoints, with policies or without
)

func sourcesName(family int) string { return "sources" + familyDigit[family] }
func hereName(family int) string    { return hereSet + familyDigit[family] }

// unknownName names the chain of the addresses that may be no endpoint's.
func unknownName(family int, s side) string {
	return [...]string{"unknown-source", "unknown-destination"}[s] + familyDigit[family]
}
