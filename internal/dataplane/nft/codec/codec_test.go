package codec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// What is written is read back as the same value: whoever compares the kernel's tables with those
// that should be there relies on it. The kernel is not asked here; that it keeps what was
// written is for the tests of package nft.

var testTable = TableID{Family: unix.NFPROTO_INET, Name: "tierwall"}

// fataler is a test: also one of rapid, or a fuzzer.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// messages returns the attributes of each message that was written.
func messages(t fataler, write func(*nfnl.Writer)) []nfnl.Attrs {
	t.Helper()
	var w nfnl.Writer
	write(&w)
	var list []nfnl.Attrs
	err := nfnl.ParseMessages(w.B, func(h nfnl.Header, body []byte) error {
		m, err := nfnl.ParseMessage(h, body)
		list = append(list, m.Attrs)
		return err
	})
	if err != nil {
		t.Fatalf("what was written cannot be parsed: %v", err)
	}
	return list
}

// message is messages of one.
func message(t fataler, write func(*nfnl.Writer)) nfnl.Attrs {
	t.Helper()
	list := messages(t, write)
	if len(list) != 1 {
		t.Fatalf("%d messages were written, want 1", len(list))
	}
	return list[0]
}

var (
	drawNumber   = rapid.OneOf(rapid.SampledFrom([]uint32{0, 1, 255, 256, 65535, 1<<32 - 1}), rapid.Uint32())
	drawRegister = rapid.Uint32Range(1, 23)
	drawShort    = rapid.Uint32Range(0, 65535)
	drawName     = rapid.StringMatching(`[a-z][a-z0-9-]{0,40}`)
	drawBytes    = rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 16), func(b []byte) string { return string(b) })
)

// drawExprs draws an expression of each kind, with the fields that the kind uses.
var drawExprs = map[Kind]func(*rapid.T) Expr{
	MetaLoad: func(t *rapid.T) Expr {
		keys := []uint32{MetaProtocol, MetaIIF, MetaOIF, MetaMark, MetaIIFName, MetaOIFName, MetaNFProto, MetaL4Proto}
		return Expr{Register: drawRegister.Draw(t, "register"), Key: rapid.SampledFrom(keys).Draw(t, "key")}
	},
	MetaStore: func(t *rapid.T) Expr { return Expr{Register: drawRegister.Draw(t, "register"), Key: MetaMark} },
	CTLoad: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Key: rapid.SampledFrom([]uint32{CTState, CTDirection}).Draw(t, "key")}
	},
	CTOriginal: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Key: rapid.SampledFrom([]uint32{CTProtoDst, CTDstIP, CTDstIP6}).Draw(t, "key")}
	},
	PayloadLoad: func(t *rapid.T) Expr {
		return Expr{
			Register: drawRegister.Draw(t, "register"), Key: rapid.SampledFrom([]uint32{LinkHeader, NetworkHeader, TransportHeader}).Draw(t, "base"),
			Offset: drawNumber.Draw(t, "offset"), Length: drawNumber.Draw(t, "length"),
		}
	},
	BitwiseAnd: func(t *rapid.T) Expr {
		mask := drawBytes.Draw(t, "mask")
		return Expr{Register: drawRegister.Draw(t, "register"), Length: uint32(len(mask)), Data: mask}
	},
	BitwiseOr: func(t *rapid.T) Expr {
		bits := drawBytes.Filter(func(s string) bool { return strings.Trim(s, "\x00") != "" }).Draw(t, "bits")
		return Expr{Register: drawRegister.Draw(t, "register"), Length: uint32(len(bits)), Data: bits}
	},
	Compare: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Key: rapid.SampledFrom([]uint32{Equal, NotEqual}).Draw(t, "operator"), Data: drawBytes.Draw(t, "data")}
	},
	InRange: func(t *rapid.T) Expr {
		first := drawBytes.Draw(t, "first")
		last := rapid.SliceOfN(rapid.Byte(), len(first), len(first)).Draw(t, "last")
		return Expr{Register: drawRegister.Draw(t, "register"), Data: first, To: string(last)}
	},
	Lookup: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Set: drawName.Draw(t, "set")}
	},
	VerdictMap: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Set: drawName.Draw(t, "set")}
	},
	Counter:   func(*rapid.T) Expr { return Expr{} },
	NoTrack:   func(*rapid.T) Expr { return Expr{} },
	Immediate: func(t *rapid.T) Expr { return Expr{Verdict: drawVerdict(t)} },
	QueueTo:   func(t *rapid.T) Expr { return Expr{Key: drawShort.Draw(t, "queue"), Length: QueueBypass} },
	QueueTarget: func(t *rapid.T) Expr {
		return Expr{Key: drawShort.Draw(t, "queue"), Length: QueueBypass}
	},
	LimitRate: func(t *rapid.T) Expr {
		return Expr{Key: drawNumber.Draw(t, "rate"), Length: drawNumber.Draw(t, "burst")}
	},
	Refresh: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Set: drawName.Draw(t, "set"), Key: drawNumber.Draw(t, "milliseconds")}
	},
	CountIn: func(t *rapid.T) Expr {
		return Expr{Register: drawRegister.Draw(t, "register"), Set: drawName.Draw(t, "set"), Key: drawNumber.Draw(t, "milliseconds")}
	},
	LogTo: func(t *rapid.T) Expr {
		return Expr{Key: drawShort.Draw(t, "group"), Length: drawNumber.Draw(t, "length"), Data: drawName.Draw(t, "prefix")}
	},
}

