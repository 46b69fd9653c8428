package codec

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// DeleteOrder orders what is deleted: what refers comes before what it refers to.
type DeleteOrder int

// ChainRules is a chain with its rules.
type ChainRules struct {
	Name  string
	Order DeleteOrder
	Rules []Rule
}

// SetContent is a set with its elements.
type SetContent struct {
	SetSpec
	Order    DeleteOrder
	Elements []Element
}

// Batch collects one step of the tables and writes it in an order that the
// kernel accepts: first what is new and not referred to yet, then elements and
// rules, then what nothing refers to any more.
type Batch struct {
	Table   TableID
	Replace bool // the table is made anew

	newSets   []SetSpec
	newChains []ChainSpec
	Rules     []ChainRules    // that are added, of chains that are new or are given others
	flush     map[string]bool // chains whose rules are replaced
	del, add  map[string]*ElementList
	gone      []removal
}

type removal struct {
	order DeleteOrder
	name  string
	set   bool
}

// NewBatch returns a batch for a table.
func NewBatch(table TableID) *Batch {
	return &Batch{Table: table, flush: map[string]bool{}, del: map[string]*ElementList{}, add: map[string]*ElementList{}}
}

// AddSet adds a set without elements.
func (b *Batch) AddSet(s SetSpec) { b.newSets = append(b.newSets, s) }

// AddBaseChain adds a chain with its hook and rules.
func (b *Batch) AddBaseChain(c ChainSpec, rules []Rule) {
	b.newChains = append(b.newChains, c)
	b.Rules = append(b.Rules, ChainRules{Name: c.Name, Rules: rules})
}

// TakeBaseChain moves the base chains with their rules into a batch of their own, so
// much behind their priority.
func (b *Batch) TakeBaseChain(behind int32) *Batch {
	hook := NewBatch(b.Table)
	b.newChains = slices.DeleteFunc(b.newChains, func(c ChainSpec) bool {
		if c.Base {
			c.Priority += behind
			hook.newChains = append(hook.newChains, c)
		}
		return c.Base
	})
	b.Rules = slices.DeleteFunc(b.Rules, func(c ChainRules) bool {
		if slices.ContainsFunc(hook.newChains, func(b ChainSpec) bool { return b.Name == c.Name }) {
			hook.Rules = append(hook.Rules, c)
			return true
		}
		return false
	})
	return hook
}

// AddChain adds a chain with its rules.
func (b *Batch) AddChain(c ChainRules) {
	b.newChains = append(b.newChains, ChainSpec{Name: c.Name})
	b.Rules = append(b.Rules, c)
}

// SetRules replaces the rules of a chain.
func (b *Batch) SetRules(c ChainRules) {
	b.flush[c.Name] = true
	b.Rules = append(b.Rules, c)
}

// AddElement adds an element to a set.
func (b *Batch) AddElement(set string, e Element) { listOf(b.add, set).Add(e) }

// DelElement deletes an element of a set.
func (b *Batch) DelElement(set string, e Element) {
	e.Verdict = Verdict{}
	listOf(b.del, set).Add(e)
}

func listOf(m map[string]*ElementList, set string) *ElementList {
	l := m[set]
	if l == nil {
		l = &ElementList{}
		m[set] = l
	}
	return l
}

// DelChain deletes a chain, in an order with all else that is deleted.
func (b *Batch) DelChain(name string, order DeleteOrder) {
	b.gone = append(b.gone, removal{order, name, false})
}

// DelSet deletes a set likewise; its elements go with it.
func (b *Batch) DelSet(name string, order DeleteOrder) {
	b.gone = append(b.gone, removal{order, name, true})
}

// StepElements writes the way from some elements of a set to others.
func (b *Batch) StepElements(set string, was, is map[Element]bool) {
	for e := range is {
		if !was[e] {
			b.AddElement(set, e)
		}
	}
	for e := range was {
		if !is[e] {
			b.DelElement(set, e)
		}
	}
}

// EachChange hands out the sets whose elements change, with how many come and, as a
// number below 0, how many go.
func (b *Batch) EachChange(each func(set string, n int)) {
	for set, list := range b.add {
		each(set, list.n)
	}
	for set, list := range b.del {
		each(set, -list.n)
	}
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool {
	return !b.Replace && len(b.newSets)+len(b.newChains)+len(b.Rules)+len(b.del)+len(b.add)+len(b.gone) == 0
}

// Write appends the messages of the batch as one transaction.
func (b *Batch) Write(w *nfnl.Writer) {
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	b.writeTable(w)
	for _, c := range b.newChains {
		WriteChain(w, b.Table, c)
	}
	for _, s := range b.newSets {
		WriteSet(w, b.Table, s)
	}
	for _, set := range slices.Sorted(maps.Keys(b.del)) {
		b.del[set].Write(w, unix.NFT_MSG_DELSETELEM, b.Table, set)
	}
	for _, set := range slices.Sorted(maps.Keys(b.add)) {
		b.add[set].Write(w, unix.NFT_MSG_NEWSETELEM, b.Table, set)
	}
	for _, chain := range slices.Sorted(maps.Keys(b.flush)) {
		WriteFlush(w, b.Table, chain)
	}
	for _, c := range b.Rules {
		writeRules(w, b.Table, c)
	}
	for _, g := range b.removals() {
		g.write(w, b.Table)
	}
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
}

// writeTable makes the table anew, if it is to be.
func (b *Batch) writeTable(w *nfnl.Writer) {
	if b.Replace {
		// Deleting fails without a table, so there is one in any case.
		WriteTable(w, unix.NFT_MSG_NEWTABLE, b.Table)
		WriteTable(w, unix.NFT_MSG_DELTABLE, b.Table)
		WriteTable(w, unix.NFT_MSG_NEWTABLE, b.Table)
	}
}

func writeRules(w *nfnl.Writer, table TableID, c ChainRules) {
	for _, r := range c.Rules {
		WriteRule(w, table, c.Name, r)
	}
}
