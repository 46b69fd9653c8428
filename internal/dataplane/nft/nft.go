package nft

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/conntrack"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

var _ dataplane.Dataplane = (*Dataplane)(nil)

// Deciding by the state that should be in force is the backend's own judge.
var _ dataplane.FlowDecider = (*Dataplane)(nil)

// New opens a dataplane. Nothing changes in the kernel before the first Apply.
// It needs CAP_NET_ADMIN in the network namespace.
func New(o Options) (*Dataplane, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, log: o.Logger, changes: o.Changes}
	if w.log == nil {
		w.log = slog.Default()
	}
	b := &Dataplane{layout: newLayout(dataplane.NewState()), writer: w, table: o.table(), later: o.CutLater}
	b.logging, b.host.settings, b.guards = o.Logging, withDefaults(o.Host), o.Guards
	b.bridge = bridgeTable{writer: w, table: bridgeID(b.table)}
	if !o.KeepConnections {
		if b.live, err = conntrack.Open(o.NetNS); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return b, nil
}

// State returns the tables that should be in force. It must not be used while
// Apply runs, nor be changed.
func (b *Dataplane) State() *dataplane.State { return b.state }

// Decide decides a flow by the tables that should be in force.
func (b *Dataplane) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) {
	return b.state.Decide(f)
}

// DecideToNode decides what a local endpoint sends to its own node, by the same tables.
func (b *Dataplane) DecideToNode(f policy.Flow) dataplane.Verdict { return b.state.DecideToNode(f) }

// DecideHost decides a flow by the tables that should be in force.
func (b *Dataplane) DecideHost(at dataplane.AttachmentKey, f policy.Flow) dataplane.Verdict {
	return b.state.DecideHost(at, f)
}

// Apply brings the table to its next state in one atomic step. If the kernel
// refuses the difference, since somebody else changed the table, everything is
// written anew, in one atomic step as well. Then connections are cut that the
// tables deny now, unless the options leave that to Cut. That they cannot be is
// logged and no error, since the new tables are in force; Check tries again.
func (b *Dataplane) Apply(ctx context.Context, d *dataplane.Delta) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	mayDeny, err, first := true, error(nil), !b.inForce
	if b.inForce {
		mayDeny, err = b.applyStep(d)
	} else {
		err = b.applyFirst(d)
	}
	if err == nil && (first || concernsPorts(d)) {
		err = b.stepPorts()
	}
	b.due = b.due || err == nil && mayDeny
	if b.due && !b.later {
		b.Cut(ctx)
	}
	return err
}

// applyFirst puts the table in the place of whatever an earlier process left.
func (b *Dataplane) applyFirst(d *dataplane.Delta) error {
	s := dataplane.NewState()
	if err := s.Apply(d); err != nil {
		return err
	}
	next := b.relaid(s)
	earlier, err := codec.BaseChains(b.conn, b.table)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := b.replace(b.table, next); err != nil {
		return err
	}
	b.layout, b.inForce, b.fresh = next, true, len(earlier) == 0
	return nil
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
		b.rowMemory = rowMemory{}
		return false, errors.Join(err, b.state.Apply(back))
	}
	b.layout = next
	return mayDeny, nil
}

// Remove deletes the table. Nothing is enforced afterwards.
func (b *Dataplane) Remove(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// And what an interrupted table swap may have left.
	if err := errors.Join(b.deleteTable(b.table), b.deleteTable(staging(b.table)), b.bridge.write(&bridgeContent{}), b.dnsTable().write(dnsContent{})); err != nil {
		return err
	}
	next := newLayout(dataplane.NewState())
	next.logging, next.host.settings, next.guards = b.logging, b.host.settings, b.guards
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
