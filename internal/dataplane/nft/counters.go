package nft

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Counters reads the counters of all deciders. One that decides nothing at
// present has counted nothing.
func (b *Dataplane) Counters(ctx context.Context) ([]dataplane.Counter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	byChain := map[string]codec.Counted{}
	if b.inForce {
		err := eachDecider(b.conn, b.table, func(chain, _ string, n codec.Counted) { byChain[chain] = n })
		if err != nil {
			return nil, fmt.Errorf("nftables: table %s: reading counters: %w", b.table.Name, err)
		}
	}
	deciders := b.state.Deciders()
	counters := make([]dataplane.Counter, 0, len(deciders))
	for _, d := range deciders {
		allowed, denied := byChain[deciderName(d.ID, true)], byChain[deciderName(d.ID, false)]
		counters = append(counters, dataplane.Counter{
			Decider: d, Packets: allowed.Packets + denied.Packets, Bytes: allowed.Bytes + denied.Bytes,
		})
	}
	return counters, nil
}

// Spoofed sums up what was dropped for its source.
func (b *Dataplane) Spoofed(ctx context.Context) (uint64, error) {
	var sum uint64
	for _, t := range []codec.TableID{b.table, b.bridge.table} {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		err := codec.EachCounter(b.conn, t, func(_, comment string, n codec.Counted) {
			if comment == spoofedComment {
				sum += n.Packets
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return 0, fmt.Errorf("nftables: table %s: reading counters: %w", t.Name, err)
		}
	}
	return sum, nil
}

// QueuedAnswers sums up what was queued.
func (b *Dataplane) QueuedAnswers(ctx context.Context) (uint64, error) {
	p := b.dns
	if p == nil || !p.inForce || len(p.content.entries) == 0 {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var sum uint64
	err := codec.EachCounter(b.conn, p.table, func(_, comment string, n codec.Counted) {
		if comment == answersComment {
			sum += n.Packets
		}
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return 0, fmt.Errorf("nftables: table %s: reading counters: %w", p.table.Name, err)
	}
	return sum, nil
}
