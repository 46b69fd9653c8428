package codec

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Kind is a kernel expression. These are all that the tables use; stock nft
// (from 1.0.6 on) prints every rule that is made of them.
type Kind uint8

// The expressions, and what their fields are.
const (
	MetaLoad Kind = iota + 1 // key -> register
	CTLoad
	PayloadLoad
	BitwiseAnd
	Compare
	InRange
	Lookup     // ends the rule's evaluation unless the register is in the set
	VerdictMap // acts as the set's element for the register says
	Counter
	Immediate   // a verdict
	CTOriginal  // of the packet that began the connection: key -> register
	QueueTo     // hands the packet to queue key, with flags length
	QueueTarget // the same by iptables' target, for kernels without the expression
	LimitRate   // ends the rule's evaluation beyond key packets a second, after length at once
	BitwiseOr   // sets the bits of data
	MetaStore   // register -> key
	NoTrack     // the packet belongs to no connection
	Refresh     // puts the register into the set for key milliseconds more
	LogTo       // tells NFLOG group key of a packet's first length bytes, with prefix data
	CountIn     // counts the packet at the register's element of the set, for key milliseconds more
)

// Expr is one expression of a rule. It is comparable, and only fields that its
// kind uses are set.
type Expr struct {
	Kind     Kind
	Register uint32
	Key      uint32 // of meta and ct; base of payload; operator of compare
	Offset   uint32
	Length   uint32
	Data, To string // bytes: operand, mask, first and last of a range
	Set      string
	Verdict  Verdict
}

// Verdict is what a rule or an element of a verdict map does; zero is none.
type Verdict struct {
	Code  VerdictCode
	Chain string // of goto and jump
}

// VerdictCode is what a verdict does.
type VerdictCode uint8

// The codes.
const (
	CodeAccept VerdictCode = iota + 1
	CodeDrop
	CodeReturn
	CodeGoto
	CodeJump
)

// kernelCodes are the verdict codes as the kernel numbers them.
var kernelCodes = map[VerdictCode]int32{
	CodeAccept: 1, CodeDrop: 0, CodeReturn: unix.NFT_RETURN, CodeGoto: unix.NFT_GOTO, CodeJump: unix.NFT_JUMP,
}

// Numbers of linux/netfilter/nf_tables.h that stand in expressions.
const (
	Reg1       = unix.NFT_REG_1
	Reg32Start = unix.NFT_REG32_00

	MetaProtocol = 1  // NFT_META_PROTOCOL
	MetaIIF      = 4  // NFT_META_IIF
	MetaOIF      = 5  // NFT_META_OIF
	MetaMark     = 3  // NFT_META_MARK
	MetaIIFName  = 6  // NFT_META_IIFNAME
	MetaOIFName  = 7  // NFT_META_OIFNAME
	MetaNFProto  = 15 // NFT_META_NFPROTO
	MetaL4Proto  = 16 // NFT_META_L4PROTO

	CTState     = 0  // NFT_CT_STATE
	CTDirection = 1  // NFT_CT_DIRECTION
	CTProtoDst  = 12 // NFT_CT_PROTO_DST
	CTDstIP     = 20 // NFT_CT_DST_IP
	CTDstIP6    = 22 // NFT_CT_DST_IP6

	CTReply = 1 // IP_CT_DIR_REPLY

	LinkHeader      = 0 // NFT_PAYLOAD_LL_HEADER
	NetworkHeader   = 1 // NFT_PAYLOAD_NETWORK_HEADER
	TransportHeader = 2 // NFT_PAYLOAD_TRANSPORT_HEADER

	Equal    = 0 // NFT_CMP_EQ
	NotEqual = 1 // NFT_CMP_NEQ

	// Bits of the connection tracking state.
	StateInvalid     = 1
	StateEstablished = 2
	StateRelated     = 4
	StateNew         = 8
	StateUntracked   = 64
)

// Rule is one rule of a chain.
type Rule struct {
	Exprs          []Expr
	Comment        string
	Packets, Bytes uint64 // of its counter
}

// EqualRules compares rules, counters aside.
func EqualRules(a, b []Rule) bool {
	return slices.EqualFunc(a, b, func(x, y Rule) bool { return x.Comment == y.Comment && slices.Equal(x.Exprs, y.Exprs) })
}

// NativeUint32 returns the bytes of a number that the kernel holds in the
// machine's order.
func NativeUint32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// DataType numbers the types of set keys as nft does, which prints by them.
type DataType uint32

// The data types of keys, as nft numbers them.
const (
	IPv4Addr    DataType = 7
	ipv6Addr    DataType = 8
	EtherAddr   DataType = 9
	InetProto   DataType = 12
	InetService DataType = 13
	ICMPType    DataType = 14
	IfIndex     DataType = 20
	ICMPv6Type  DataType = 29
	ICMPCode    DataType = 32
	IfNameType  DataType = 41
	ICMPv6Code  DataType = 33

	IfNameLen  = 16 // IFNAMSIZ
	ConcatBits = 6  // a concatenation's type is its parts' types side by side
)

// SetSpec is a set without its elements. A set with verdicts is a verdict map.
type SetSpec struct {
	Name     string
	KeyType  DataType
	KeyLen   uint32
	Verdicts bool
	Interval bool
	// Size is the most elements that the set can hold; 0 is no limit, with a
	// table that grows. The kernel looks up faster in one that does not.
	Size uint32
	// Brief says that packets put elements in, which last for a while.
	Brief bool
}

// Element is one element of a set. In interval sets one element begins an
// interval, and another, with end set, is the first key behind it.
type Element struct {
	Key     string
	End     bool
	Verdict Verdict // zero in plain sets and at ends
}
