package nft

import (
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// newLayout derives everything from a state.
func newLayout(s *dataplane.State) *layout {
	l := &layout{state: s, host: hostLayout{content: newHostContent()}, cells: map[cellSet]int{}, capacity: map[string]usage{}, rowChains: map[string]rowChain{}, rowMemory: rowMemory{}}
	for family := range familyDigit {
		p := path{policy.Egress, family}
		populated := map[dataplane.ClassID]int{}
		for _, id := range s.Classes() {
			if use := s.ClassUse(id); p.holds(use) && use.Addrs > 0 {
				populated[id] = use.Addrs
			}
		}
		l.slots[family] = newSlots(family)
		l.slots[family].fill(populated)
		for i := -1; i < l.slots[family].digitSets(); i++ {
			n := 0
			for id, slot := range l.slots[family].of {
				if inDigitSet(slot, i) {
					n += populated[id]
				}
			}
			l.capacity[digitSetName(family, i)] = usage{n, capacityFor(n)}
		}
		if _, ok := s.NetClass(dataplane.WholeFamilies[family]); ok {
			l.intervals[family] = flatten(s, dataplane.WholeFamilies[family])
		}
		l.levels[family] = newNetLevels(s, family, l.intervals[family])
	}
	for i, p := range paths {
		l.switches[i] = p.classSwitch()
		l.switches[i].settle(&l.lookupTables)
	}
	l.eachEntry(func(e entry, _ codec.Verdict) {
		if e.kind == entryCell {
			l.cells[cellSet{e.path, e.class}]++
		}
	})
	return l
}

// setSpare gives the sets of addresses more capacity.
func (l *layout) setSpare(n int) {
	l.spare = n
	for name, u := range l.capacity {
		u.capacity += n
		l.capacity[name] = u
	}
}

// renderHost derives the chains of host endpoints from the state.
func (l *layout) renderHost() {
	c := renderHost(l.state, &l.host.settings)
	for _, p := range c.attachments {
		p.settle(&l.lookupTables)
	}
	for id := range l.state.ToNodePrograms() {
		c.toNode[id] = true
	}
	for id, at := range programsOf(l.state) {
		c.programs[id] = l.newHostProgram(id, at)
		c.programs[id].settle(&l.lookupTables)
	}
	l.host.content = c
}

// eachEntry returns every entry of a local endpoint with its verdict.
func (l *layout) eachEntry(each func(entry, codec.Verdict)) {
	give := func(e entry) {
		if v := l.value(e); v != (codec.Verdict{}) {
			each(e, v)
		}
	}
	for _, local := range l.state.Locals() {
		give(hereEntry(local.Addr))
		give(entry{kind: entrySelf, path: path{policy.Egress, familyOf(local.Addr)}, addr: local.Addr})
		give(toNodeEntry(local.Addr))
		for _, dir := range policy.Directions {
			p := path{dir, familyOf(local.Addr)}
			give(entry{kind: entryDispatch, path: p, addr: local.Addr})
			give(entry{kind: entryBase, path: p, addr: local.Addr})
			if id := local.Program(dir); id != 0 {
				for class := range l.state.Program(id).Cells {
					give(entry{entryCell, p, class, local.Addr})
				}
			}
		}
	}
}

// emit hands out everything but the elements of digit sets and of levels.
func (l *layout) emit(out sink) error {
	for _, s := range fixedSets() {
		out.AddSet(s)
	}
	out.AddBaseChain(forwardBase, l.forwardRules())
	out.AddBaseChain(inputBase, inputRules())
	l.emitAntiSpoofing(out)
	l.emitGuards(out)
	emitControl(out)
	out.AddChain(codec.ChainRules{Name: strictChain, Rules: l.logging.strictRules()})
	for family, t := range l.slots {
		for i := -1; i < t.digitSets(); i++ {
			name := digitSetName(family, i)
			out.AddSet(sized(name, family, l.capacity[name].capacity))
		}
		l.levels[family].emitSets(out)
		out.AddChain(l.familyChain(family))
	}
	for i, p := range paths {
		l.switches[i].emit(&l.lookupTables, out)
		out.AddChain(p.baseChain())
	}
	l.emitClasses(out)
	l.host.content.emit(&l.lookupTables, out)
	for _, d := range l.state.Deciders() {
		_, denying, allowing, _ := l.state.Decider(d.ID)
		if denying > 0 {
			out.AddChain(l.deciderChain(d, false))
		}
		if allowing > 0 {
			out.AddChain(l.deciderChain(d, true))
		}
	}
	return l.emitRows(out)
}

// forwardRules are the guards that see packets after DNAT, what goes on without being
// asked, and the way to policy.
func (l *layout) forwardRules() []codec.Rule {
	return slices.Concat(
		l.encapsulationRules(),
		[]codec.Rule{when(hasState(codec.StateEstablished|codec.StateRelated), accept)},
		unknownRules(l.podNets),
		controlTraffic(),
		[]codec.Rule{when(isFamily(0), goTo("forward4")), when(isFamily(1), goTo("forward6"))},
	)
}

// familyChain returns forward4 or forward6.
func (l *layout) familyChain(family int) codec.ChainRules {
	c := familyChain(family)
	hooks := l.host.content.hooks
	if hooks[policy.HookForwardIn] {
		c.Rules = slices.Insert(c.Rules, 0, always(jumpTo(hostFamily(policy.HookForwardIn, family))))
	}
	if hooks[policy.HookForwardOut] {
		c.Rules = append(c.Rules, always(jumpTo(hostFamily(policy.HookForwardOut, family))))
	}
	return c
}

// emitClasses returns the classes' chains and maps, and all entries of local endpoints.
func (l *layout) emitClasses(out sink) {
	few := map[cellSet][]cell{}
	for _, id := range l.state.Classes() {
		for _, p := range paths {
			if isMap(l.cells[cellSet{p, id}]) {
				out.AddSet(addrMap(p.className(id), p.family))
			}
		}
	}
	l.eachEntry(func(e entry, v codec.Verdict) {
		if set := (cellSet{e.path, e.class}); e.kind == entryCell && !isMap(l.cells[set]) {
			few[set] = append(few[set], cell{e.addr, v})
			return
		}
		out.AddElement(e.set(), e.element(v))
	})
	for _, id := range l.state.Classes() {
		for _, p := range paths {
			if set := (cellSet{p, id}); p.holds(l.state.ClassUse(id)) {
				out.AddChain(p.classChain(id, l.cells[set], few[set]))
			}
		}
	}
}

// emitAddrs hands out the elements of digit sets and of levels.
func (l *layout) emitAddrs(out sink) {
	var names [2][]string // by digit set + 1
	for family, t := range l.slots {
		for i := -1; i < t.digitSets(); i++ {
			names[family] = append(names[family], digitSetName(family, i))
		}
	}
	for a, class := range l.state.Addrs() {
		family := familyOf(a)
		e := codec.Element{Key: addrKey(a)}
		slot := l.slots[family].of[class]
		for i, name := range names[family] {
			if inDigitSet(slot, i-1) {
				out.AddElement(name, e)
			}
		}
	}
	for _, v := range l.levels {
		v.emitNets(l.state, v.large, out)
	}
}
