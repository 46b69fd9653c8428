package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// A step goes from one state of the tables to the next in four moves: note what
// the delta touches as it is (before), apply the delta to the state, compare
// with what it is now (after), and write the difference. So the kernel's tables
// depend on the state only, however it was reached.
//
// What must hold:
//
//   - Whatever may differ afterwards is noted before the state changes: what it was
//     cannot be asked for any more then. To note too much costs time and no message,
//     since equal things are not written; to note too little leaves an old object.
//   - Until the kernel has taken the batch, a step changes nothing of the Dataplane
//     but its state. What it derives is new (tables, switches, host) or a list of
//     changes (cells, capacity), and commit takes it over. If the kernel refuses, all
//     is derived from the state again, and written as a whole.
//   - Slots and capacities alone have a history: a class keeps its slot while it has
//     addresses, for another one would touch all of them, and a set keeps its capacity.
//     A whole table has both anew.
//   - The order in after is that of what is derived from what; the batch puts its
//     messages in the kernel's order itself. Slots come before the addresses, which are
//     written by their new slots; both before capacity, which counts the elements of
//     the batch; slots and nets before the switches and the programs of hosts, which
//     lead to both; new cells are noted before entries are compared.
//   - No set gets more elements than it has capacity for, and no base chain comes or
//     goes in a step: then full is set, the batch is given up, and the table is swapped.

// step is the way from one state of the tables to the next.
type step struct {
	b     *Dataplane
	batch *codec.Batch

	entries   map[entry]codec.Verdict // zero: there was none
	classes   map[dataplane.ClassID]dataplane.ClassUse
	deciders  map[dataplane.DeciderID][2]bool
	addrs     [2][]addrStep
	nets      [2][]netStep
	gone      []dataplane.RowID            // rows that go
	rowChains map[string]rowChain          // refs: how many more lead to it
	toNode    map[dataplane.ProgramID]bool // programs towards the host, of local endpoints that change

	// What changes in the backend once the kernel has taken the batch.
	tables   lookupTables
	slots    [2]classSet              // classes whose slot came, went or is another one
	spans    [2]map[span]int          // of the intervals: gone (-1) and new (+1)
	switches [len(paths)]*classSwitch // nil: as they were
	cells    map[cellSet]int
	capacity map[string]usage // changes; capacity 0: the set goes away
	host     *hostContent
	full     bool // a set has not enough capacity: write all anew
}

// addrStep is an address that gets, changes or loses its class.
type addrStep struct {
	addr    netip.Addr
	oldSlot int64 // -1: it had none
}

func newStep(b *Dataplane) *step {
	return &step{
		b: b, batch: codec.NewBatch(b.table), tables: b.lookupTables,
		entries: map[entry]codec.Verdict{}, classes: map[dataplane.ClassID]dataplane.ClassUse{},
		deciders: map[dataplane.DeciderID][2]bool{}, toNode: map[dataplane.ProgramID]bool{}, cells: map[cellSet]int{}, capacity: map[string]usage{}, rowChains: map[string]rowChain{},
	}
}

// commit takes over what the step changed, once the kernel has the batch.
func (t *step) commit() {
	t.b.lookupTables = t.tables
	for i, s := range t.switches {
		if s != nil {
			t.b.switches[i] = s
		}
	}
	if t.host != nil {
		t.b.host.content = t.host
	}
	for name, f := range t.capacity {
		if f.capacity == 0 {
			delete(t.b.capacity, name)
		} else {
			t.b.capacity[name] = f
		}
	}
	for name, c := range t.rowChains {
		t.b.retainRowChain(name, c, c.refs)
	}
	for _, id := range t.gone {
		delete(t.b.rowMemory, id)
	}
	for set, n := range t.cells {
		if n == 0 {
			delete(t.b.cells, set)
		} else {
			t.b.cells[set] = n
		}
	}
}
