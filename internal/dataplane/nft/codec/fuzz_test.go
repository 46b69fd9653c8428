package codec

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// FuzzRead reads what anybody may have put into a table. It must not panic; and what is read
// without an error must be what it is: written again, it is read as the same.
func FuzzRead(f *testing.F) {
	seed := func(what byte, write func(*nfnl.Writer)) {
		for _, m := range messages(f, write) {
			f.Add(what, []byte(m))
		}
	}
	var exprs []Expr
	for _, k := range kindsOf(exprNames) {
		e := Expr{Kind: k, Register: 1, Length: 4, Data: "\x00\x01\x02\x03", To: "\xff\xff\xff\xff", Set: "set", Verdict: Verdict{CodeJump, "chain"}}
		switch k {
		case MetaLoad, MetaStore:
			e.Key = MetaMark
		case CTOriginal:
			e.Key = CTDstIP
		case PayloadLoad:
			e.Key = NetworkHeader
		case QueueTo, QueueTarget:
			e.Length = QueueBypass
		}
		exprs = append(exprs, e)
		seed(0, func(w *nfnl.Writer) { WriteRule(w, testTable, "chain", Rule{Exprs: []Expr{e}}) })
	}
	seed(0, func(w *nfnl.Writer) {
		WriteRule(w, testTable, "chain", Rule{Exprs: exprs, Comment: "comment", Packets: 1, Bytes: 2})
	})
	for _, length := range []byte{253, 254, 255} { // of user data that nft does not write
		seed(0, func(w *nfnl.Writer) {
			w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWRULE, 0, testTable.Family)
			w.Bytes(unix.NFTA_RULE_USERDATA, append([]byte{commentUserdata, length}, bytes.Repeat([]byte("x"), int(length))...))
			w.End()
		})
		seed(0, func(w *nfnl.Writer) {
			w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWRULE, 0, testTable.Family)
			w.Bytes(unix.NFTA_RULE_USERDATA, append([]byte{commentUserdata + 1, length}, bytes.Repeat([]byte("x"), int(length))...))
			w.End()
		})
	}
	seed(1, func(w *nfnl.Writer) {
		WriteChain(w, testTable, ChainSpec{Name: "chain", Base: true, Hook: HookForward, Priority: -1})
	})
	seed(2, func(w *nfnl.Writer) {
		WriteSet(w, testTable, SetSpec{Name: "set", KeyType: IfIndex, KeyLen: 4, Verdicts: true, Interval: true, Size: 7, Brief: true})
	})
	var list ElementList
	list.Add(Element{Key: "key", Verdict: Verdict{CodeGoto, "chain"}})
	list.Add(Element{Key: "key", End: true})
	for _, elem := range message(f, func(w *nfnl.Writer) { list.Write(w, unix.NFT_MSG_NEWSETELEM, testTable, "set") }).
		Get(unix.NFTA_SET_ELEM_LIST_ELEMENTS).Attrs().All() {
		f.Add(byte(3), []byte(elem))
	}

	f.Fuzz(func(t *testing.T, what byte, data []byte) {
		if len(data) > 1<<14 {
			return // more than one attribute can hold, once it is written with its names
		}
		a := nfnl.Attrs(data)
		same := func(read, again any, err error) {
			t.Helper()
			if diff := cmp.Diff(read, again); diff != "" || err != nil {
				t.Errorf("error %v (-read +written and read):\n%s", err, diff)
			}
		}
		switch what {
		case 0:
			chain, r, err := readRule(a)
			if err != nil {
				return
			}
			r.Comment = Clip(r.Comment)
			_, again, err := readRule(message(t, func(w *nfnl.Writer) { WriteRule(w, testTable, chain, r) }))
			same(r, again, err)
		case 1:
			c, err := readChain(a)
			if err != nil {
				return
			}
			again, err := readChain(message(t, func(w *nfnl.Writer) { WriteChain(w, testTable, c) }))
			same(c, again, err)
		case 2:
			s, err := readSet(a)
			if err != nil {
				return
			}
			again, err := readSet(message(t, func(w *nfnl.Writer) { WriteSet(w, testTable, s) }))
			same(s, again, err)
		case 3:
			e, err := readElement(a)
			if err != nil {
				return
			}
			var list ElementList
			list.Add(e)
			m := message(t, func(w *nfnl.Writer) { list.Write(w, unix.NFT_MSG_NEWSETELEM, testTable, "set") })
			for _, elem := range m.Get(unix.NFTA_SET_ELEM_LIST_ELEMENTS).Attrs().All() {
				again, err := readElement(elem.Attrs())
				same(e, again, err)
			}
		}
	})
}
