package codec

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// PutNativeUint32 writes a number as the kernel holds it, in the machine's order.
func PutNativeUint32(b []byte, n uint32) { binary.NativeEndian.PutUint32(b, n) }

// names of expressions as the kernel knows them, by kind.
var exprNames = map[Kind]string{
	MetaLoad: "meta", CTLoad: "ct", PayloadLoad: "payload", BitwiseAnd: "bitwise", Compare: "cmp",
	InRange: "range", Lookup: "lookup", VerdictMap: "lookup", Counter: "counter", Immediate: "immediate",
	BitwiseOr: "bitwise", MetaStore: "meta", NoTrack: "notrack",
	CTOriginal: "ct", QueueTo: "queue", QueueTarget: "target",
	LimitRate: "limit", LogTo: "log", Refresh: "dynset", CountIn: "dynset",
}

// WriteRule appends the message that adds a rule to the end of a chain.
func WriteRule(w *nfnl.Writer, table TableID, chain string, r Rule) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, table.Family)
	w.String(unix.NFTA_RULE_TABLE, table.Name)
	w.String(unix.NFTA_RULE_CHAIN, chain)
	list := w.Nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, e := range r.Exprs {
		elem := w.Nest(unix.NFTA_LIST_ELEM)
		w.String(unix.NFTA_EXPR_NAME, exprNames[e.Kind])
		data := w.Nest(unix.NFTA_EXPR_DATA)
		writeExpr(w, e, r)
		w.EndNest(data)
		w.EndNest(elem)
	}
	w.EndNest(list)
	if r.Comment != "" {
		w.Bytes(unix.NFTA_RULE_USERDATA, comment(r.Comment))
	}
	w.End()
}

func writeExpr(w *nfnl.Writer, e Expr, r Rule) {
	switch e.Kind {
	case MetaLoad:
		w.Uint32(unix.NFTA_META_KEY, e.Key)
		w.Uint32(unix.NFTA_META_DREG, e.Register)
	case CTLoad:
		w.Uint32(unix.NFTA_CT_KEY, e.Key)
		w.Uint32(unix.NFTA_CT_DREG, e.Register)
	case CTOriginal, QueueTo, QueueTarget, Refresh, CountIn:
		writeDNSExpr(w, e)
	case PayloadLoad:
		w.Uint32(unix.NFTA_PAYLOAD_DREG, e.Register)
		w.Uint32(unix.NFTA_PAYLOAD_BASE, e.Key)
		w.Uint32(unix.NFTA_PAYLOAD_OFFSET, e.Offset)
		w.Uint32(unix.NFTA_PAYLOAD_LEN, e.Length)
	case BitwiseAnd:
		w.Uint32(unix.NFTA_BITWISE_SREG, e.Register)
		w.Uint32(unix.NFTA_BITWISE_DREG, e.Register)
		w.Uint32(unix.NFTA_BITWISE_LEN, e.Length)
		writeData(w, unix.NFTA_BITWISE_MASK, e.Data)
		writeData(w, unix.NFTA_BITWISE_XOR, string(make([]byte, e.Length)))
	case BitwiseOr:
		w.Uint32(unix.NFTA_BITWISE_SREG, e.Register)
		w.Uint32(unix.NFTA_BITWISE_DREG, e.Register)
		w.Uint32(unix.NFTA_BITWISE_LEN, e.Length)
		writeData(w, unix.NFTA_BITWISE_MASK, inverted(e.Data))
		writeData(w, unix.NFTA_BITWISE_XOR, e.Data)
	case MetaStore:
		w.Uint32(unix.NFTA_META_KEY, e.Key)
		w.Uint32(unix.NFTA_META_SREG, e.Register)
	case Compare:
		w.Uint32(unix.NFTA_CMP_SREG, e.Register)
		w.Uint32(unix.NFTA_CMP_OP, e.Key)
		writeData(w, unix.NFTA_CMP_DATA, e.Data)
	case InRange:
		w.Uint32(unix.NFTA_RANGE_SREG, e.Register)
		w.Uint32(unix.NFTA_RANGE_OP, 0)
		writeData(w, unix.NFTA_RANGE_FROM_DATA, e.Data)
		writeData(w, unix.NFTA_RANGE_TO_DATA, e.To)
	case Lookup, VerdictMap:
		w.String(unix.NFTA_LOOKUP_SET, e.Set)
		w.Uint32(unix.NFTA_LOOKUP_SREG, e.Register)
		if e.Kind == VerdictMap {
			w.Uint32(unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
		}
	case Counter:
		w.Uint64(unix.NFTA_COUNTER_BYTES, r.Bytes)
		w.Uint64(unix.NFTA_COUNTER_PACKETS, r.Packets)
	case LimitRate:
		w.Uint64(unix.NFTA_LIMIT_RATE, uint64(e.Key))
		w.Uint64(unix.NFTA_LIMIT_UNIT, 1) // second
		w.Uint32(unix.NFTA_LIMIT_BURST, e.Length)
		w.Uint32(unix.NFTA_LIMIT_TYPE, 0) // packets
		w.Uint32(unix.NFTA_LIMIT_FLAGS, 0)
	case LogTo:
		w.Uint16(unix.NFTA_LOG_GROUP, uint16(e.Key))
		w.String(unix.NFTA_LOG_PREFIX, e.Data)
		w.Uint32(unix.NFTA_LOG_SNAPLEN, e.Length)
		w.Uint16(unix.NFTA_LOG_QTHRESHOLD, 1) // each packet at once
	case Immediate:
		w.Uint32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		data := w.Nest(unix.NFTA_IMMEDIATE_DATA)
		writeVerdict(w, e.Verdict)
		w.EndNest(data)
	}
}

// inverted returns the other bits.
func inverted(data string) string {
	b := []byte(data)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(b)
}

func writeData(w *nfnl.Writer, typ uint16, data string) {
	nest := w.Nest(typ)
	w.Raw(unix.NFTA_DATA_VALUE, data)
	w.EndNest(nest)
}

func writeVerdict(w *nfnl.Writer, v Verdict) {
	nest := w.Nest(unix.NFTA_DATA_VERDICT)
	w.Uint32(unix.NFTA_VERDICT_CODE, uint32(kernelCodes[v.Code]))
	if v.Chain != "" {
		w.String(unix.NFTA_VERDICT_CHAIN, v.Chain)
	}
	w.EndNest(nest)
}

const (
	commentUserdata = 0   // NFTNL_UDATA_RULE_COMMENT
	maxComment      = 250 // what fits into its length of one byte, with the zero byte
)

// comment returns the user data in which nft keeps a rule's comment.
func comment(text string) []byte {
	text = Clip(text)
	return append([]byte{commentUserdata, byte(len(text) + 1)}, text+"\x00"...)
}

// Clip shortens a comment to what a rule can hold; a number of its whole text
// keeps two that begin alike apart.
func Clip(text string) string {
	if len(text) <= maxComment {
		return text
	}
	tail := fmt.Sprintf(" #%016x", hash(text))
	n := maxComment - len(tail)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + tail
}

// hash is FNV-1a.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// WriteTable appends the message that adds or deletes a table.
func WriteTable(w *nfnl.Writer, typ uint8, table TableID) {
	flags := uint16(0)
	if typ == unix.NFT_MSG_NEWTABLE {
		flags = unix.NLM_F_CREATE
	}
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, flags, table.Family)
	w.String(unix.NFTA_TABLE_NAME, table.Name)
	if typ == unix.NFT_MSG_NEWTABLE {
		w.Uint32(unix.NFTA_TABLE_FLAGS, 0)
	}
	w.End()
}

