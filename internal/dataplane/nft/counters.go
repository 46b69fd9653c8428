package nft

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

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

// Spoofed returns what was dropped for its source.
func (b *Dataplane) Spoofed(ctx context.Context) (uint64, error) {
	counters, err := b.GuardCounters(ctx)
	for _, c := range counters {
		if c.Guard == dataplane.GuardSource {
			return c.Packets, err
		}
	}
	return 0, err
}

// GuardCounters sums up what guards have dropped, in the order of dataplane.Guards.
func (b *Dataplane) GuardCounters(ctx context.Context) ([]dataplane.GuardCounter, error) {
	var list []dataplane.GuardCounter
	for _, x := range dataplane.Guards {
		c := dataplane.GuardCounter{Guard: x.Guard}
		for _, t := range []codec.TableID{b.table, b.bridge.table} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n, err := codec.CountedIn(b.conn, t, droppedPrefix+string(x.Guard))
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, fmt.Errorf("nftables: table %s: reading counters: %w", t.Name, err)
			}
			c.Packets, c.Bytes = c.Packets+n.Packets, c.Bytes+n.Bytes
		}
		list = append(list, c)
	}
	return list, nil
}

// OutsideSources lists the addresses of local endpoints that came from where the endpoint
// is not, within the last hour, most packets first.
func (b *Dataplane) OutsideSources(ctx context.Context) ([]dataplane.SourceCounter, error) {
	var list []dataplane.SourceCounter
	for family := range familyDigit {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := codec.EachCountedElement(b.conn, b.table, outsideName(family), func(key string, n codec.Counted) {
			if a, ok := netip.AddrFromSlice([]byte(key)); ok {
				list = append(list, dataplane.SourceCounter{Source: a, Packets: n.Packets})
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("nftables: table %s: reading set %s: %w", b.table.Name, outsideName(family), err)
		}
	}
	slices.SortFunc(list, func(x, y dataplane.SourceCounter) int {
		return cmp.Or(cmp.Compare(y.Packets, x.Packets), x.Source.Compare(y.Source))
	})
	return list, nil
}

// SpoofedSources lists what was dropped within the last ten minutes because its source was not
// that of the interface by which it came. It keeps a bounded number of sources.
func (b *Dataplane) SpoofedSources(ctx context.Context) ([]dataplane.SpoofedSource, error) {
	var list []dataplane.SpoofedSource
	for _, t := range []codec.TableID{b.table, b.bridge.table} {
		for family := range familyDigit {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			err := codec.EachCountedElement(b.conn, t, spoofedName(family), func(key string, n codec.Counted) {
				if len(key) < 4 {
					return
				}
				if a, ok := netip.AddrFromSlice([]byte(key[4:])); ok {
					list = append(list, dataplane.SpoofedSource{Link: int(binary.NativeEndian.Uint32([]byte(key))), Source: a, Packets: n.Packets})
				}
			})
			if err != nil && !errors.Is(err, unix.ENOENT) {
				return nil, fmt.Errorf("nftables: table %s: reading set %s: %w", t.Name, spoofedName(family), err)
			}
		}
	}
	return list, nil
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
