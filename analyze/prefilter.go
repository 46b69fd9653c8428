package analyze

import (
	"hash/maphash"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// deciders are those of the engine's rows, with what they say of HTTP requests.
type deciders struct {
	byID map[dataplane.DeciderID]dataplane.Decider
	http *httpRules
}

func newDeciders(list []dataplane.Decider, http *httpRules) *deciders {
	d := &deciders{make(map[dataplane.DeciderID]dataplane.Decider, len(list)), http}
	for _, x := range list {
		d.byID[x.ID] = x
	}
	return d
}

// allowedBy returns what a row allows to connections from a source port.
func (d *deciders) allowedBy(row dataplane.Row, srcPort uint16) Grant {
	g := Grant{open: allowedBy(row, srcPort)}
	d.narrow(&g, row, srcPort)
	return g
}

// narrow adds what a row allows for some requests only, before what its regions
// say of connections.
func (d *deciders) narrow(g *Grant, row dataplane.Row, srcPort uint16) {
	if d.http == nil || len(d.http.values) == 0 {
		return
	}
	taken := g.open
	for _, r := range row {
		req := d.http.of(d.byID[r.Decider])
		if len(req) == 0 && !req.all() {
			continue
		}
		on := holding(dataplane.Row{r}, srcPort, func(dataplane.Region) bool { return true })
		on = on.Subtract(taken)
		g.add(on, req)
		taken = taken.Union(on)
	}
}

// preFilterRow is what a row at a hook before the filter of a host says: there a rule that allows
// skips the rest of the host's policy, and what no rule decides goes on.
type preFilterRow struct {
	decided Grant
	passes  L4Set // goes on, but for the requests that decided holds
}

func (r *preFilterRow) equal(o *preFilterRow) bool {
	return r.decided.Equal(o.decided) && r.passes.Equal(o.passes)
}

func (r *preFilterRow) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	r.decided.hashInto(&h)
	r.passes.hashInto(&h)
	return h.Sum64()
}

// preFilterTables are the rows of hooks before the filter, which have numbers of their own.
type preFilterTables struct {
	programs map[dataplane.ProgramID]bool // whose rows are such
	rows     map[dataplane.RowID]int32
	list     []preFilterRow
}

func newPreFilterTables(d *dataplane.Delta, by *deciders) preFilterTables {
	t := preFilterTables{programs: map[dataplane.ProgramID]bool{}, rows: map[dataplane.RowID]int32{}}
	for _, p := range d.SetHosts {
		if !p.Hook.BeforeFilter() {
			continue
		}
		t.programs[p.Base] = true
		for _, x := range p.Programs {
			t.programs[x.Program] = true
		}
	}
	delete(t.programs, 0)
	numbers := newInterner((*preFilterRow).hash, (*preFilterRow).equal)
	note := func(p dataplane.ProgramID, row dataplane.RowID) {
		if _, known := t.rows[row]; known || !t.programs[p] {
			return
		}
		t.rows[row] = numbers.number(by.preFilter(d.AddRows[row], lowestEphemeral))
	}
	for _, p := range d.SetPrograms {
		note(p.ID, p.Base)
	}
	for _, c := range d.SetCells {
		note(c.Program, c.Row)
	}
	t.list = numbers.values
	return t
}

// preFilter reads a row of a hook before the filter, for connections from a source port.
func (d *deciders) preFilter(row dataplane.Row, srcPort uint16) preFilterRow {
	passes := func(r dataplane.Region) bool { return r.Allow && d.byID[r.Decider].By == policy.Decider{} }
	r := preFilterRow{passes: holding(row, srcPort, passes)}
	r.decided.open = holding(row, srcPort, func(r dataplane.Region) bool { return r.Allow && !passes(r) })
	d.narrow(&r.decided, row, srcPort)
	return r
}
