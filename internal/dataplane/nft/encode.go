package nft

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

func putNativeUint32(b []byte, n uint32) { binary.NativeEndian.PutUint32(b, n) }

// names of expressions as the kernel knows them, by kind.
var exprNames = map[kind]string{
	metaLoad: "meta", ctLoad: "ct", payloadLoad: "payload", bitwiseAnd: "bitwise", compare: "cmp",
	inRange: "range", lookup: "lookup", verdictMap: "lookup", counter: "counter", immediate: "immediate",
	bitwiseOr: "bitwise", metaStore: "meta", noTrack: "notrack",
	ctOriginal: "ct", queueTo: "queue", queueTarget: "target",
	limitRate: "limit", logTo: "log", refresh: "dynset",
}

// writeRule appends the message that adds a rule to the end of a chain.
func writeRule(w *nfnl.Writer, table tableID, chain string, r rule) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, table.family)
	w.String(unix.NFTA_RULE_TABLE, table.name)
	w.String(unix.NFTA_RULE_CHAIN, chain)
	list := w.Nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, e := range r.exprs {
		elem := w.Nest(unix.NFTA_LIST_ELEM)
		w.String(unix.NFTA_EXPR_NAME, exprNames[e.kind])
		data := w.Nest(unix.NFTA_EXPR_DATA)
		writeExpr(w, e, r)
		w.EndNest(data)
		w.EndNest(elem)
	}
	w.EndNest(list)
	if r.comment != "" {
		w.Bytes(unix.NFTA_RULE_USERDATA, comment(r.comment))
	}
	w.End()
}

func writeExpr(w *nfnl.Writer, e expr, r rule) {
	switch e.kind {
	case metaLoad:
		w.Uint32(unix.NFTA_META_KEY, e.key)
		w.Uint32(unix.NFTA_META_DREG, e.register)
	case ctLoad:
		w.Uint32(unix.NFTA_CT_KEY, e.key)
		w.Uint32(unix.NFTA_CT_DREG, e.register)
	case ctOriginal, queueTo, queueTarget, refresh:
		writeDNSExpr(w, e)
	case payloadLoad:
		w.Uint32(unix.NFTA_PAYLOAD_DREG, e.register)
		w.Uint32(unix.NFTA_PAYLOAD_BASE, e.key)
		w.Uint32(unix.NFTA_PAYLOAD_OFFSET, e.offset)
		w.Uint32(unix.NFTA_PAYLOAD_LEN, e.length)
	case bitwiseAnd:
		w.Uint32(unix.NFTA_BITWISE_SREG, e.register)
		w.Uint32(unix.NFTA_BITWISE_DREG, e.register)
		w.Uint32(unix.NFTA_BITWISE_LEN, e.length)
		writeData(w, unix.NFTA_BITWISE_MASK, e.data)
		writeData(w, unix.NFTA_BITWISE_XOR, string(make([]byte, e.length)))
	case bitwiseOr:
		w.Uint32(unix.NFTA_BITWISE_SREG, e.register)
		w.Uint32(unix.NFTA_BITWISE_DREG, e.register)
		w.Uint32(unix.NFTA_BITWISE_LEN, e.length)
		writeData(w, unix.NFTA_BITWISE_MASK, inverted(e.data))
		writeData(w, unix.NFTA_BITWISE_XOR, e.data)
	case metaStore:
		w.Uint32(unix.NFTA_META_KEY, e.key)
		w.Uint32(unix.NFTA_META_SREG, e.register)
	case compare:
		w.Uint32(unix.NFTA_CMP_SREG, e.register)
		w.Uint32(unix.NFTA_CMP_OP, e.key)
		writeData(w, unix.NFTA_CMP_DATA, e.data)
	case inRange:
		w.Uint32(unix.NFTA_RANGE_SREG, e.register)
		w.Uint32(unix.NFTA_RANGE_OP, 0)
		writeData(w, unix.NFTA_RANGE_FROM_DATA, e.data)
		writeData(w, unix.NFTA_RANGE_TO_DATA, e.to)
	case lookup, verdictMap:
		w.String(unix.NFTA_LOOKUP_SET, e.set)
		w.Uint32(unix.NFTA_LOOKUP_SREG, e.register)
		if e.kind == verdictMap {
			w.Uint32(unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
		}
	case counter:
		w.Uint64(unix.NFTA_COUNTER_BYTES, r.bytes)
		w.Uint64(unix.NFTA_COUNTER_PACKETS, r.packets)
	case limitRate:
		w.Uint64(unix.NFTA_LIMIT_RATE, uint64(e.key))
		w.Uint64(unix.NFTA_LIMIT_UNIT, 1) // second
		w.Uint32(unix.NFTA_LIMIT_BURST, e.length)
		w.Uint32(unix.NFTA_LIMIT_TYPE, 0) // packets
		w.Uint32(unix.NFTA_LIMIT_FLAGS, 0)
	case logTo:
		w.Uint16(unix.NFTA_LOG_GROUP, uint16(e.key))
		w.String(unix.NFTA_LOG_PREFIX, e.data)
		w.Uint32(unix.NFTA_LOG_SNAPLEN, e.length)
		w.Uint16(unix.NFTA_LOG_QTHRESHOLD, 1) // each packet at once
	case immediate:
		w.Uint32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
		data := w.Nest(unix.NFTA_IMMEDIATE_DATA)
		writeVerdict(w, e.verdict)
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

func writeVerdict(w *nfnl.Writer, v verdict) {
	nest := w.Nest(unix.NFTA_DATA_VERDICT)
	w.Uint32(unix.NFTA_VERDICT_CODE, uint32(kernelCodes[v.code]))
	if v.chain != "" {
		w.String(unix.NFTA_VERDICT_CHAIN, v.chain)
	}
	w.EndNest(nest)
}

const (
	commentUserdata = 0   // NFTNL_UDATA_RULE_COMMENT
	maxComment      = 250 // what fits into its length of one byte, with the zero byte
)

// comment returns the user data in which nft keeps a rule's comment.
func comment(text string) []byte {
	text = clip(text)
	return append([]byte{commentUserdata, byte(len(text) + 1)}, text+"\x00"...)
}

// clip shortens a comment to what a rule can hold; a number of its whole text
// keeps two that begin alike apart.
func clip(text string) string {
	if len(text) <= maxComment {
		return text
	}
	tail := fmt.Sprintf(" #%016x", hash(text))
	n := maxComment - len(tail)
	for !utf8.RuneStart(text[n]) {
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

func writeTable(w *nfnl.Writer, typ uint8, table tableID) {
	flags := uint16(0)
	if typ == unix.NFT_MSG_NEWTABLE {
		flags = unix.NLM_F_CREATE
	}
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, flags, table.family)
	w.String(unix.NFTA_TABLE_NAME, table.name)
	if typ == unix.NFT_MSG_NEWTABLE {
		w.Uint32(unix.NFTA_TABLE_FLAGS, 0)
	}
	w.End()
}

// chainSpec is a chain without its rules.
type chainSpec struct {
	name     string
	base     bool
	hook     uint32 // of a base chain
	priority int32
}

const (
	chainType   = "filter"
	hookForward = 2 // NF_INET_FORWARD
)

func writeChain(w *nfnl.Writer, table tableID, c chainSpec) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table.family)
	w.String(unix.NFTA_CHAIN_TABLE, table.name)
	w.String(unix.NFTA_CHAIN_NAME, c.name)
	if c.base {
		hook := w.Nest(unix.NFTA_CHAIN_HOOK)
		w.Uint32(unix.NFTA_HOOK_HOOKNUM, c.hook)
		w.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))
		w.EndNest(hook)
		w.Uint32(unix.NFTA_CHAIN_POLICY, uint32(kernelCodes[codeAccept]))
		w.String(unix.NFTA_CHAIN_TYPE, chainType)
	}
	w.End()
}

