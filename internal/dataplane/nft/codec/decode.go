package codec

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// readExpr reads one expression of a rule. What the tables do not use is an
// error: whoever decides by what was read must not pass over it.
func readExpr(list nfnl.Attrs) (Expr, error) {
	name := list.Get(unix.NFTA_EXPR_NAME).String()
	a := list.Get(unix.NFTA_EXPR_DATA).Attrs()
	number := func(typ uint16) uint32 { return a.Get(typ).Uint32() }
	data := func(typ uint16) string { return string(a.Get(typ).Attrs().Get(unix.NFTA_DATA_VALUE)) }
	var e Expr
	var known []uint16
	ok := true
	switch name {
	case "meta":
		known = []uint16{unix.NFTA_META_KEY, unix.NFTA_META_DREG, unix.NFTA_META_SREG}
		e = Expr{Kind: MetaLoad, Key: number(unix.NFTA_META_KEY), Register: number(unix.NFTA_META_DREG)}
		ok = e.Key == MetaL4Proto || e.Key == MetaNFProto || e.Key == MetaIIF || e.Key == MetaOIF || e.Key == MetaProtocol ||
			e.Key == MetaIIFName || e.Key == MetaOIFName || e.Key == MetaMark
		if a.Get(unix.NFTA_META_SREG) != nil {
			e.Kind, e.Register = MetaStore, number(unix.NFTA_META_SREG)
			ok = e.Key == MetaMark && a.Get(unix.NFTA_META_DREG) == nil
		}
	case "ct":
		known = []uint16{unix.NFTA_CT_KEY, unix.NFTA_CT_DREG}
		e = Expr{Kind: CTLoad, Key: number(unix.NFTA_CT_KEY), Register: number(unix.NFTA_CT_DREG)}
		ok = e.Key == CTState || e.Key == CTDirection
		if direction := a.Get(unix.NFTA_CT_DIRECTION); direction != nil {
			known = append(known, unix.NFTA_CT_DIRECTION)
			e.Kind = CTOriginal
			ok = direction.Uint8() == 0 && (e.Key == CTProtoDst || e.Key == CTDstIP || e.Key == CTDstIP6)
		}
	case "payload":
		known = []uint16{unix.NFTA_PAYLOAD_DREG, unix.NFTA_PAYLOAD_BASE, unix.NFTA_PAYLOAD_OFFSET, unix.NFTA_PAYLOAD_LEN}
		e = Expr{
			Kind: PayloadLoad, Register: number(unix.NFTA_PAYLOAD_DREG), Key: number(unix.NFTA_PAYLOAD_BASE),
			Offset: number(unix.NFTA_PAYLOAD_OFFSET), Length: number(unix.NFTA_PAYLOAD_LEN),
		}
		ok = e.Key == LinkHeader || e.Key == NetworkHeader || e.Key == TransportHeader
	case "bitwise":
		known = []uint16{
			unix.NFTA_BITWISE_SREG, unix.NFTA_BITWISE_DREG, unix.NFTA_BITWISE_LEN,
			unix.NFTA_BITWISE_MASK, unix.NFTA_BITWISE_XOR, bitwiseOperator,
		}
		e = Expr{Kind: BitwiseAnd, Register: number(unix.NFTA_BITWISE_SREG), Length: number(unix.NFTA_BITWISE_LEN), Data: data(unix.NFTA_BITWISE_MASK)}
		ok = number(unix.NFTA_BITWISE_DREG) == e.Register && number(bitwiseOperator) == 0 && len(e.Data) == int(e.Length)
		if xor := data(unix.NFTA_BITWISE_XOR); strings.Trim(xor, "\x00") != "" {
			ok = ok && xor == inverted(e.Data)
			e.Kind, e.Data = BitwiseOr, xor
		}
	case "notrack":
		e = Expr{Kind: NoTrack}
	case "cmp":
		known = []uint16{unix.NFTA_CMP_SREG, unix.NFTA_CMP_OP, unix.NFTA_CMP_DATA}
		e = Expr{Kind: Compare, Register: number(unix.NFTA_CMP_SREG), Key: number(unix.NFTA_CMP_OP), Data: data(unix.NFTA_CMP_DATA)}
		ok = e.Key == Equal || e.Key == NotEqual
	case "range":
		known = []uint16{unix.NFTA_RANGE_SREG, unix.NFTA_RANGE_OP, unix.NFTA_RANGE_FROM_DATA, unix.NFTA_RANGE_TO_DATA}
		e = Expr{Kind: InRange, Register: number(unix.NFTA_RANGE_SREG), Data: data(unix.NFTA_RANGE_FROM_DATA), To: data(unix.NFTA_RANGE_TO_DATA)}
		ok = number(unix.NFTA_RANGE_OP) == 0 && len(e.Data) == len(e.To)
	case "lookup":
		known = []uint16{unix.NFTA_LOOKUP_SET, unix.NFTA_LOOKUP_SREG, unix.NFTA_LOOKUP_DREG, unix.NFTA_LOOKUP_FLAGS}
		e = Expr{Kind: Lookup, Register: number(unix.NFTA_LOOKUP_SREG), Set: a.Get(unix.NFTA_LOOKUP_SET).String()}
		if a.Get(unix.NFTA_LOOKUP_DREG) != nil {
			e.Kind = VerdictMap
		}
		ok = number(unix.NFTA_LOOKUP_DREG) == unix.NFT_REG_VERDICT && number(unix.NFTA_LOOKUP_FLAGS) == 0
	case "counter":
		known = []uint16{unix.NFTA_COUNTER_BYTES, unix.NFTA_COUNTER_PACKETS, unix.NFTA_COUNTER_PAD}
		e = Expr{Kind: Counter}
	case "immediate":
		known = []uint16{unix.NFTA_IMMEDIATE_DREG, unix.NFTA_IMMEDIATE_DATA}
		v, err := readVerdict(a.Get(unix.NFTA_IMMEDIATE_DATA).Attrs())
		if err != nil {
			return Expr{}, err
		}
		e = Expr{Kind: Immediate, Verdict: v}
		ok = number(unix.NFTA_IMMEDIATE_DREG) == unix.NFT_REG_VERDICT
	case "limit":
		known = []uint16{unix.NFTA_LIMIT_RATE, unix.NFTA_LIMIT_UNIT, unix.NFTA_LIMIT_BURST, unix.NFTA_LIMIT_TYPE, unix.NFTA_LIMIT_FLAGS, unix.NFTA_LIMIT_PAD}
		rate := a.Get(unix.NFTA_LIMIT_RATE).Uint64()
		e = Expr{Kind: LimitRate, Key: uint32(rate), Length: number(unix.NFTA_LIMIT_BURST)}
		ok = uint64(e.Key) == rate && a.Get(unix.NFTA_LIMIT_UNIT).Uint64() == 1 && number(unix.NFTA_LIMIT_TYPE) == 0 && number(unix.NFTA_LIMIT_FLAGS) == 0
	case "log":
		known = []uint16{unix.NFTA_LOG_GROUP, unix.NFTA_LOG_PREFIX, unix.NFTA_LOG_SNAPLEN, unix.NFTA_LOG_QTHRESHOLD}
		e = Expr{Kind: LogTo, Key: uint32(a.Get(unix.NFTA_LOG_GROUP).Uint16()), Length: number(unix.NFTA_LOG_SNAPLEN), Data: a.Get(unix.NFTA_LOG_PREFIX).String()}
		ok = a.Get(unix.NFTA_LOG_QTHRESHOLD).Uint16() == 1
	case "queue", "target":
		return readQueue(name, a)
	case "dynset":
		return readRefresh(a)
	default:
		return Expr{}, fmt.Errorf("expression %q is none of ours", name)
	}
	if !ok {
		return Expr{}, fmt.Errorf("expression %q is used in a way that is none of ours", name)
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

func readVerdict(data nfnl.Attrs) (Verdict, error) {
	v := data.Get(unix.NFTA_DATA_VERDICT)
	if v == nil {
		return Verdict{}, fmt.Errorf("data that is no verdict is none of ours")
	}
	a := v.Attrs()
	code := int32(a.Get(unix.NFTA_VERDICT_CODE).Uint32())
	for ours, kernel := range kernelCodes {
		if kernel == code {
			return Verdict{ours, a.Get(unix.NFTA_VERDICT_CHAIN).String()}, nil
		}
	}
	return Verdict{}, fmt.Errorf("verdict %d is none of ours", code)
}

// readRule reads a rule and the chain it is in.
func readRule(a nfnl.Attrs) (chain string, r Rule, err error) {
	chain = a.Get(unix.NFTA_RULE_CHAIN).String()
	r.Comment = readComment(a.Get(unix.NFTA_RULE_USERDATA))
	for _, elem := range a.Get(unix.NFTA_RULE_EXPRESSIONS).Attrs().All() {
		e, err := readExpr(elem.Attrs())
		if err != nil {
			return chain, r, err
		}
		r.Exprs = append(r.Exprs, e)
	}
	n := readCounter(a)
	r.Packets, r.Bytes = n.Packets, n.Bytes
	return chain, r, nil
}

func readChain(a nfnl.Attrs) (ChainSpec, error) {
	c := ChainSpec{Name: a.Get(unix.NFTA_CHAIN_NAME).String()}
	hook := a.Get(unix.NFTA_CHAIN_HOOK).Attrs()
	if len(hook) == 0 {
		return c, nil
	}
	c.Base, c.Priority = true, int32(hook.Get(unix.NFTA_HOOK_PRIORITY).Uint32())
	c.Hook = hook.Get(unix.NFTA_HOOK_HOOKNUM).Uint32()
	if t := a.Get(unix.NFTA_CHAIN_TYPE).String(); t != chainType {
		return c, fmt.Errorf("is of type %q, not %q", t, chainType)
	}
	if p := a.Get(unix.NFTA_CHAIN_POLICY).Uint32(); p != uint32(kernelCodes[CodeAccept]) {
		return c, fmt.Errorf("has policy %d, not accept", p)
	}
	return c, nil
}

func readSet(a nfnl.Attrs) (SetSpec, error) {
	flags := a.Get(unix.NFTA_SET_FLAGS).Uint32()
	s := SetSpec{
		Name:     a.Get(unix.NFTA_SET_NAME).String(),
		KeyType:  DataType(a.Get(unix.NFTA_SET_KEY_TYPE).Uint32()),
		KeyLen:   a.Get(unix.NFTA_SET_KEY_LEN).Uint32(),
		Verdicts: flags&unix.NFT_SET_MAP != 0,
		Interval: flags&unix.NFT_SET_INTERVAL != 0,
		Size:     a.Get(unix.NFTA_SET_DESC).Attrs().Get(unix.NFTA_SET_DESC_SIZE).Uint32(),
	}
	const brief = unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL
	if flags&brief == brief {
		s.Brief, flags = true, flags&^brief
	}
	if other := flags &^ (unix.NFT_SET_MAP | unix.NFT_SET_INTERVAL); other != 0 {
		return s, fmt.Errorf("has flags %#x, which are none of ours", other)
	}
	if t := a.Get(unix.NFTA_SET_DATA_TYPE).Uint32(); s.Verdicts && t != verdictDataType {
		return s, fmt.Errorf("maps to data of type %#x, not to verdicts", t)
	}
	return s, nil
}

func readElement(a nfnl.Attrs) (Element, error) {
	e := Element{Key: string(a.Get(unix.NFTA_SET_ELEM_KEY).Attrs().Get(unix.NFTA_DATA_VALUE))}
	flags := a.Get(unix.NFTA_SET_ELEM_FLAGS).Uint32()
	e.End = flags&unix.NFT_SET_ELEM_INTERVAL_END != 0
	if other := flags &^ unix.NFT_SET_ELEM_INTERVAL_END; other != 0 {
		return e, fmt.Errorf("element %x has flags %#x, which are none of ours", e.Key, other)
	}
	if data := a.Get(unix.NFTA_SET_ELEM_DATA); data != nil {
		v, err := readVerdict(data.Attrs())
		if err != nil {
			return e, fmt.Errorf("element %x: %w", e.Key, err)
		}
		e.Verdict = v
	}
	return e, only(a, fmt.Sprintf("element %x", e.Key),
		unix.NFTA_SET_ELEM_KEY, unix.NFTA_SET_ELEM_DATA, unix.NFTA_SET_ELEM_FLAGS, unix.NFTA_SET_ELEM_USERDATA)
}
