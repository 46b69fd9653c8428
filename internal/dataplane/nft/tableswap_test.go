package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// hasTable reports whether the kernel has a table with chains of that name.
func hasTable(t *testing.T, b *Dataplane, table codec.TableID) bool {
	t.Helper()
	err := eachDecider(b.conn, table, func(string, string, codec.Counted) {})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	return err == nil
}

// TestStagingTableIsTakenDown interrupts a table swap at each of its steps,
// as a kill would, and expects the next process to end up with its table alone.
func TestStagingTableIsTakenDown(t *testing.T) {
	tables := synthetic(3, 5, 10)
	for _, c := range []struct {
		name  string
		until func(old *Dataplane) error
	}{
		{"the staging table is written", func(*Dataplane) error { return nil }},
		{"the old table has no base chain", func(old *Dataplane) error { return old.unhook(old.table) }},
		{"the old table is gone", func(old *Dataplane) error { return old.deleteTable(old.table) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := newNamespace(t)
			old := newDataplane(t, ns)
			apply(t, old, tables)
			if err := old.writeWhole(staging(old.table), 1, old.layout, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.until(old); err != nil {
				t.Fatal(err)
			}
			next := newDataplane(t, ns)
			apply(t, next, tables)
			if hasTable(t, next, staging(next.table)) {
				t.Error("the staging table is still there")
			}
			if findings, err := next.compare(); err != nil || len(findings) > 0 {
				t.Errorf("%q, %v", findings, err)
			}
			if err := next.Remove(context.Background()); err != nil {
				t.Fatal(err)
			}
			if hasTable(t, next, next.table) || hasTable(t, next, staging(next.table)) {
				t.Error("Remove leaves a table")
			}
		})
	}
}

// TestRemoveTakesTheStagingTable: an agent that is removed while a staging table is left must
// not leave it in force.
func TestRemoveTakesTheStagingTable(t *testing.T) {
	b := newDataplane(t, newNamespace(t))
	apply(t, b, synthetic(3, 5, 10))
	if err := b.writeWhole(staging(b.table), 1, b.layout, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	if hasTable(t, b, staging(b.table)) {
		t.Error("the staging table is still there")
	}
}
