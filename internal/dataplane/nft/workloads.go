package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// fixedSets are the sets that are always there, those of addresses and of switches aside.
func fixedSets() []codec.SetSpec {
	var sets []codec.SetSpec
	for family := range familyDigit {
		t := addrType(family)
		sets = append(sets, codec.SetSpec{Name: selfName(family), KeyType: t<<codec.ConcatBits | t, KeyLen: 2 * addrLen(family)},
			addrSet(hereName(family), family), addrMap(toNodeMap(family), family))
	}
	for _, p := range paths {
		sets = append(sets, addrMap(p.String(), p.family), addrMap(p.baseName(), p.family))
	}
	return sets
}

// familyChain returns forward4 or forward6.
func familyChain(family int) codec.ChainRules {
	return codec.ChainRules{Name: forwardChain + familyDigit[family], Rules: []codec.Rule{
		byAddress(family, source, path{policy.Egress, family}.String()),
		byAddress(family, destination, path{policy.Ingress, family}.String()),
	}}
}

// strictRules keep connections that were cut from coming back. Connection
// tracking takes up a TCP connection that it does not know at any packet, with
// that packet's sender as the client: a server's next segment would revive what
// the client may not have. A packet that does not begin a connection, and
// belongs to none, ends here.
//
// That goes for connections, too, that were there before the kernel tracked any, or that
// somebody has flushed. To take them up at any packet would leave the door open for good;
// so whoever listens is told of such segments first, and may enter those connections that
// policy allows: the segment comes again.
func (l Logging) strictRules() []codec.Rule {
	const fin, syn, rst, ack = 1, 2, 4, 16
	outOfState := join(isProtocol(policy.TCP), hasState(codec.StateNew|codec.StateInvalid))
	flags := func(mask byte, is codec.Expr) []codec.Expr {
		return []codec.Expr{payload(codec.TransportHeader, 13, 1), {Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 1, Data: string([]byte{mask})}, is}
	}
	var rules []codec.Rule
	if l.OutOfState != 0 {
		rules = append(rules, codec.Rule{Exprs: join(outOfState, flags(syn|rst, is(0)), []codec.Expr{
			{Kind: codec.LimitRate, Key: outOfStateRate, Length: outOfStateRate},
			{Kind: codec.LogTo, Key: uint32(l.OutOfState), Length: snapLength, Data: "no connection's packet"},
		})})
	}
	midStream := join(outOfState, flags(fin|syn|rst|ack, isNot(syn)), []codec.Expr{{Kind: codec.Counter}})
	sctp := join(isProtocol(policy.SCTP), hasState(codec.StateInvalid), []codec.Expr{{Kind: codec.Counter}})
	tcpRule, sctpRule := when(midStream, drop), when(sctp, drop)
	tcpRule.Comment = "no connection's packet"
	sctpRule.Comment = "no association's packet"
	return append(rules, tcpRule, sctpRule)
}

// outOfStateRate is of how many such segments is told in a second: each connection needs one.
const outOfStateRate = 5000

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
	return codec.ChainRules{Name: p.baseName(), Rules: p.baseRules()}
}

// baseRules lead to the base of the local endpoint's program.
func (p path) baseRules() []codec.Rule {
	return []codec.Rule{byAddress(p.family, p.local(), p.baseName()), always(drop)}
}
