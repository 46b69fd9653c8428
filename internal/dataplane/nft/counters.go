package nft

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// oldCounters are what an earlier table counted, by what its deciders' chains
// say they count for, and their verdict.
type oldCounters map[counterKey]counted

type counterKey struct {
	allow   bool
	comment string
}

type counted struct{ packets, bytes uint64 }

// restore lets the rules of a new table go on where those of the old one are.
func (o oldCounters) restore(chains []chainRules) {
	for _, c := range chains {
		if c.order != orderDecider {
			continue
		}
		counts := &c.rules[len(c.rules)-1] // others log
		if n, ok := o[counterKey{isAllow(c.name), counts.comment}]; ok {
			counts.packets, counts.bytes = n.packets, n.bytes
		}
	}
}

func isAllow(chain string) bool { return strings.HasPrefix(chain, "allow-") }

// oldCounters reads the counters of the table that is there; nil if there is none.
func (b *writer) oldCounters(table tableID) (oldCounters, error) {
	old := oldCounters{}
	err := eachDecider(b.conn, table, func(chain string, attrs nfnl.Attrs) {
		key := counterKey{isAllow(chain), readComment(attrs.Get(unix.NFTA_RULE_USERDATA))}
		old[key] = readCounter(attrs)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return old, err
}

// Counters reads the counters of all deciders. One that decides nothing at
// present has counted nothing.
func (b *Dataplane) Counters(ctx context.Context) ([]dataplane.Counter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	byChain := map[string]counted{}
	if b.inForce {
		err := eachDecider(b.conn, b.table, func(chain string, attrs nfnl.Attrs) { byChain[chain] = readCounter(attrs) })
		if err != nil {
			return nil, fmt.Errorf("nftables: table %s: reading counters: %w", b.table.name, err)
		}
	}
	deciders := b.state.Deciders()
	counters := make([]dataplane.Counter, 0, len(deciders))
	for _, d := range deciders {
		allowed, denied := byChain[deciderName(d.ID, true)], byChain[deciderName(d.ID, false)]
		counters = append(counters, dataplane.Counter{
			Decider: d, Packets: allowed.packets + denied.packets, Bytes: allowed.bytes + denied.bytes,
		})
	}
	return counters, nil
}

// eachDecider returns the rules that count in all deciders' chains. It fails with ENOENT if
// there is no table.
func eachDecider(conn *nfnl.Conn, table tableID, visit func(chain string, attrs nfnl.Attrs)) error {
	if err := findTable(conn, table); err != nil {
		return err
	}
	return each(conn, getRules(table), func(a nfnl.Attrs) error {
		chain := a.Get(unix.NFTA_RULE_CHAIN).String()
		decides := isAllow(chain) || strings.HasPrefix(chain, "deny-")
		if decides && readComment(a.Get(unix.NFTA_RULE_USERDATA)) != "" { // those that log have none
			visit(chain, a)
		}
		return nil
	})
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
