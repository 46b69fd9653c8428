package nft

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// A row for a class often says what the program says to all others, but for a port or two that
// the class is allowed: a policy that lists a thousand addresses makes a thousand such
// rows for each pod that has a policy of its own beside it. So what a cell says is written as
// exceptions from the program's base, where that is shorter:
//
//	chain row-ingress4-except-HASH  protocol and ports: goto allow-…, goto deny-…
//	                                ip daddr vmap @ingress4-base (all else: the base)
//	                                drop
//
// The chain says nothing of the program that it goes on to, so all programs share it.
//
// What must hold:
//
//   - Which chain a cell leads to is a function of the path and the contents of row and base.
//   - A chain of a row, or of exceptions, is there if and only if an entry of a local
//     endpoint, or a program of hosts, leads to it: rowChains counts them.
//   - rowMemory is a memory of what was computed, and says nothing of what is in force. It goes with
//     the layout, and when a step is refused: the numbers of its rows may be given to others.

// rowChain is what a chain of a row, or of exceptions from the base, is made from.
type rowChain struct {
	row        dataplane.Row
	exceptions bool
	path       path // of exceptions
	refs       int  // entries and programs that lead to it
}

// exceptionsOf are the exceptions that a row is from a base, and the name of their content;
// none if the row is written as a whole.
type exceptionsOf struct {
	hash    string
	regions dataplane.Row
}

// rowMemory remembers exceptions by row and base.
type rowMemory map[dataplane.RowID]map[dataplane.RowID]exceptionsOf

// maxBases is of how many bases it remembers them for a row.
const maxBases = 64

func (m rowMemory) of(s *dataplane.State, row, base dataplane.RowID) exceptionsOf {
	if x, known := m[row][base]; known {
		return x
	}
	var x exceptionsOf
	whole := s.Row(row)
	if regions := whole.Exceptions(s.Row(base)); 2*len(regions) <= len(whole) {
		x = exceptionsOf{hashOf(regions), regions}
	}
	if m[row] == nil || len(m[row]) >= maxBases {
		m[row] = map[dataplane.RowID]exceptionsOf{}
	}
	m[row][base] = x
	return x
}

// hashOf names a content. Who writes policy can choose what it says, and must not be able to
// choose two that have one name.
func hashOf(regions dataplane.Row) string {
	b := make([]byte, 0, 16*len(regions))
	for _, g := range regions {
		b = append(b, byte(g.FirstProtocol), byte(g.LastProtocol))
		for _, n := range [...]uint16{g.Dst.First, g.Dst.Last, g.Src.First, g.Src.Last} {
			b = binary.BigEndian.AppendUint16(b, n)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(g.Decider))
		if g.Allow {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}

func (p path) exceptionsName(hash string) string { return rowPrefix + p.String() + "-except-" + hash }

// cellChain returns the name of the chain that a cell leads to, and what it is made from.
func (l *layout) cellChain(p path, row, base dataplane.RowID) (string, rowChain) {
	if x := l.rowMemory.of(l.state, row, base); x.hash != "" {
		return p.exceptionsName(x.hash), rowChain{row: x.regions, exceptions: true, path: p}
	}
	return rowName(row), rowChain{row: l.state.Row(row)}
}

// parts returns the chain, with what belongs to it.
func (c rowChain) parts(name string) (rowParts, error) {
	if c.exceptions {
		return compileExceptions(name, c.row, c.path.baseRules())
	}
	return compileRow(name, c.row)
}

// countRowChains counts who leads to which chain, once the chains of hosts are rendered.
func (l *layout) countRowChains() {
	l.eachEntry(func(e entry, _ codec.Verdict) {
		if name, c, ok := l.rowChainOf(e); ok {
			l.retainRowChain(name, c, 1)
		}
	})
	for _, p := range l.host.content.programs {
		p.eachRow(func(row dataplane.RowID) {
			l.retainRowChain(rowName(row), rowChain{row: l.state.Row(row)}, 1)
		})
	}
}

func (l *layout) retainRowChain(name string, c rowChain, n int) {
	if old, ok := l.rowChains[name]; ok {
		c = old
	} else {
		c.refs = 0
	}
	if c.refs += n; c.refs == 0 {
		delete(l.rowChains, name)
		return
	}
	l.rowChains[name] = c
}

// rowChainOf returns the chain of a row, or of exceptions, that an entry leads to.
func (l *layout) rowChainOf(e entry) (string, rowChain, bool) {
	if e.kind != entryBase && e.kind != entryCell {
		return "", rowChain{}, false
	}
	local, ok := l.state.Local(e.addr)
	program := l.state.Program(local.Program(e.path.dir))
	if !ok || program == nil {
		return "", rowChain{}, false
	}
	if e.kind == entryBase {
		return rowName(program.Base), rowChain{row: l.state.Row(program.Base)}, true
	}
	row, ok := program.Cells[e.class]
	if !ok || !e.path.holds(l.state.ClassUse(e.class)) {
		return "", rowChain{}, false
	}
	name, c := l.cellChain(e.path, row, program.Base)
	return name, c, true
}

func (l *layout) emitRows(out sink) error {
	for name, c := range l.rowChains {
		parts, err := c.parts(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		parts.emit(out)
	}
	return nil
}