func writeDelChain(w *nfnl.Writer, table tableID, chain string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELCHAIN, 0, table.family)
	w.String(unix.NFTA_CHAIN_TABLE, table.name)
	w.String(unix.NFTA_CHAIN_NAME, chain)
	w.End()
}

// writeFlush deletes all rules of a chain.
func writeFlush(w *nfnl.Writer, table tableID, chain string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELRULE, 0, table.family)
	w.String(unix.NFTA_RULE_TABLE, table.name)
	w.String(unix.NFTA_RULE_CHAIN, chain)
	w.End()
}

const verdictDataType = 0xffffff00 // NFT_DATA_VERDICT

func writeSet(w *nfnl.Writer, table tableID, s setSpec) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE|unix.NLM_F_EXCL, table.family)
	w.String(unix.NFTA_SET_TABLE, table.name)
	w.String(unix.NFTA_SET_NAME, s.name)
	flags := uint32(0)
	if s.interval {
		flags |= unix.NFT_SET_INTERVAL
	}
	if s.brief {
		flags |= unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL
	}
	if s.verdicts {
		flags |= unix.NFT_SET_MAP
		w.Uint32(unix.NFTA_SET_DATA_TYPE, verdictDataType)
		w.Uint32(unix.NFTA_SET_DATA_LEN, 0)
	}
	w.Uint32(unix.NFTA_SET_FLAGS, flags)
	w.Uint32(unix.NFTA_SET_KEY_TYPE, uint32(s.keyType))
	w.Uint32(unix.NFTA_SET_KEY_LEN, s.keyLen)
	w.Uint32(unix.NFTA_SET_ID, uint32(w.Messages()))
	if s.keyType == ifIndex || s.keyType == ifNameType {
		// For nft, which prints it: the key is in the machine's byte order.
		const byteOrder, host = 0, 1
		w.Bytes(unix.NFTA_SET_USERDATA, append([]byte{byteOrder, 4}, nativeUint32(host)...))
	}
	if s.size > 0 {
		desc := w.Nest(unix.NFTA_SET_DESC)
		w.Uint32(unix.NFTA_SET_DESC_SIZE, s.size)
		w.EndNest(desc)
	}
	w.End()
}

func writeDelSet(w *nfnl.Writer, table tableID, set string) {
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELSET, 0, table.family)
	w.String(unix.NFTA_SET_TABLE, table.name)
	w.String(unix.NFTA_SET_NAME, set)
	w.End()
}
