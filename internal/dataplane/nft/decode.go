package nft

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// readExpr reads one expression of a rule. What the tables do not use is an
// error: whoever decides by what was read must not pass over it.
func readExpr(list nfnl.Attrs) (expr, error) {
	name := list.Get(unix.NFTA_EXPR_NAME).String()
	a := list.Get(unix.NFTA_EXPR_DATA).Attrs()
	number := func(typ uint16) uint32 { return a.Get(typ).Uint32() }
	data := func(typ uint16) string { return string(a.Get(typ).Attrs().Get(unix.NFTA_DATA_VALUE)) }
	var e expr
	var known []uint16
	ok := true
	switch name {
	case "meta":
		known = []uint16{unix.NFTA_META_KEY, unix.NFTA_META_DREG, unix.NFTA_META_SREG}
		e = expr{kind: metaLoad, key: number(unix.NFTA_META_KEY), register: number(unix.NFTA_META_DREG)}
		ok = e.key == metaL4Proto || e.key == metaNFProto || e.key == metaIIF || e.key == metaProtocol ||
			e.key == metaIIFName || e.key == metaOIFName || e.key == metaMark
		if a.Get(unix.NFTA_META_SREG) != nil {
			e.kind, e.register = metaStore, number(unix.NFTA_META_SREG)
			ok = e.key == metaMark && a.Get(unix.NFTA_META_DREG) == nil
		}
	case "ct":
		known = []uint16{unix.NFTA_CT_KEY, unix.NFTA_CT_DREG}
		e = expr{kind: ctLoad, key: number(unix.NFTA_CT_KEY), register: number(unix.NFTA_CT_DREG)}
		ok = e.key == ctState || e.key == ctDirection
		if direction := a.Get(unix.NFTA_CT_DIRECTION); direction != nil {
			known = append(known, unix.NFTA_CT_DIRECTION)
			e.kind = ctOriginal
			ok = direction.Uint8() == 0 && (e.key == ctProtoDst || e.key == ctDstIP || e.key == ctDstIP6)
		}
	case "payload":
		known = []uint16{unix.NFTA_PAYLOAD_DREG, unix.NFTA_PAYLOAD_BASE, unix.NFTA_PAYLOAD_OFFSET, unix.NFTA_PAYLOAD_LEN}
		e = expr{
			kind: payloadLoad, register: number(unix.NFTA_PAYLOAD_DREG), key: number(unix.NFTA_PAYLOAD_BASE),
			offset: number(unix.NFTA_PAYLOAD_OFFSET), length: number(unix.NFTA_PAYLOAD_LEN),
		}
		ok = e.key == networkHeader || e.key == transportHeader
	case "bitwise":
		known = []uint16{
			unix.NFTA_BITWISE_SREG, unix.NFTA_BITWISE_DREG, unix.NFTA_BITWISE_LEN,
			unix.NFTA_BITWISE_MASK, unix.NFTA_BITWISE_XOR, bitwiseOperator,
		}
		e = expr{kind: bitwiseAnd, register: number(unix.NFTA_BITWISE_SREG), length: number(unix.NFTA_BITWISE_LEN), data: data(unix.NFTA_BITWISE_MASK)}
		ok = number(unix.NFTA_BITWISE_DREG) == e.register && number(bitwiseOperator) == 0 && len(e.data) == int(e.length)
		if xor := data(unix.NFTA_BITWISE_XOR); strings.Trim(xor, "\x00") != "" {
			ok = ok && xor == inverted(e.data)
			e.kind, e.data = bitwiseOr, xor
		}
	case "notrack":
		e = expr{kind: noTrack}
	case "cmp":
		known = []uint16{unix.NFTA_CMP_SREG, unix.NFTA_CMP_OP, unix.NFTA_CMP_DATA}
		e = expr{kind: compare, register: number(unix.NFTA_CMP_SREG), key: number(unix.NFTA_CMP_OP), data: data(unix.NFTA_CMP_DATA)}
		ok = e.key == equal || e.key == notEqual
	case "range":
		known = []uint16{unix.NFTA_RANGE_SREG, unix.NFTA_RANGE_OP, unix.NFTA_RANGE_FROM_DATA, unix.NFTA_RANGE_TO_DATA}
		e = expr{kind: inRange, register: number(unix.NFTA_RANGE_SREG), data: data(unix.NFTA_RANGE_FROM_DATA), to: data(unix.NFTA_RANGE_TO_DATA)}
		ok = number(unix.NFTA_RANGE_OP) == 0 && len(e.data) == len(e.to)
	case "lookup":
		known = []uint16{unix.NFTA_LOOKUP_SET, unix.NFTA_LOOKUP_SREG, unix.NFTA_LOOKUP_DREG, unix.NFTA_LOOKUP_FLAGS}
		e = expr{kind: lookup, register: number(unix.NFTA_LOOKUP_SREG), set: a.Get(unix.NFTA_LOOKUP_SET).String()}
		if a.Get(unix.NFTA_LOOKUP_DREG) != nil {
			e.kind = verdictMap
		}
		ok = number(unix.NFTA_LOOKUP_DREG) == unix.NFT_REG_VERDICT && number(unix.NFTA_LOOKUP_FLAGS) == 0
	case "counter":
		known = []uint16{unix.NFTA_COUNTER_BYTES, unix.NFTA_COUNTER_PACKETS, unix.NFTA_COUNTER_PAD}
		e = expr{kind: counter}
	case "immediate":
		known = []uint16{unix.NFTA_IMMEDIATE_DREG, unix.NFTA_IMMEDIATE_DATA}
		v, err := readVerdict(a.Get(unix.NFTA_IMMEDIATE_DATA).Attrs())
		if err != nil {
			return expr{}, err
		}
		e = expr{kind: immediate, verdict: v}
		ok = number(unix.NFTA_IMMEDIATE_DREG) == unix.NFT_REG_VERDICT
	case "limit":
		known = []uint16{unix.NFTA_LIMIT_RATE, unix.NFTA_LIMIT_UNIT, unix.NFTA_LIMIT_BURST, unix.NFTA_LIMIT_TYPE, unix.NFTA_LIMIT_FLAGS, unix.NFTA_LIMIT_PAD}
		rate := a.Get(unix.NFTA_LIMIT_RATE).Uint64()
		e = expr{kind: limitRate, key: uint32(rate), length: number(unix.NFTA_LIMIT_BURST)}
		ok = uint64(e.key) == rate && a.Get(unix.NFTA_LIMIT_UNIT).Uint64() == 1 && number(unix.NFTA_LIMIT_TYPE) == 0 && number(unix.NFTA_LIMIT_FLAGS) == 0
	case "log":
		known = []uint16{unix.NFTA_LOG_GROUP, unix.NFTA_LOG_PREFIX, unix.NFTA_LOG_SNAPLEN, unix.NFTA_LOG_QTHRESHOLD}
		e = expr{kind: logTo, key: uint32(a.Get(unix.NFTA_LOG_GROUP).Uint16()), length: number(unix.NFTA_LOG_SNAPLEN), data: a.Get(unix.NFTA_LOG_PREFIX).String()}
		ok = a.Get(unix.NFTA_LOG_QTHRESHOLD).Uint16() == 1
	case "queue", "target":
		return readQueue(name, a)
	case "dynset":
		return readRefresh(a)
	default:
		return expr{}, fmt.Errorf("expression %q is none of ours", name)
	}
	if !ok {
		return expr{}, fmt.Errorf("expression %q is used in a way that is none of ours", name)
	}
	return e, only(a, fmt.Sprintf("expression %q", name), known...)
}

