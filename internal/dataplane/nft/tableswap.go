package nft

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Whole tables are swapped without a window and without a lost packet. A packet
// that is on its way through a table when the kernel replaces it finds the
// table's sets empty, and would be dropped. So no packet may be inside a table
// that goes away:
//
//  1. the new rules are written as a table of their own, the staging table, behind the old one;
//  2. the old table's base chain goes: packets that come now pass the staging table only;
//  3. once the packets that were inside have left, the old table is replaced;
//  4. the staging table's base chain goes, and then the staging table.
//
// At every moment at least one of them decides, and an end in the middle leaves
// a staging table that the next start takes down.
//
// What must hold:
//
//   - The staging table has all of the new rules before the old table's base chain
//     goes. While both are there a packet passes only what both allow.
//   - No table that a packet may be inside is replaced or deleted: between the end of its
//     base chain and that lies a grace period of the kernel (graceOver). Only what an
//     interrupted swap or another program left may go at once; a packet in it may be lost.
//   - A base chain is hooked after everything that it leads to is there, in a batch of
//     its own: a rule that finds an interval set still empty decides wrongly. What comes
//     before may be many transactions, so that nobody else waits long for one.
//   - A table without base chains is replaced at once: if it was in force, its staging
//     table is now, and that must not be written anew.
//   - If a write fails, the table that was hooked last stays in force: the old one, or the
//     staging table. Where there were rules, an error leaves no moment without them.
//   - Counters are read again once the old table is unhooked, so that those of the last
//     packets are in the new one.

// stagingSuffix is what the name of a staging table ends with.
const stagingSuffix = "-handover"

// staging returns the table that stands in for another one.
func staging(t codec.TableID) codec.TableID {
	return codec.TableID{Family: t.Family, Name: t.Name + stagingSuffix}
}

// replace writes a whole table in the place of what is there.
func (b *writer) replace(table codec.TableID, c content) error {
	old, err := b.oldCounters(table)
	if err != nil {
		return err
	}
	hooked, err := codec.BaseChains(b.conn, table)
	if err != nil {
		return err
	}
	if len(hooked) == 0 { // none, or what an interrupted swap left, whose staging table is in force meanwhile
		if err := b.writeWhole(table, 0, c, old); err != nil {
			return err
		}
		return b.deleteTable(staging(table))
	}
	if err := b.writeWhole(staging(table), 1, c, nil); err != nil {
		return err
	}
	if err := b.unhook(table); err != nil {
		// Somebody took the base chain away, or another program wrote the table. The
		// staging table is in force, so replacing it at once opens nothing.
		b.log.Debug("the old table has no base chain of ours", "table", table.Name, "error", err)
	}
	if now, err := b.oldCounters(table); err == nil && now != nil {
		old = now // with what the last packets added
	}
	if err := b.writeWhole(table, 0, c, old); err != nil {
		// The staging table stays: it enforces what this table should have.
		return fmt.Errorf("%w (table %s is in force in its place)", err, staging(table).Name)
	}
	if err := b.unhook(staging(table)); err != nil {
		b.log.Warn("the staging table stays until the next start; it says the same as ours",
			"table", staging(table).Name, "error", err)
		return nil
	}
	return b.deleteTable(staging(table))
}

// writeWhole writes a table in the place of any table of that name, where no
// packet is inside, so much behind its usual priority. The base chain comes last,
// in a step of its own: the kernel makes a new interval set's elements visible
// only after the rules that look them up.
func (b *writer) writeWhole(table codec.TableID, behind int32, c content, old oldCounters) error {
	out := codec.NewBatch(table)
	out.Replace = true
	if err := c.emit(out); err != nil {
		return err
	}
	c.emitAddrs(out)
	old.restore(out.Rules)
	hook := out.TakeBaseChain(behind)
	if err := b.send(out); err != nil {
		return err
	}
	return b.send(hook)
}

// unhook deletes a table's base chains and waits until no packet is inside.
func (b *writer) unhook(table codec.TableID) error {
	names, err := codec.BaseChains(b.conn, table)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("table %s has no base chain", table.Name)
	}
	out := codec.NewBatch(table)
	for _, name := range names {
		out.DelChain(name, orderEntry)
	}
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
