package nft

import (
	"context"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

var _ dataplane.DNSQueuer = (*Dataplane)(nil)

// SetDNSQueue brings the rules to their next state: elements of sets, unless there is no table.
func (b *Dataplane) SetDNSQueue(ctx context.Context, t dataplane.DNSQueueRules) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := b.dnsTable()
	next := newDNSContent(t)
	if p.inForce && len(p.content.entries) > 0 && len(next.entries) > 0 && p.content.number == next.number {
		out := codec.NewBatch(p.table)
		stepSources(out, p.content.entries, next.entries)
		err := p.send(out)
		if err == nil {
			p.content.entries = next.entries
			return nil
		}
		p.log.Warn("the table is not as it was written; writing all of it anew", "table", p.table.String(), "error", err)
	}
	return p.write(next)
}

// dnsTable returns the dataplane's table of DNS answers.
func (b *Dataplane) dnsTable() *dnsTable {
	if b.dns == nil {
		b.dns = &dnsTable{writer: b.writer, table: inet(b.table.Name + dnsSuffix)}
	}
	return b.dns
}
