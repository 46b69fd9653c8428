package codec

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// Whoever else writes nftables on the host waits while a transaction is under way. So a
// long batch is several:
//
//  1. what is new: chains that nothing leads to yet, and sets that nothing looks up, with
//     their rules and elements, as many transactions as it takes;
//  2. the switch, in one: elements and rules of what is in force already;
//  3. what nothing refers to any more, again as many as it takes.
//
// What must hold:
//
//   - No packet meets what 1 writes, nor what 3 takes away: only 2 changes what is decided.
//   - A base chain is in force as soon as it is there, so a batch with one is not parted.
//   - If one of them fails, what was written before it stays: the caller writes the whole
//     table anew, or leaves it for the next start, which does.
//
// A table that is made anew, and has no base chain yet, is all new.

// Send hands a batch out as one or more transactions, of about limit bytes each, the switch
// aside. w holds the messages while do writes them to the kernel.
func (b *Batch) Send(w *nfnl.Writer, limit int, do func() error) error {
	w.Reset()
	b.Write(w)
	if len(w.B) <= limit || slices.ContainsFunc(b.newChains, func(c ChainSpec) bool { return c.Base }) {
		return do()
	}
	p := parts{w: w, limit: limit, do: do}
	p.begin()
	if err := b.sendNew(&p); err != nil {
		return err
	}
	if !b.Replace {
		if err := p.end(); err != nil {
			return err
		}
		p.begin()
		b.writeSwitch(w)
	}
	if err := p.end(); err != nil {
		return err
	}
	p.begin()
	for _, g := range b.removals() {
		g.write(w, b.Table)
		if err := p.written(); err != nil {
			return err
		}
	}
	return p.end()
}

// sendNew writes what is new.
func (b *Batch) sendNew(p *parts) error {
	b.writeTable(p.w)
	made := b.newSetNames()
	for _, c := range b.newChains {
		WriteChain(p.w, b.Table, c)
		if err := p.written(); err != nil {
			return err
		}
	}
	for _, s := range b.newSets {
		WriteSet(p.w, b.Table, s)
		if err := p.written(); err != nil {
			return err
		}
	}
	for _, set := range slices.Sorted(maps.Keys(b.add)) {
		if !made[set] {
			continue
		}
		if err := b.add[set].writeEach(p.w, unix.NFT_MSG_NEWSETELEM, b.Table, set, p.written); err != nil {
			return err
		}
	}
	for _, c := range b.Rules {
		if !b.isNew(c) {
			continue
		}
		for _, r := range c.Rules {
			WriteRule(p.w, b.Table, c.Name, r)
			if err := p.written(); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSwitch writes what changes of what is in force.
func (b *Batch) writeSwitch(w *nfnl.Writer) {
	made := b.newSetNames()
	for _, set := range slices.Sorted(maps.Keys(b.del)) {
		b.del[set].Write(w, unix.NFT_MSG_DELSETELEM, b.Table, set)
	}
	for _, set := range slices.Sorted(maps.Keys(b.add)) {
		if !made[set] {
			b.add[set].Write(w, unix.NFT_MSG_NEWSETELEM, b.Table, set)
		}
	}
	for _, chain := range slices.Sorted(maps.Keys(b.flush)) {
		WriteFlush(w, b.Table, chain)
	}
	for _, c := range b.Rules {
		if !b.isNew(c) {
			writeRules(w, b.Table, c)
		}
	}
}

func (b *Batch) newSetNames() map[string]bool {
	made := make(map[string]bool, len(b.newSets))
	for _, s := range b.newSets {
		made[s.Name] = true
	}
	return made
}

// isNew reports whether a chain is not in force yet: others are given other rules.
func (b *Batch) isNew(c ChainRules) bool { return !b.flush[c.Name] }

// removals returns what goes, what refers before what it refers to.
func (b *Batch) removals() []removal {
	slices.SortStableFunc(b.gone, func(x, y removal) int { return cmp.Compare(x.order, y.order) })
	return b.gone
}

func (g removal) write(w *nfnl.Writer, table TableID) {
	if g.set {
		writeDelSet(w, table, g.name)
	} else {
		writeDelChain(w, table, g.name)
	}
}

// parts writes messages as transactions of a limited size.
type parts struct {
	w     *nfnl.Writer
	limit int
	do    func() error
}

func (p *parts) begin() {
	p.w.Reset()
	p.w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
}

// written follows each message: a transaction that is long enough ends, and another begins.
func (p *parts) written() error {
	if len(p.w.B) < p.limit {
		return nil
	}
	if err := p.end(); err != nil {
		return err
	}
	p.begin()
	return nil
}

// end ends a transaction; one without messages is none.
func (p *parts) end() error {
	if p.w.Messages() == 1 {
		return nil
	}
	p.w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	return p.do()
}