func drawVerdict(t *rapid.T) Verdict {
	v := Verdict{Code: rapid.SampledFrom([]VerdictCode{CodeAccept, CodeDrop, CodeReturn, CodeGoto, CodeJump}).Draw(t, "verdict")}
	if v.Code == CodeGoto || v.Code == CodeJump {
		v.Chain = drawName.Draw(t, "chain")
	}
	return v
}

func drawRule(t *rapid.T) Rule {
	kinds := rapid.SliceOfN(rapid.SampledFrom(kindsOf(exprNames)), 0, 8).Draw(t, "kinds")
	var r Rule
	for _, k := range kinds {
		e := drawExprs[k](t)
		e.Kind = k
		r.Exprs = append(r.Exprs, e)
		if k == Counter {
			r.Packets, r.Bytes = rapid.Uint64().Draw(t, "packets"), rapid.Uint64().Draw(t, "bytes")
		}
	}
	r.Comment = rapid.OneOf(rapid.Just(""), drawName, rapid.StringOfN(rapid.RuneFrom([]rune("aä€")), 0, 200, -1)).Draw(t, "comment")
	return r
}

func kindsOf(names map[Kind]string) []Kind {
	var kinds []Kind
	for k := Kind(1); int(k) <= len(names); k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// Who adds a kind of expression has it drawn here.
func TestEveryKindIsDrawn(t *testing.T) {
	for _, k := range kindsOf(exprNames) {
		if exprNames[k] == "" || drawExprs[k] == nil {
			t.Errorf("kind %d has the name %q, and can be drawn: %v", k, exprNames[k], drawExprs[k] != nil)
		}
	}
}

func TestRulesAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, chain := drawRule(t), drawName.Draw(t, "of chain")
		list := message(t, func(w *nfnl.Writer) { WriteRule(w, testTable, chain, want) })
		got, r, err := readRule(list)
		if err != nil || got != chain {
			t.Fatalf("chain %q, error %v", got, err)
		}
		want.Comment = Clip(want.Comment)
		if diff := cmp.Diff(want, r); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		if table := list.Get(unix.NFTA_RULE_TABLE).String(); table != testTable.Name {
			t.Fatalf("of table %q", table)
		}
	})
}

func TestChainsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := ChainSpec{Name: drawName.Draw(t, "name")}
		if rapid.Bool().Draw(t, "base") {
			want.Base, want.Hook, want.Priority = true, rapid.Uint32Range(0, 5).Draw(t, "hook"), rapid.Int32().Draw(t, "priority")
		}
		got, err := readChain(message(t, func(w *nfnl.Writer) { WriteChain(w, testTable, want) }))
		if err != nil || got != want {
			t.Fatalf("written %+v, read %+v, error %v", want, got, err)
		}
	})
}

func TestSetsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := SetSpec{
			Name:    drawName.Draw(t, "name"),
			KeyType: rapid.SampledFrom([]DataType{IPv4Addr, ipv6Addr, IfIndex, IfNameType, IfIndex<<ConcatBits | IPv4Addr}).Draw(t, "type"),
			KeyLen:  rapid.Uint32Range(1, 64).Draw(t, "length"), Size: drawNumber.Draw(t, "size"),
			Verdicts: rapid.Bool().Draw(t, "verdicts"), Interval: rapid.Bool().Draw(t, "interval"), Brief: rapid.Bool().Draw(t, "brief"),
		}
		got, err := readSet(message(t, func(w *nfnl.Writer) { WriteSet(w, testTable, want) }))
		if err != nil || got != want {
			t.Fatalf("written %+v, read %+v, error %v", want, got, err)
		}
	})
}

// Elements may be more than fit into one message.
func TestElementsAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Element {
			e := Element{Key: drawBytes.Draw(t, "key"), End: rapid.Bool().Draw(t, "end")}
			if !e.End && rapid.Bool().Draw(t, "map") {
				e.Verdict = drawVerdict(t)
			}
			return e
		}), 0, 10).Draw(t, "elements")
		for range rapid.IntRange(0, 5).Draw(t, "doublings") * 2 {
			want = append(want, want...)
		}
		var list ElementList
		for _, e := range want {
			list.Add(e)
		}
		var got []Element
		for _, m := range messages(t, func(w *nfnl.Writer) { list.Write(w, unix.NFT_MSG_NEWSETELEM, testTable, "set") }) {
			if set := m.Get(unix.NFTA_SET_ELEM_LIST_SET).String(); set != "set" {
				t.Fatalf("elements of %q", set)
			}
			for _, elem := range m.Get(unix.NFTA_SET_ELEM_LIST_ELEMENTS).Attrs().All() {
				e, err := readElement(elem.Attrs())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d elements written, %d read", len(want), len(got))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("element %d: written %+v, read %+v", i, want[i], got[i])
			}
		}
	})
}

func TestClip(t *testing.T) {
	long := strings.Repeat("a", 400)
	for _, c := range []struct {
		name, text string
		same       bool
	}{
		{"nothing", "", true},
		{"what fits", long[:maxComment], true},
		{"one too long", long[:maxComment+1], false},
		{"runes are not cut", strings.Repeat("€", 200), false},
		{"no text at all", strings.Repeat("\x80", 400), false},
	} {
		got := Clip(c.text)
		if len(got) > maxComment || (got == c.text) != c.same {
			t.Errorf("%s: %q (%d bytes) of %q", c.name, got, len(got), c.text)
		}
	}
	if Clip(long) == Clip(long+"a") {
		t.Error("two long comments are clipped to the same")
	}
}