const bitwiseOperator = 6 // NFTA_BITWISE_OP

// only reports attributes besides those known.
func only(a nfnl.Attrs, what string, known ...uint16) error {
next:
	for typ := range a.All() {
		for _, k := range known {
			if typ == k {
				continue next
			}
		}
		return fmt.Errorf("%s has attribute %d, which is none of ours", what, typ)
	}
	return nil
}

func readVerdict(data nfnl.Attrs) (verdict, error) {
	v := data.Get(unix.NFTA_DATA_VERDICT)
	if v == nil {
		return verdict{}, fmt.Errorf("data that is no verdict is none of ours")
	}
	a := v.Attrs()
	code := int32(a.Get(unix.NFTA_VERDICT_CODE).Uint32())
	for ours, kernel := range kernelCodes {
		if kernel == code {
			return verdict{ours, a.Get(unix.NFTA_VERDICT_CHAIN).String()}, nil
		}
	}
	return verdict{}, fmt.Errorf("verdict %d is none of ours", code)
}

// readRule reads a rule and the chain it is in.
func readRule(a nfnl.Attrs) (chain string, r rule, err error) {
	chain = a.Get(unix.NFTA_RULE_CHAIN).String()
	r.comment = readComment(a.Get(unix.NFTA_RULE_USERDATA))
	for _, elem := range a.Get(unix.NFTA_RULE_EXPRESSIONS).Attrs().All() {
		e, err := readExpr(elem.Attrs())
		if err != nil {
			return chain, r, err
		}
		r.exprs = append(r.exprs, e)
	}
	n := readCounter(a)
	r.packets, r.bytes = n.packets, n.bytes
	return chain, r, nil
}

