package nft

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// deleteOrder orders what is deleted: what refers comes before what it refers to.
type deleteOrder int

// chainRules is a chain with its rules.
type chainRules struct {
	name  string
	order deleteOrder
	rules []rule
}

// setContent is a set with its elements.
type setContent struct {
	setSpec
	order    deleteOrder
	elements []element
}

// batch collects one step of the tables and writes it in an order that the
// kernel accepts: first what is new and not referred to yet, then elements and
// rules, then what nothing refers to any more.
type batch struct {
	table   tableID
	replace bool // the table is made anew

	newSets   []setSpec
	newChains []chainSpec
	rules     []chainRules
	flush     map[string]bool // chains whose rules are replaced
	del, add  map[string]*elementList
	gone      []removal
}

type removal struct {
	order deleteOrder
	name  string
	set   bool
}

func newBatch(table tableID) *batch {
	return &batch{table: table, flush: map[string]bool{}, del: map[string]*elementList{}, add: map[string]*elementList{}}
}

func (b *batch) addSet(s setSpec) { b.newSets = append(b.newSets, s) }

func (b *batch) addBaseChain(c chainSpec, rules []rule) {
	b.newChains = append(b.newChains, c)
	b.rules = append(b.rules, chainRules{name: c.name, rules: rules})
}

// takeBaseChain moves the base chains with their rules into a batch of their own, so
// much behind their priority.
func (b *batch) takeBaseChain(behind int32) *batch {
	hook := newBatch(b.table)
	b.newChains = slices.DeleteFunc(b.newChains, func(c chainSpec) bool {
		if c.base {
			c.priority += behind
			hook.newChains = append(hook.newChains, c)
		}
		return c.base
	})
	b.rules = slices.DeleteFunc(b.rules, func(c chainRules) bool {
		if slices.ContainsFunc(hook.newChains, func(b chainSpec) bool { return b.name == c.name }) {
			hook.rules = append(hook.rules, c)
			return true
		}
		return false
	})
	return hook
}

func (b *batch) addChain(c chainRules) {
	b.newChains = append(b.newChains, chainSpec{name: c.name})
	b.rules = append(b.rules, c)
}

// setRules replaces the rules of a chain.
func (b *batch) setRules(c chainRules) {
	b.flush[c.name] = true
	b.rules = append(b.rules, c)
}

func (b *batch) addElement(set string, e element) { listOf(b.add, set).add(e) }

func (b *batch) delElement(set string, e element) {
	e.verdict = verdict{}
	listOf(b.del, set).add(e)
}

func listOf(m map[string]*elementList, set string) *elementList {
	l := m[set]
	if l == nil {
		l = &elementList{}
		m[set] = l
	}
	return l
}

func (b *batch) delChain(name string, order deleteOrder) {
	b.gone = append(b.gone, removal{order, name, false})
}

func (b *batch) delSet(name string, order deleteOrder) {
	b.gone = append(b.gone, removal{order, name, true})
}

// stepElements writes the way from some elements of a set to others.
func (b *batch) stepElements(set string, was, is map[element]bool) {
	for e := range is {
		if !was[e] {
			b.addElement(set, e)
		}
	}
	for e := range was {
		if !is[e] {
			b.delElement(set, e)
		}
	}
}

func (b *batch) empty() bool {
	return !b.replace && len(b.newSets)+len(b.newChains)+len(b.rules)+len(b.del)+len(b.add)+len(b.gone) == 0
}

// write returns the messages of the batch.
func (b *batch) write(w *nfnl.Writer) {
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	if b.replace {
		// Deleting fails without a table, so there is one in any case.
		writeTable(w, unix.NFT_MSG_NEWTABLE, b.table)
		writeTable(w, unix.NFT_MSG_DELTABLE, b.table)
		writeTable(w, unix.NFT_MSG_NEWTABLE, b.table)
	}
	for _, c := range b.newChains {
		writeChain(w, b.table, c)
	}
	for _, s := range b.newSets {
		writeSet(w, b.table, s)
	}
	for _, set := range slices.Sorted(maps.Keys(b.del)) {
		b.del[set].write(w, unix.NFT_MSG_DELSETELEM, b.table, set)
	}
	for _, set := range slices.Sorted(maps.Keys(b.add)) {
		b.add[set].write(w, unix.NFT_MSG_NEWSETELEM, b.table, set)
	}
	for _, chain := range slices.Sorted(maps.Keys(b.flush)) {
		writeFlush(w, b.table, chain)
	}
	for _, c := range b.rules {
		for _, r := range c.rules {
			writeRule(w, b.table, c.name, r)
		}
	}
	slices.SortStableFunc(b.gone, func(x, y removal) int { return cmp.Compare(x.order, y.order) })
	for _, g := range b.gone {
		if g.set {
			writeDelSet(w, b.table, g.name)
		} else {
			writeDelChain(w, b.table, g.name)
		}
	}
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
}
