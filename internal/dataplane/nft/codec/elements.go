package codec

import (
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// ElementList is elements in the form in which messages carry them: a set of a
// hundred thousand addresses stays small, and is written once.
type ElementList struct {
	w      nfnl.Writer
	starts []int // where one message's list ends and the next begins
	n      int
}

// maxList is how long a message's list of elements gets: an attribute's length
// has 16 bits. An element is far shorter than what is left above it.
const maxList = 60000

// Add appends an element.
func (l *ElementList) Add(e Element) {
	start := len(l.w.B)
	if len(l.starts) == 0 && start > maxList || len(l.starts) > 0 && start-l.starts[len(l.starts)-1] > maxList {
		l.starts = append(l.starts, start)
	}
	l.n++
	nest := l.w.Nest(unix.NFTA_LIST_ELEM)
	key := l.w.Nest(unix.NFTA_SET_ELEM_KEY)
	l.w.Raw(unix.NFTA_DATA_VALUE, e.Key)
	l.w.EndNest(key)
	if e.Verdict != (Verdict{}) {
		data := l.w.Nest(unix.NFTA_SET_ELEM_DATA)
		writeVerdict(&l.w, e.Verdict)
		l.w.EndNest(data)
	}
	if e.End {
		l.w.Uint32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
	}
	l.w.EndNest(nest)
}

// Write appends messages that add or delete the elements.
func (l *ElementList) Write(w *nfnl.Writer, typ uint8, table TableID, set string) {
	_ = l.writeEach(w, typ, table, set, func() error { return nil })
}

// writeEach does the same, and calls written after each message, until that fails.
func (l *ElementList) writeEach(w *nfnl.Writer, typ uint8, table TableID, set string, written func() error) error {
	flags := uint16(0)
	if typ == unix.NFT_MSG_NEWSETELEM {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	from := 0
	for i := range len(l.starts) + 1 {
		to := len(l.w.B)
		if i < len(l.starts) {
			to = l.starts[i]
		}
		if from == to {
			continue
		}
		w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, flags, table.Family)
		w.String(unix.NFTA_SET_ELEM_LIST_TABLE, table.Name)
		w.String(unix.NFTA_SET_ELEM_LIST_SET, set)
		list := w.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
		w.B = append(w.B, l.w.B[from:to]...)
		w.EndNest(list)
		w.End()
		from = to
		if err := written(); err != nil {
			return err
		}
	}
	return nil
}
