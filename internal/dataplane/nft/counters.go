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
	err := eachDecider(b.conn, table, func(chain, comment string, n counted) {
		old[counterKey{isAllow(chain), comment}] = n
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
		err := eachDecider(b.conn, b.table, func(chain, _ string, n counted) { byChain[chain] = n })
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

// eachDecider hands out what all deciders' chains have counted. It fails with ENOENT if
// there is no table.
func eachDecider(conn *nfnl.Conn, table tableID, visit func(chain, comment string, n counted)) error {
	return eachCounter(conn, table, func(chain, comment string, n counted) {
		decides := isAllow(chain) || strings.HasPrefix(chain, "deny-")
		if decides && comment != "" { // those that log have none
			visit(chain, comment, n)
		}
	})
}
