package nft

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// errForeign says that the table holds something that is none of ours.
var errForeign = errors.New("not as it was written")

// counted is what a rule's counter has counted.
type counted struct{ packets, bytes uint64 }

// eachCounter hands out the rules of a table, with what their counters have counted. It
// fails with ENOENT if there is no table.
func eachCounter(conn *nfnl.Conn, table tableID, visit func(chain, comment string, n counted)) error {
	if err := findTable(conn, table); err != nil {
		return err
	}
	return each(conn, getRules(table), func(a nfnl.Attrs) error {
		visit(a.Get(unix.NFTA_RULE_CHAIN).String(), readComment(a.Get(unix.NFTA_RULE_USERDATA)), readCounter(a))
		return nil
	})
}

// baseChains lists those of a table, whoever made it.
func baseChains(conn *nfnl.Conn, table tableID) ([]string, error) {
	var names []string
	err := each(conn, getTable(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, table), func(a nfnl.Attrs) error {
		if a.Get(unix.NFTA_CHAIN_TABLE).String() == table.name && len(a.Get(unix.NFTA_CHAIN_HOOK)) > 0 {
			names = append(names, a.Get(unix.NFTA_CHAIN_NAME).String())
		}
		return nil
	})
	return names, err
}

// findTable fails with ENOENT if there is no such table.
func findTable(conn *nfnl.Conn, table tableID) error {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETTABLE, unix.NLM_F_ACK, table.family)
	w.String(unix.NFTA_TABLE_NAME, table.name)
	w.End()
	return conn.Do(&w, 1, nil)
}

// getRules asks for all rules of a table.
func getRules(table tableID) *nfnl.Writer {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, table.family)
	w.String(unix.NFTA_RULE_TABLE, table.name)
	w.End()
	return &w
}

// readCounter finds the counter among a rule's expressions.
func readCounter(rule nfnl.Attrs) counted {
	for _, elem := range rule.Get(unix.NFTA_RULE_EXPRESSIONS).Attrs().All() {
		if e := elem.Attrs(); e.Get(unix.NFTA_EXPR_NAME).String() == exprNames[counter] {
			data := e.Get(unix.NFTA_EXPR_DATA).Attrs()
			return counted{data.Get(unix.NFTA_COUNTER_PACKETS).Uint64(), data.Get(unix.NFTA_COUNTER_BYTES).Uint64()}
		}
	}
	return counted{}
}

// readComment finds the comment in a rule's user data.
func readComment(data nfnl.Value) string {
	for len(data) >= 2 && int(data[1]) <= len(data)-2 {
		if data[0] == commentUserdata {
			return data[2 : 2+data[1]].String()
		}
		data = data[2+data[1]:]
	}
	return ""
}

// retries bounds how often a read is tried again that another writer disturbs.
const retries = 50

// retry reads again as long as what is read changes meanwhile.
func retry(read func() error) error {
	var err error
	for range retries {
		if err = read(); !errors.Is(err, nfnl.ErrInterrupted) {
			return err
		}
	}
	return err
}
