package nft

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// What rules are built from: conditions, each a few expressions, and verdicts.

var (
	accept  = codec.Verdict{Code: codec.CodeAccept}
	drop    = codec.Verdict{Code: codec.CodeDrop}
	returns = codec.Verdict{Code: codec.CodeReturn}
)

func goTo(chain string) codec.Verdict   { return codec.Verdict{Code: codec.CodeGoto, Chain: chain} }
func jumpTo(chain string) codec.Verdict { return codec.Verdict{Code: codec.CodeJump, Chain: chain} }

// when makes a rule: conditions, then what to do.
func when(conditions []codec.Expr, v codec.Verdict) codec.Rule {
	return codec.Rule{Exprs: append(conditions[:len(conditions):len(conditions)], codec.Expr{Kind: codec.Immediate, Verdict: v})}
}

// always makes a rule without conditions.
func always(v codec.Verdict) codec.Rule { return when(nil, v) }

func join(parts ...[]codec.Expr) []codec.Expr {
	var all []codec.Expr
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func is(data ...byte) codec.Expr {
	return codec.Expr{Kind: codec.Compare, Register: codec.Reg1, Key: codec.Equal, Data: string(data)}
}

func isNot(data ...byte) codec.Expr {
	return codec.Expr{Kind: codec.Compare, Register: codec.Reg1, Key: codec.NotEqual, Data: string(data)}
}

func isFamily(family int) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaNFProto}, is([...]byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}[family])}
}

func isProtocol(p policy.Protocol) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaL4Proto}, is(byte(p))}
}

func hasState(bits byte) []codec.Expr {
	return []codec.Expr{
		{Kind: codec.CTLoad, Register: codec.Reg1, Key: codec.CTState},
		{Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 4, Data: string(codec.NativeUint32(uint32(bits)))},
		isNot(0, 0, 0, 0),
	}
}

func payload(base, offset, length uint32) codec.Expr {
	return codec.Expr{Kind: codec.PayloadLoad, Register: codec.Reg1, Key: base, Offset: offset, Length: length}
}

// side is one end of a packet: its address field.
type side int

const (
	source side = iota
	destination
)

// address loads one end's address of a packet of the family.
func address(family int, s side) codec.Expr {
	if family == 0 {
		return payload(codec.NetworkHeader, 12+4*uint32(s), 4)
	}
	return payload(codec.NetworkHeader, 8+16*uint32(s), 16)
}

// bothAddresses loads source and destination beside each other.
func bothAddresses(family int) []codec.Expr {
	first, second := address(family, source), address(family, destination)
	second.Register = codec.Reg32Start + first.Length/4
	if family == 1 {
		second.Register = codec.Reg1 + 1
	}
	return []codec.Expr{first, second}
}

func inSet(set string) codec.Expr {
	return codec.Expr{Kind: codec.Lookup, Register: codec.Reg1, Set: set}
}

func bySet(set string) codec.Expr {
	return codec.Expr{Kind: codec.VerdictMap, Register: codec.Reg1, Set: set}
}

// byAddress matches on the family and looks one end's address up in a verdict map.
func byAddress(family int, s side, set string) codec.Rule {
	return codec.Rule{Exprs: join(isFamily(family), []codec.Expr{address(family, s), bySet(set)})}
}

// inNet matches packets with one end in a net.
func inNet(p netip.Prefix, s side) []codec.Expr {
	family := familyOf(p.Addr())
	return join(isFamily(family), within(address(family, s), p))
}

// denied counts and drops.
func denied(conditions []codec.Expr, why string) codec.Rule {
	r := when(join(conditions, []codec.Expr{{Kind: codec.Counter}}), drop)
	r.Comment = why
	return r
}
