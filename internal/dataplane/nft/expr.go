package nft

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/policy"
)

// kind is a kernel expression. These are all that the tables use; stock nft
// (from 1.0.6 on) prints every rule that is made of them.
type kind uint8

const (
	metaLoad kind = iota + 1 // key -> register
	ctLoad
	payloadLoad
	bitwiseAnd
	compare
	inRange
	lookup     // ends the rule's evaluation unless the register is in the set
	verdictMap // acts as the set's element for the register says
	counter
	immediate   // a verdict
	ctOriginal  // of the packet that began the connection: key -> register
	queueTo     // hands the packet to queue key; it passes if nobody has opened that
	queueTarget // the same by iptables' target, for kernels without the expression
	limitRate   // ends the rule's evaluation beyond key packets a second, after length at once
	bitwiseOr   // sets the bits of data
	metaStore   // register -> key
	noTrack     // the packet belongs to no connection
	refresh     // puts the register into the set for key milliseconds more
	logTo       // tells NFLOG group key of a packet's first length bytes, with prefix data
)

// expr is one expression of a rule. It is comparable, and only fields that its
// kind uses are set.
type expr struct {
	kind     kind
	register uint32
	key      uint32 // of meta and ct; base of payload; operator of compare
	offset   uint32
	length   uint32
	data, to string // bytes: operand, mask, first and last of a range
	set      string
	verdict  verdict
}

// verdict is what a rule or an element of a verdict map does; zero is none.
type verdict struct {
	code  verdictCode
	chain string // of goto and jump
}

type verdictCode uint8

const (
	codeAccept verdictCode = iota + 1
	codeDrop
	codeReturn
	codeGoto
	codeJump
)

// kernelCodes are the verdict codes as the kernel numbers them.
var kernelCodes = map[verdictCode]int32{
	codeAccept: 1, codeDrop: 0, codeReturn: unix.NFT_RETURN, codeGoto: unix.NFT_GOTO, codeJump: unix.NFT_JUMP,
}

const (
	reg1       = unix.NFT_REG_1
	reg32Start = unix.NFT_REG32_00

	metaProtocol = 1  // NFT_META_PROTOCOL
	metaIIF      = 4  // NFT_META_IIF
	metaMark     = 3  // NFT_META_MARK
	metaIIFName  = 6  // NFT_META_IIFNAME
	metaOIFName  = 7  // NFT_META_OIFNAME
	metaNFProto  = 15 // NFT_META_NFPROTO
	metaL4Proto  = 16 // NFT_META_L4PROTO

	ctState     = 0  // NFT_CT_STATE
	ctDirection = 1  // NFT_CT_DIRECTION
	ctProtoDst  = 12 // NFT_CT_PROTO_DST
	ctDstIP     = 20 // NFT_CT_DST_IP
	ctDstIP6    = 22 // NFT_CT_DST_IP6

	ctReply = 1 // IP_CT_DIR_REPLY

	networkHeader   = 1 // NFT_PAYLOAD_NETWORK_HEADER
	transportHeader = 2 // NFT_PAYLOAD_TRANSPORT_HEADER

	equal    = 0 // NFT_CMP_EQ
	notEqual = 1 // NFT_CMP_NEQ

	// Bits of the connection tracking state.
	stateInvalid     = 1
	stateEstablished = 2
	stateRelated     = 4
	stateNew         = 8
	stateUntracked   = 64
)

var (
	accept  = verdict{code: codeAccept}
	drop    = verdict{code: codeDrop}
	returns = verdict{code: codeReturn}
)

func goTo(chain string) verdict   { return verdict{codeGoto, chain} }
func jumpTo(chain string) verdict { return verdict{codeJump, chain} }

// rule is one rule of a chain.
type rule struct {
	exprs          []expr
	comment        string
	packets, bytes uint64 // of its counter
}

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
		{kind: bitwiseAnd, register: reg1, length: 4, data: string(nativeUint32(bits))},
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

// nativeUint32 returns the bytes of a number that the kernel holds in the
// machine's order.
func nativeUint32(n byte) []byte {
	b := [4]byte{}
	putNativeUint32(b[:], uint32(n))
	return b[:]
}

// dataType numbers the types of set keys as nft does, which prints by them.
type dataType uint32

const (
	ipv4Addr    dataType = 7
	ipv6Addr    dataType = 8
	inetProto   dataType = 12
	inetService dataType = 13
	icmpType    dataType = 14
	ifIndex     dataType = 20
	icmp6Type   dataType = 29
	icmpCode    dataType = 32
	ifNameType  dataType = 41
	icmp6Code   dataType = 33

	ifNameLen  = 16 // IFNAMSIZ
	concatBits = 6  // a concatenation's type is its parts' types side by side
)

func addrType(family int) dataType { return ipv4Addr + dataType(family) }

func addrLen(family int) uint32 { return [...]uint32{4, 16}[family] }

// setSpec is a set without its elements. A set with verdicts is a verdict map.
type setSpec struct {
	name     string
	keyType  dataType
	keyLen   uint32
	verdicts bool
	interval bool
	// size is the most elements that the set can hold; 0 is no limit, with a
	// table that grows. The kernel looks up faster in one that does not.
	size uint32
	// brief says that packets put elements in, which last for a while.
	brief bool
}

// element is one element of a set. In interval sets one element begins an
// interval, and another, with end set, is the first key behind it.
type element struct {
	key     string
	end     bool
	verdict verdict // zero in plain sets and at ends
}

func addrKey(a netip.Addr) string { return string(a.AsSlice()) }