// ChainSpec is a chain without its rules.
type ChainSpec struct {
	Name     string
	Base     bool
	Hook     uint32 // of a base chain
	Priority int32
}

const chainType = "filter"

// HookForward is the hook of packets that are routed through the host: NF_INET_FORWARD.
const HookForward = 2

// WriteChain appends the message that adds a chain.
func WriteChain(w *nfnl.Writer, table TableID, c ChainSpec) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table.Family)
	w.String(unix.NFTA_CHAIN_TABLE, table.Name)
	w.String(unix.NFTA_CHAIN_NAME, c.Name)
	if c.Base {
		hook := w.Nest(unix.NFTA_CHAIN_HOOK)
		w.Uint32(unix.NFTA_HOOK_HOOKNUM, c.Hook)
		w.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(c.Priority))
		w.EndNest(hook)
		w.Uint32(unix.NFTA_CHAIN_POLICY, uint32(kernelCodes[CodeAccept]))
		w.String(unix.NFTA_CHAIN_TYPE, chainType)
	}
	w.End()
}

func writeDelChain(w *nfnl.Writer, table TableID, chain string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELCHAIN, 0, table.Family)
	w.String(unix.NFTA_CHAIN_TABLE, table.Name)
	w.String(unix.NFTA_CHAIN_NAME, chain)
	w.End()
}

// WriteFlush deletes all rules of a chain.
func WriteFlush(w *nfnl.Writer, table TableID, chain string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELRULE, 0, table.Family)
	w.String(unix.NFTA_RULE_TABLE, table.Name)
	w.String(unix.NFTA_RULE_CHAIN, chain)
	w.End()
}

const verdictDataType = 0xffffff00 // NFT_DATA_VERDICT

// WriteSet appends the message that adds a set.
func WriteSet(w *nfnl.Writer, table TableID, s SetSpec) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table.Family)
	w.String(unix.NFTA_SET_TABLE, table.Name)
	w.String(unix.NFTA_SET_NAME, s.Name)
	flags := uint32(0)
	if s.Interval {
		flags |= unix.NFT_SET_INTERVAL
	}
	if s.Brief {
		flags |= unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL
	}
	if s.Verdicts {
		flags |= unix.NFT_SET_MAP
		w.Uint32(unix.NFTA_SET_DATA_TYPE, verdictDataType)
		w.Uint32(unix.NFTA_SET_DATA_LEN, 0)
	}
	w.Uint32(unix.NFTA_SET_FLAGS, flags)
	w.Uint32(unix.NFTA_SET_KEY_TYPE, uint32(s.KeyType))
	w.Uint32(unix.NFTA_SET_KEY_LEN, s.KeyLen)
	w.Uint32(unix.NFTA_SET_ID, uint32(w.Messages()))
	if s.KeyType == IfIndex || s.KeyType == IfNameType {
		// For nft, which prints it: the key is in the machine's byte order.
		const byteOrder, host = 0, 1
		w.Bytes(unix.NFTA_SET_USERDATA, append([]byte{byteOrder, 4}, NativeUint32(host)...))
	}
	if s.Size > 0 {
		desc := w.Nest(unix.NFTA_SET_DESC)
		w.Uint32(unix.NFTA_SET_DESC_SIZE, s.Size)
		w.EndNest(desc)
	}
	w.End()
}

func writeDelSet(w *nfnl.Writer, table TableID, set string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELSET, 0, table.Family)
	w.String(unix.NFTA_SET_TABLE, table.Name)
	w.String(unix.NFTA_SET_NAME, set)
	w.End()
}
