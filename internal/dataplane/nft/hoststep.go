package nft

import "github.com/tierwall/tierwall/internal/dataplane"

// afterHosts brings the chains of host endpoints in line, if the delta touches
// anything that they are made from. Addresses that come, go or change their class
// are not among it.
func (t *step) afterHosts(d *dataplane.Delta) {
	was := t.b.host.content
	if len(was.hooks) == 0 && !t.b.state.HasPoints() {
		return
	}
	slots, intervals, moved := t.b.slots, t.b.intervals, false
	for family := range slots {
		if t.slots[family] != nil {
			slots[family], moved = t.slots[family], true
		}
		if t.intervals[family] != nil {
			intervals[family], moved = t.intervals[family], true
		}
	}
	if !moved && len(d.SetHosts)+len(d.DelHosts)+len(d.SetPrograms)+len(d.DelPrograms)+len(d.SetCells) == 0 {
		return
	}
	t.host = renderHost(t.b.state, &t.b.host.settings, slots, intervals)
	if !was.step(t.host, t.batch) {
		t.full = true
	}
}
