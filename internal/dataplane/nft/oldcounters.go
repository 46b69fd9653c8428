package nft

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// oldCounters are what an earlier table counted, by what its deciders' chains
// say they count for, and their verdict.
type oldCounters map[counterKey]codec.Counted

type counterKey struct {
	allow   bool
	comment string
}

// restore lets the rules of a new table go on where those of the old one are.
func (o oldCounters) restore(chains []codec.ChainRules) {
	for _, c := range chains {
		if c.Order != orderDecider {
			continue
		}
		counts := &c.Rules[len(c.Rules)-1] // others log
		if n, ok := o[counterKey{isAllow(c.Name), counts.Comment}]; ok {
			counts.Packets, counts.Bytes = n.Packets, n.Bytes
		}
	}
}

func isAllow(chain string) bool { return strings.HasPrefix(chain, "allow-") }

// oldCounters reads the counters of the table that is there; nil if there is none.
func (b *writer) oldCounters(table codec.TableID) (oldCounters, error) {
	old := oldCounters{}
	err := eachDecider(b.conn, table, func(chain, comment string, n codec.Counted) {
		old[counterKey{isAllow(chain), comment}] = n
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
		decides := isAllow(chain) || strings.HasPrefix(chain, "deny-")
		if decides && comment != "" { // those that log have none
			visit(chain, comment, n)
		}
	})
}
