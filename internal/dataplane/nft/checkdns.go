package nft

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// CompareDNSQueue reads the table for answers of DNS servers from the kernel and lists what
// it has otherwise than the rules say: chains, where they are hooked, rules, the
// queue and that it lets answers pass which nobody takes out, servers and clients. No
// server means no table. It reads only, and knows nothing of who wrote the table.
func CompareDNSQueue(ctx context.Context, o Options, t dataplane.DNSQueueRules) ([]string, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	table := o.table()
	table.Name += dnsSuffix
	fail := func(err error) error { return fmt.Errorf("nftables: reading table %s: %w", table, err) }
	if len(t.Servers) == 0 {
		switch err := codec.ReadTable(conn, table); {
		case errors.Is(err, unix.ENOENT):
			return nil, nil
		case err != nil && !errors.Is(err, codec.ErrForeign):
			return nil, fail(err)
		}
		return []string{fmt.Sprintf("table %s is there, and no domain is in use", table)}, nil
	}
	var best []string
	for i, kind := range queueKinds { // which of them the kernel has is not the question
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		content := newDNSContent(t)
		content.queue = kind
		findings, err := compare(conn, table, func() (*comparison, error) {
			c := newComparison()
			content.emit(c)
			return c, nil
		})
		if err != nil {
			return nil, fail(err)
		}
		if len(findings) == 0 {
			return nil, nil
		}
		if i == 0 || len(findings) < len(best) {
			best = findings
		}
	}
	for i := range best {
		best[i] = fmt.Sprintf("table %s: %s", table, best[i])
	}
	return best, nil
}
