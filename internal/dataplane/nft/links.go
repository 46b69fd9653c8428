package nft

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

var (
	_ dataplane.Guarder       = (*Dataplane)(nil)
	_ dataplane.SpoofReporter = (*Dataplane)(nil)
)

// SetAntiSpoofing brings what is known of interfaces to its next state.
func (b *Dataplane) SetAntiSpoofing(ctx context.Context, known dataplane.AntiSpoofing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !b.inForce {
		b.know(known)
		return nil
	}
	if err := b.stepKnown(known); err != nil {
		return err
	}
	return b.stepPorts()
}

// know takes over what is known of interfaces.
func (l *layout) know(known dataplane.AntiSpoofing) {
	if l.tunnels == nil || !l.sameTunnels(&known) {
		l.tunnels = tunnelEntries(&known)
	}
	l.known, l.podNets = known, normalNets(known.PodNets)
	l.sources, l.allowed = l.knownEntries(&known), allowedOf(known.Links, false)
	l.closed = l.closedEntries()
}

func (l *layout) sameTunnels(known *dataplane.AntiSpoofing) bool {
	return slices.Equal(known.NodeAddrs, l.known.NodeAddrs) && slices.Equal(known.TunnelPorts, l.known.TunnelPorts) &&
		slices.Equal(known.OverlayPorts, l.known.OverlayPorts) && slices.Equal(known.OverlayProtocols, l.known.OverlayProtocols) &&
		slices.Equal(known.OverlayAddrs, l.known.OverlayAddrs)
}

// stepKnown has the kernel know of interfaces: elements of sets change, and the whole table
// only if chains do.
func (b *Dataplane) stepKnown(known dataplane.AntiSpoofing) error {
	next := *b.layout
	next.know(known)
	if slices.Equal(next.podNets, b.podNets) && next.allowed.equal(b.allowed) {
		out := codec.NewBatch(b.table)
		stepSources(out, b.sources, next.sources)
		stepSources(out, b.closed, next.closed)
		if !b.sameTunnels(&known) {
			stepSources(out, b.tunnels, next.tunnels)
		}
		err := b.send(out)
		if err == nil {
			b.know(known)
			return nil
		}
		b.rewrites++
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.table.Name, "error", err)
	}
	whole := b.relaid(b.state)
	whole.know(known)
	if err := b.replace(b.table, whole); err != nil {
		return err
	}
	b.layout = whole
	return nil
}

// stepPorts brings in line with who is governed what is said of interfaces: in the table of
// the bridge family, and about link-local addresses in the one for IP.
func (b *Dataplane) stepPorts() error {
	if closed := b.closedEntries(); !maps.Equal(closed, b.closed) {
		out := codec.NewBatch(b.table)
		stepSources(out, b.closed, closed)
		if err := b.send(out); err != nil {
			return err
		}
		b.closed = closed
	}
	return b.bridge.set(b.bridgeContent())
}

// concernsPorts reports whether a delta may change what is said of interfaces.
func concernsPorts(d *dataplane.Delta) bool {
	return len(d.SetLocals)+len(d.DelLocals)+len(d.SetPrograms)+len(d.SetCells)+len(d.SetNets)+len(d.DelNets) > 0
}

// bridgeContent returns what the table of the bridge family should hold.
func (l *layout) bridgeContent() *bridgeContent {
	c := &bridgeContent{entries: sourceEntries(l.known.Links, true), allowed: allowedOf(l.known.Links, true), guards: l.guards}
	d := newDenials(l.state)
	for _, x := range l.known.Links {
		if x.Port && x.Index > 0 {
			macEntries(c.entries, x.Index, x.MAC)
			for _, a := range x.Addrs {
				c.entries[sourceEntry{boundName(familyOf(a)), addrKey(a)}] = true
			}
			l.portEntries(c.entries, x, d)
		}
	}
	return c
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