func readChain(a nfnl.Attrs) (chainSpec, error) {
	c := chainSpec{name: a.Get(unix.NFTA_CHAIN_NAME).String()}
	hook := a.Get(unix.NFTA_CHAIN_HOOK).Attrs()
	if len(hook) == 0 {
		return c, nil
	}
	c.base, c.priority = true, int32(hook.Get(unix.NFTA_HOOK_PRIORITY).Uint32())
	c.hook = hook.Get(unix.NFTA_HOOK_HOOKNUM).Uint32()
	if t := a.Get(unix.NFTA_CHAIN_TYPE).String(); t != chainType {
		return c, fmt.Errorf("is of type %q, not %q", t, chainType)
	}
	if p := a.Get(unix.NFTA_CHAIN_POLICY).Uint32(); p != uint32(kernelCodes[codeAccept]) {
		return c, fmt.Errorf("has policy %d, not accept", p)
	}
	return c, nil
}

func readSet(a nfnl.Attrs) (setSpec, error) {
	flags := a.Get(unix.NFTA_SET_FLAGS).Uint32()
	s := setSpec{
		name:     a.Get(unix.NFTA_SET_NAME).String(),
		keyType:  dataType(a.Get(unix.NFTA_SET_KEY_TYPE).Uint32()),
		keyLen:   a.Get(unix.NFTA_SET_KEY_LEN).Uint32(),
		verdicts: flags&unix.NFT_SET_MAP != 0,
		interval: flags&unix.NFT_SET_INTERVAL != 0,
		size:     a.Get(unix.NFTA_SET_DESC).Attrs().Get(unix.NFTA_SET_DESC_SIZE).Uint32(),
	}
	const brief = unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL
	if flags&brief == brief {
		s.brief, flags = true, flags&^brief
	}
	if other := flags &^ (unix.NFT_SET_MAP | unix.NFT_SET_INTERVAL); other != 0 {
		return s, fmt.Errorf("has flags %#x, which are none of ours", other)
	}
	if t := a.Get(unix.NFTA_SET_DATA_TYPE).Uint32(); s.verdicts && t != verdictDataType {
		return s, fmt.Errorf("maps to data of type %#x, not to verdicts", t)
	}
	return s, nil
}

func readElement(a nfnl.Attrs) (element, error) {
	e := element{key: string(a.Get(unix.NFTA_SET_ELEM_KEY).Attrs().Get(unix.NFTA_DATA_VALUE))}
	flags := a.Get(unix.NFTA_SET_ELEM_FLAGS).Uint32()
	e.end = flags&unix.NFT_SET_ELEM_INTERVAL_END != 0
	if other := flags &^ unix.NFT_SET_ELEM_INTERVAL_END; other != 0 {
		return e, fmt.Errorf("element %x has flags %#x, which are none of ours", e.key, other)
	}
	if data := a.Get(unix.NFTA_SET_ELEM_DATA); data != nil {
		v, err := readVerdict(data.Attrs())
		if err != nil {
			return e, fmt.Errorf("element %x: %w", e.key, err)
		}
		e.verdict = v
	}
	return e, only(a, fmt.Sprintf("element %x", e.key),
		unix.NFTA_SET_ELEM_KEY, unix.NFTA_SET_ELEM_DATA, unix.NFTA_SET_ELEM_FLAGS, unix.NFTA_SET_ELEM_USERDATA)
}
