package nft

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// What rules are built from: conditions, each a few expressions, and verdicts.

var (
	accept  = verdict{code: codeAccept}
	drop    = verdict{code: codeDrop}
	returns = verdict{code: codeReturn}
)

func goTo(chain string) verdict   { return verdict{codeGoto, chain} }
func jumpTo(chain string) verdict { return verdict{codeJump, chain} }

// when makes a rule: conditions, then what to do.
func when(conditions []expr, v verdict) rule {
	return rule{exprs: append(conditions[:len(conditions):len(conditions)], expr{kind: immediate, verdict: v})}
}

// always makes a rule without conditions.
func always(v verdict) rule { return when(nil, v) }

func join(parts ...[]expr) []expr {
	var all []expr
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func is(data ...byte) expr {
	return expr{kind: compare, register: reg1, key: equal, data: string(data)}
}

func isNot(data ...byte) expr {
	return expr{kind: compare, register: reg1, key: notEqual, data: string(data)}
}

func isFamily(family int) []expr {
	return []expr{{kind: metaLoad, register: reg1, key: metaNFProto}, is([...]byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}[family])}
}

func isProtocol(p policy.Protocol) []expr {
	return []expr{{kind: metaLoad, register: reg1, key: metaL4Proto}, is(byte(p))}
}

func hasState(bits byte) []expr {
	return []expr{
		{kind: ctLoad, register: reg1, key: ctState},
		{kind: bitwiseAnd, register: reg1, length: 4, data: string(nativeUint32(uint32(bits)))},
		isNot(0, 0, 0, 0),
	}
}

func payload(base, offset, length uint32) expr {
	return expr{kind: payloadLoad, register: reg1, key: base, offset: offset, length: length}
}

// side is one end of a packet: its address field.
type side int

const (
	source side = iota
	destination
)

// address loads one end's address of a packet of the family.
func address(family int, s side) expr {
	if family == 0 {
		return payload(networkHeader, 12+4*uint32(s), 4)
	}
	return payload(networkHeader, 8+16*uint32(s), 16)
}

// bothAddresses loads source and destination beside each other.
func bothAddresses(family int) []expr {
	first, second := address(family, source), address(family, destination)
	second.register = reg32Start + first.length/4
	if family == 1 {
		second.register = reg1 + 1
	}
	return []expr{first, second}
}

func inSet(set string) expr { return expr{kind: lookup, register: reg1, set: set} }

func bySet(set string) expr { return expr{kind: verdictMap, register: reg1, set: set} }

func addrType(family int) dataType { return ipv4Addr + dataType(family) }

func addrLen(family int) uint32 { return [...]uint32{4, 16}[family] }

func addrKey(a netip.Addr) string { return string(a.AsSlice()) }
