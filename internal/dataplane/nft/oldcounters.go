package nft

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// oldCounters are what an earlier table counted, by what its deciders' chains
// say they count for, and their verdict.
type oldCounters map[counterKey]codec.Counted

type counterKey struct {
	allow   bool
	comment string
	guard   dataplane.Guard // of a guard's chain; then the rest is zero
}

func keyOf(chain, comment string) counterKey {
	if g, ok := guardOf(chain); ok {
		return counterKey{guard: g}
	}
	return counterKey{allow: isAllow(chain), comment: comment}
}

// restore lets the rules of a new table go on where those of the old one are.
func (o oldCounters) restore(chains []codec.ChainRules) {
	for _, c := range chains {
		if _, guard := guardOf(c.Name); c.Order != orderDecider && !guard {
			continue
		}
		counts := &c.Rules[len(c.Rules)-1] // others log
		if n, ok := o[keyOf(c.Name, counts.Comment)]; ok {
			counts.Packets, counts.Bytes = n.Packets, n.Bytes
		}
	}
}

func isAllow(chain string) bool { return strings.HasPrefix(chain, "allow-") }

// oldCounters reads the counters of the table that is there; nil if there is none.
func (b *writer) oldCounters(table codec.TableID) (oldCounters, error) {
	old := oldCounters{}
	err := codec.EachCounter(b.conn, table, func(chain, comment string, n codec.Counted) {
		if _, guard := guardOf(chain); guard || decides(chain, comment) {
			old[keyOf(chain, comment)] = n
		}
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return old, err
}

// eachDecider hands out what all deciders' chains have counted. It fails with ENOENT if
// there is no table.
func eachDecider(conn *nfnl.Conn, table codec.TableID, visit func(chain, comment string, n codec.Counted)) error {
	return codec.EachCounter(conn, table, func(chain, comment string, n codec.Counted) {
		if decides(chain, comment) {
			visit(chain, comment, n)
		}
	})
}

// decides reports whether a rule counts for a decider: those that log have no comment.
func decides(chain, comment string) bool {
	return (isAllow(chain) || strings.HasPrefix(chain, "deny-")) && comment != ""
}
