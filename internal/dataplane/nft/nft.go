// Package nft is the dataplane on nftables. It speaks netlink to the kernel,
// keeps one table of its own and never touches another. Names.go describes the
// table; every Apply is one atomic batch.
package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// Options choose where a dataplane acts. The zero value acts on table
// "tierwall" in the caller's network namespace.
type Options struct {
	Table string
	// NetNS is a file that stands for a network namespace, such as
	// /run/netns/NAME; empty is the caller's.
	NetNS  string
	Logger *slog.Logger // nil: slog.Default
	// KeepConnections leaves connections alone that a change denies. Otherwise
	// they are cut, see package conntrack.
	KeepConnections bool
	// CutLater leaves the connections that an Apply denies to the next Cut.
	CutLater bool
	Logging  Logging
	// Host is what is in force at host endpoints beside their policies.
	Host dataplane.HostSettings
}

// DefaultTable is the name of the table unless Options name another.
const DefaultTable = "tierwall"

// Dataplane holds the table of one network namespace.
type Dataplane struct {
	*layout
	*writer
	table  codec.TableID
	dns    *dnsTable // of answers; nil: there was never one
	bridge bridgeTable
	live   *conntrack.Table // nil: connections are left alone
	// later leaves cutting to Cut, and due says that there may be something to cut.
	later, due bool
	// inForce says that the kernel holds what layout says, as far as we know.
	inForce bool
	// rewrites counts how often the kernel refused a step, and all was written anew.
	rewrites int
	// ended counts the connections that were cut.
	ended atomic.Uint64
}

var _ dataplane.Dataplane = (*Dataplane)(nil)

// New opens a dataplane. Nothing changes in the kernel before the first Apply.
// It needs CAP_NET_ADMIN in the network namespace.
func New(o Options) (*Dataplane, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, log: o.Logger}
	if w.log == nil {
		w.log = slog.Default()
	}
	b := &Dataplane{layout: newLayout(dataplane.NewState()), writer: w, table: o.table(), later: o.CutLater}
	b.logging, b.host.settings = o.Logging, withDefaults(o.Host)
	b.bridge = bridgeTable{writer: w, table: codec.TableID{Family: unix.NFPROTO_BRIDGE, Name: b.table.Name}}
	if !o.KeepConnections {
		if b.live, err = conntrack.Open(o.NetNS); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return b, nil
}

func (o Options) table() codec.TableID {
	if o.Table == "" {
		return inet(DefaultTable)
	}
	return inet(o.Table)
}

func dial(o Options) (*nfnl.Conn, error) {
	conn, err := nfnl.Dial(o.NetNS)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return conn, nil
}

// State returns the tables that should be in force. It must not be used while
// Apply runs, nor be changed.
func (b *Dataplane) State() *dataplane.State { return b.state }

// Apply brings the table to its next state in one atomic step. If the kernel
// refuses the difference, since somebody else changed the table, everything is
// written anew, in one atomic step as well. Then connections are cut that the
// tables deny now, unless the options leave that to Cut. That they cannot be is
// logged and no error, since the new tables are in force; Check tries again.
func (b *Dataplane) Apply(ctx context.Context, d *dataplane.Delta) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mayDeny, err := true, error(nil)
	if b.inForce {
		mayDeny, err = b.applyStep(d)
	} else {
		err = b.applyFirst(d)
	}
	b.due = b.due || err == nil && mayDeny
	if b.due && !b.later {
		b.Cut(ctx)
	}
	return err
}

// applyStep applies a delta to the table in force.
func (b *Dataplane) applyStep(d *dataplane.Delta) (mayDeny bool, err error) {
	step := newStep(b)
	step.before(d)
	back, mayDeny, err := b.state.Advance(d)
	if err != nil {
		return false, err
	}
	err = step.after(d)
	if err == nil && !step.full {
		err = b.send(step.batch)
	}
	switch {
	case err == nil && !step.full:
		step.commit()
		return mayDeny, nil
	case err == nil:
		b.log.Debug("a set is full; writing the table anew with more capacity", "table", b.table.Name)
	default:
		b.rewrites++
		mayDeny = true
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.table.Name, "error", err)
	}
	next := b.relaid(b.state)
	if err := b.replace(b.table, next); err != nil {
		return false, errors.Join(err, b.state.Apply(back))
	}
	b.layout = next
	return mayDeny, nil
}

// ConnectionsCut returns how many connections were cut so far; it may be called at any time.
func (b *Dataplane) ConnectionsCut() uint64 { return b.ended.Load() }

// maxCutsLogged is how many connections of one cut are named in the log.
const maxCutsLogged = 20

// CutDue reports whether a change since the last Cut may deny live connections.
func (b *Dataplane) CutDue() bool { return b.due }

// Cut ends the connections that the tables deny. The kernel goes through all of
// its connections for that, and through all of the table that it finds them by:
// 11 ms for one of 262,144 buckets, however few connections there are.
func (b *Dataplane) Cut(ctx context.Context) {
	b.due = false
	if b.live == nil {
		return
	}
	cut, err := b.live.Cut(ctx, cutter{b.layout})
	b.ended.Add(uint64(len(cut)))
	for i, e := range cut {
		if i == maxCutsLogged {
			b.log.Info("more connections cut", "connections", len(cut)-i)
			break
		}
		b.log.Info("connection cut: policy denies it now", "connection", e.String())
	}
	if err != nil {
		b.log.Error("live connections that policy denies were not cut; trying again later", "error", err)
	}
}

// applyFirst puts the table in the place of whatever an earlier process left.
func (b *Dataplane) applyFirst(d *dataplane.Delta) error {
	s := dataplane.NewState()
	if err := s.Apply(d); err != nil {
		return err
	}
	next := b.relaid(s)
	if err := b.replace(b.table, next); err != nil {
		return err
	}
	b.layout, b.inForce = next, true
	return nil
}

// Remove deletes the table. Nothing is enforced afterwards.
func (b *Dataplane) Remove(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// And what an interrupted table swap may have left.
	if err := errors.Join(b.deleteTable(b.table), b.deleteTable(staging(b.table)), b.bridge.write(nil), b.dnsTable().write(dnsContent{})); err != nil {
		return err
	}
	next := newLayout(dataplane.NewState())
	next.logging, next.host.settings = b.logging, b.host.settings
	b.layout, b.inForce = next, false
	return nil
}

// Close closes the sockets. The table stays in force.
func (b *Dataplane) Close() error {
	err := b.conn.Close()
	if b.live != nil {
		err = errors.Join(err, b.live.Close())
	}
	return err
}
