package codec

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// ErrForeign says that the table holds something that is none of ours.
var ErrForeign = errors.New("not as it was written")

// Counted is what a rule's counter has counted.
type Counted struct{ Packets, Bytes uint64 }

// EachCounter hands out the rules of a table, with what their counters have counted. It
// fails with ENOENT if there is no table. Transactions of others do not disturb it: only
// if this very table changes meanwhile may some rules be left out.
func EachCounter(conn *nfnl.Conn, table TableID, visit func(chain, comment string, n Counted)) error {
	if err := findTable(conn, table); err != nil {
		return err
	}
	return counters(conn, getRules(table, ""), visit)
}

func counters(conn *nfnl.Conn, request *nfnl.Writer, visit func(chain, comment string, n Counted)) error {
	err := conn.Dump(request, func(m nfnl.Message) error {
		visit(m.Attrs.Get(unix.NFTA_RULE_CHAIN).String(), readComment(m.Attrs.Get(unix.NFTA_RULE_USERDATA)), readCounter(m.Attrs))
		return nil
	})
	if errors.Is(err, nfnl.ErrInterrupted) {
		return nil
	}
	return err
}

// CountedIn sums up what the counters of a chain's rules have counted: nothing if there is no
// such chain. It costs what the chain holds, and not the table.
func CountedIn(conn *nfnl.Conn, table TableID, chain string) (sum Counted, err error) {
	err = counters(conn, getRules(table, chain), func(_, _ string, n Counted) {
		sum.Packets, sum.Bytes = sum.Packets+n.Packets, sum.Bytes+n.Bytes
	})
	return sum, err
}

// BaseChains lists those of a table, whoever made it.
func BaseChains(conn *nfnl.Conn, table TableID) ([]string, error) {
	var names []string
	err := each(conn, getTable(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, table), func(a nfnl.Attrs) error {
		if a.Get(unix.NFTA_CHAIN_TABLE).String() == table.Name && len(a.Get(unix.NFTA_CHAIN_HOOK)) > 0 {
			names = append(names, a.Get(unix.NFTA_CHAIN_NAME).String())
		}
		return nil
	})
	return names, err
}

// EachCountedElement hands out the elements of a set that packets put there, with what
// they have counted. It fails with ENOENT if there is no such set.
func EachCountedElement(conn *nfnl.Conn, table TableID, set string, visit func(key string, n Counted)) error {
	return eachElement(conn, table, set, each, func(a nfnl.Attrs) error {
		key := string(a.Get(unix.NFTA_SET_ELEM_KEY).Attrs().Get(unix.NFTA_DATA_VALUE))
		data := a.Get(unix.NFTA_SET_ELEM_EXPR).Attrs().Get(unix.NFTA_EXPR_DATA).Attrs()
		visit(key, Counted{data.Get(unix.NFTA_COUNTER_PACKETS).Uint64(), data.Get(unix.NFTA_COUNTER_BYTES).Uint64()})
		return nil
	})
}

// findTable fails with ENOENT if there is no such table.
func findTable(conn *nfnl.Conn, table TableID) error {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETTABLE, unix.NLM_F_ACK, table.Family)
	w.String(unix.NFTA_TABLE_NAME, table.Name)
	w.End()
	return conn.Do(&w, 1, nil)
}

// getRules asks for all rules of a table, or of one of its chains.
func getRules(table TableID, chain string) *nfnl.Writer {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, table.Family)
	w.String(unix.NFTA_RULE_TABLE, table.Name)
	if chain != "" {
		w.String(unix.NFTA_RULE_CHAIN, chain)
	}
	w.End()
	return &w
}

// readCounter finds the counter among a rule's expressions.
func readCounter(rule nfnl.Attrs) Counted {
	for _, elem := range rule.Get(unix.NFTA_RULE_EXPRESSIONS).Attrs().All() {
		if e := elem.Attrs(); e.Get(unix.NFTA_EXPR_NAME).String() == exprNames[Counter] {
			data := e.Get(unix.NFTA_EXPR_DATA).Attrs()
			return Counted{data.Get(unix.NFTA_COUNTER_PACKETS).Uint64(), data.Get(unix.NFTA_COUNTER_BYTES).Uint64()}
		}
	}
	return Counted{}
}

// readComment finds the comment in a rule's user data.
func readComment(data nfnl.Value) string {
	for len(data) >= 2 {
		end := 2 + int(data[1])
		if end > len(data) {
			break
		}
		if data[0] == commentUserdata {
			return data[2:end].String()
		}
		data = data[end:]
	}
	return ""
}

// retries bounds how often a read is tried again that another writer disturbs, and patience for
// how long: a large table cannot be read between two writes of a program that never stops.
const (
	retries  = 50
	patience = 2 * time.Second
)

// Retry reads again as long as what is read changes meanwhile.
func Retry(read func() error) error {
	var err error
	start := time.Now()
	for try := 0; try < retries && (try < 3 || time.Since(start) < patience); try++ {
		if err = read(); !errors.Is(err, nfnl.ErrInterrupted) {
			return err
		}
	}
	return err
}
