package codec

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// transactions sends a batch and returns what each transaction holds, in the words of
// Describe.
func transactions(t *testing.T, b *Batch, limit int) [][]string {
	t.Helper()
	var all [][]string
	var w nfnl.Writer
	if err := b.Send(&w, limit, func() error {
		var list []string
		for seq := 2; seq < w.Messages(); seq++ {
			list = append(list, Describe(w.B, uint32(seq)))
		}
		all = append(all, list)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// step is a step of a table with something of everything.
func step() *Batch {
	b := NewBatch(testTable)
	accept := Rule{Exprs: []Expr{{Kind: Immediate, Verdict: Verdict{Code: CodeAccept}}}}
	b.AddSet(SetSpec{Name: "new", KeyType: IPv4Addr, KeyLen: 4})
	b.AddElement("new", Element{Key: "\x0a\x00\x00\x01"})
	b.AddElement("old", Element{Key: "\x0a\x00\x00\x02"})
	b.DelElement("old", Element{Key: "\x0a\x00\x00\x03"})
	b.AddChain(ChainRules{Name: "new", Rules: []Rule{accept}})
	b.SetRules(ChainRules{Name: "old", Rules: []Rule{accept, accept}})
	b.DelSet("gone", 2)
	b.DelChain("gone", 1)
	return b
}

// TestPartsOfABatch: only the switch changes what is in force, and it is one transaction.
func TestPartsOfABatch(t *testing.T) {
	whole := transactions(t, step(), 1<<20)
	if len(whole) != 1 {
		t.Fatalf("a short batch is %d transactions", len(whole))
	}
	parts := transactions(t, step(), 1)
	want := [][]string{ // by what they are in the whole
		{whole[0][0]}, {whole[0][1]}, {whole[0][3]}, {whole[0][6]},
		{whole[0][2], whole[0][4], whole[0][5], whole[0][7], whole[0][8]},
		{whole[0][9]}, {whole[0][10]},
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("the whole: %q\n(-want +got)\n%s", whole, diff)
	}
}

// TestBaseChainIsNotParted: what is in force as soon as it is there comes whole.
func TestBaseChainIsNotParted(t *testing.T) {
	b := step()
	b.Replace = true
	b.AddBaseChain(ChainSpec{Name: "forward", Base: true, Hook: HookForward}, nil)
	if n := len(transactions(t, b, 1)); n != 1 {
		t.Errorf("%d transactions", n)
	}
}

// TestPartsOfATable: a table that is made anew is made once.
func TestPartsOfATable(t *testing.T) {
	b := NewBatch(testTable)
	b.Replace = true
	b.AddSet(SetSpec{Name: "set", KeyType: IPv4Addr, KeyLen: 4})
	for i := range 10_000 {
		b.AddElement("set", Element{Key: fmt.Sprintf("\x0a\x00%c%c", i>>7, i&0x7f)})
	}
	var w nfnl.Writer
	n, tables := 0, 0
	if err := b.Send(&w, 30_000, func() error {
		n++
		return nfnl.ParseMessages(w.B, func(h nfnl.Header, _ []byte) error {
			if h.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE {
				tables++
			}
			if len(w.B) > 100_000 {
				t.Errorf("a transaction of %d bytes", len(w.B))
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if n < 3 || tables != 1 {
		t.Errorf("%d transactions, which delete %d tables", n, tables)
	}
}

// TestPartFails: nothing follows a transaction that the kernel refuses.
func TestPartFails(t *testing.T) {
	var w nfnl.Writer
	refused := errors.New("refused")
	for at := range 7 {
		n := 0
		err := step().Send(&w, 1, func() error {
			if n++; n == at+1 {
				return refused
			}
			return nil
		})
		if !errors.Is(err, refused) || n != at+1 {
			t.Errorf("refused at %d: %v after %d", at+1, err, n)
		}
	}
}
