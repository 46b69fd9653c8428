package nft

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
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
	queueTo     // hands the packet to queue key, with flags length
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

// rule is one rule of a chain.
type rule struct {
	exprs          []expr
	comment        string
	packets, bytes uint64 // of its counter
}

// equalRules compares rules, counters aside.
func equalRules(a, b []rule) bool {
	return slices.EqualFunc(a, b, func(x, y rule) bool { return x.comment == y.comment && slices.Equal(x.exprs, y.exprs) })
}

// nativeUint32 returns the bytes of a number that the kernel holds in the
// machine's order.
func nativeUint32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

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
