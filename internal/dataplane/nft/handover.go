package nft

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// Whole tables change hands without a window and without a lost packet. A packet
// that is on its way through a table when the kernel replaces it finds the
// table's sets empty, and would be dropped. So no packet may be inside a table
// that goes away:
//
//  1. the new rules are written as a table of their own, the bridge, behind the old one;
//  2. the old table's base chain goes: packets that come now pass the bridge only;
//  3. once the packets that were inside have left, the old table is replaced;
//  4. the bridge's base chain goes, and then the bridge.
//
// At every moment at least one of them decides, and an end in the middle leaves
// a bridge that the next start takes down.
const bridgeSuffix = "-handover"

func (b *Dataplane) bridge() string { return b.table + bridgeSuffix }

// replace writes a whole table in the place of what is there.
func (b *Dataplane) replace(l *layout) error {
	old, err := b.oldCounters()
	if err != nil {
		return err
	}
	if old == nil {
		if err := b.writeWhole(b.table, priority, l, nil); err != nil {
			return err
		}
		return b.deleteTable(b.bridge())
	}
	if err := b.writeWhole(b.bridge(), bridgePriority, l, nil); err != nil {
		return err
	}
	if err := b.unhook(b.table); err != nil {
		// Somebody took the base chain away, or another program wrote the table. The
		// bridge is in force, so replacing it at once opens nothing.
		b.log.Debug("the old table has no base chain of ours", "table", b.table, "error", err)
	}
	if now, err := b.oldCounters(); err == nil && now != nil {
		old = now // with what the last packets added
	}
	if err := b.writeWhole(b.table, priority, l, old); err != nil {
		// The bridge stays: it enforces what this table should have.
		return fmt.Errorf("%w (table %s is in force in its place)", err, b.bridge())
	}
	if err := b.unhook(b.bridge()); err != nil {
		b.log.Warn("the table for the handover stays until the next start; it says the same as ours",
			"table", b.bridge(), "error", err)
		return nil
	}
	return b.deleteTable(b.bridge())
}

// writeWhole writes a layout as a table in the place of any table of that name,
// where no packet is inside. The base chain comes last, in a step of its own:
// the kernel makes a new interval set's elements visible only after the rules
// that look them up.
func (b *Dataplane) writeWhole(table string, priority int32, l *layout, old oldCounters) error {
	out := newBatch(table)
	out.replace = true
	if err := l.emit(out); err != nil {
		return err
	}
	l.emitAddrs(out)
	old.restore(out.rules)
	hook := out.takeBaseChain(priority)
	if err := b.send(out); err != nil {
		return err
	}
	return b.send(hook)
}

// unhook deletes a table's base chain and waits until no packet is inside.
func (b *Dataplane) unhook(table string) error {
	out := newBatch(table)
	out.delChain(forwardChain, rankEntry)
	if err := b.send(out); err != nil {
		return err
	}
	graceOver()
	return nil
}

// graceOver returns when every packet that the kernel was working on has left
// the chains. The global memory barrier waits for just that: a grace period of RCU,
// under which packets pass netfilter.
func graceOver() {
	const cmdGlobal = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, cmdGlobal, 0, 0); errno != 0 {
		time.Sleep(graceWithoutBarrier)
	}
}

// graceWithoutBarrier is far longer than a packet is in the kernel's hands.
const graceWithoutBarrier = 50 * time.Millisecond

// deleteTable deletes a table if it is there.
func (b *Dataplane) deleteTable(table string) error {
	b.w.Reset()
	b.w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	// Deleting fails without a table, so there is one in any case.
	writeTable(&b.w, unix.NFT_MSG_NEWTABLE, table)
	writeTable(&b.w, unix.NFT_MSG_DELTABLE, table)
	b.w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := b.conn.Do(&b.w, uint32(b.w.Messages()-1), nil); err != nil {
		return fmt.Errorf("nftables: table %s: deleting: %w", table, err)
	}
	return nil
}

// removeAll deletes the table, and what an interrupted handover may have left.
func (b *Dataplane) removeAll() error {
	if err := errors.Join(b.deleteTable(b.table), b.deleteTable(b.bridge())); err != nil {
		return err
	}
	b.layout, b.inForce = newLayout(dataplane.NewState()), false
	return nil
}
