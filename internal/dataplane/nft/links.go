package nft

import (
	"context"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

var _ dataplane.AntiSpoofer = (*Dataplane)(nil)

// SetAntiSpoofing brings what is known of interfaces to its next state.
func (b *Dataplane) SetAntiSpoofing(ctx context.Context, g dataplane.AntiSpoofing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.bridge.set(sourceEntries(g.Links, true)); err != nil {
		return err
	}
	sources, nets := sourceEntries(g.Links, false), normalNets(g.PodNets)
	if !b.inForce {
		b.sources, b.podNets = sources, nets
		return nil
	}
	if slices.Equal(nets, b.podNets) {
		out := codec.NewBatch(b.table)
		stepSources(out, b.sources, sources)
		err := b.send(out)
		if err == nil {
			b.sources = sources
			return nil
		}
		b.rewrites++
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.table.Name, "error", err)
	}
	next := b.relaid(b.state)
	next.sources, next.podNets = sources, nets
	if err := b.replace(b.table, next); err != nil {
		return err
	}
	b.layout = next
	return nil
}

// normalNets sorts nets, without their host bits and without those within others.
func normalNets(nets []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range nets {
		list = append(list, p.Masked())
	}
	// The wider of two comes first, and what is within it follows.
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Compare(b) })
	var apart []netip.Prefix
	for _, p := range list {
		if len(apart) == 0 || !apart[len(apart)-1].Overlaps(p) {
			apart = append(apart, p)
		}
	}
	return apart
}
