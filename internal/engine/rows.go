package engine

import (
	"slices"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/dataplane"
)

// rowEntry is a row in use.
type rowEntry struct {
	row   dataplane.Row
	refs  int  // programs and cells
	isNew bool // not emitted yet
}

type rowTable struct {
	byID      map[dataplane.RowID]*rowEntry
	byContent compact.Index
	last      dataplane.RowID
}

func newRowTable() rowTable {
	t := rowTable{byID: map[dataplane.RowID]*rowEntry{}}
	byID := t.byID
	t.byContent = compact.NewIndex(func(id uint32) uint64 { return hashRow(byID[dataplane.RowID(id)].row) })
	return t
}

// retainRow returns the row of that content.
func (e *compiler) retainRow(row dataplane.Row) dataplane.RowID {
	t := &e.rows
	h := hashRow(row)
	if id := t.byContent.Find(h, func(id uint32) bool { return slices.Equal(t.byID[dataplane.RowID(id)].row, row) }); id != 0 {
		t.byID[dataplane.RowID(id)].refs++
		return dataplane.RowID(id)
	}
	t.last++
	t.byID[t.last] = &rowEntry{row: row, refs: 1, isNew: true}
	t.byContent.Add(h, uint32(t.last))
	e.pending.rows[t.last] = struct{}{}
	for _, d := range ruleRefs(row) {
		e.ruleRefs.byID[d].refs++
	}
	return t.last
}

// releaseRow counts one use less. Rows without use go at the end of the flush,
// so that one that comes back is the same row.
func (e *compiler) releaseRow(id dataplane.RowID) {
	if id == 0 {
		return
	}
	en := e.rows.byID[id]
	if en.refs--; en.refs == 0 {
		e.pending.rows[id] = struct{}{}
	}
}

// emitRows emits the rows and rule references that came and those that went.
func (e *compiler) emitRows() {
	for _, id := range e.pending.cached {
		e.releaseRow(id)
	}
	e.pending.cached = e.pending.cached[:0]
	for _, id := range sortedKeys(e.pending.rows) {
		en := e.rows.byID[id]
		if en.refs == 0 {
			if !en.isNew {
				e.out.DelRows = append(e.out.DelRows, id)
			}
			for _, d := range ruleRefs(en.row) {
				e.ruleRefs.byID[d].refs--
				e.pending.ruleRefs[d] = struct{}{}
			}
			e.rows.byContent.Remove(hashRow(en.row), uint32(id))
			delete(e.rows.byID, id)
			continue
		}
		if en.isNew {
			en.isNew = false
			if e.out.AddRows == nil {
				e.out.AddRows = map[dataplane.RowID]dataplane.Row{}
			}
			e.out.AddRows[id] = en.row
		}
	}
	clear(e.pending.rows)
	for _, id := range sortedKeys(e.pending.ruleRefs) {
		en := e.ruleRefs.byID[id]
		switch {
		case en.refs == 0:
			if !en.isNew {
				e.out.DelDeciders = append(e.out.DelDeciders, id)
			}
			key := en.ref
			key.ID = 0
			delete(e.ruleRefs.byKey, key)
			delete(e.ruleRefs.byID, id)
		case en.isNew:
			en.isNew = false
			e.out.AddDeciders = append(e.out.AddDeciders, en.ref)
		}
	}
	clear(e.pending.ruleRefs)
}
