package codec

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// Visitor takes what a dump finds. Each error says why something is none of
// ours; a visitor that returns an error ends the dump.
type Visitor interface {
	VisitChain(ChainSpec, error) error
	VisitRule(chain string, r Rule, err error) error
	VisitSet(SetSpec, error) error
	VisitElement(set string, e Element, err error) error
}

// Dump reads a whole table. It fails with ENOENT if there is none, and with
// nfnl.ErrInterrupted if some part of it could not be read in one piece.
func Dump(conn *nfnl.Conn, table TableID, v Visitor) error {
	return dump(conn, table, v, each)
}

// DumpOnce reads a whole table like Dump, and goes on where some transaction, of any table
// of the host, came in between: then what was handed out may be a mix of two states, and it
// returns nfnl.ErrInterrupted at its end.
func DumpOnce(conn *nfnl.Conn, table TableID, v Visitor) error {
	interrupted := false
	err := dump(conn, table, v, func(conn *nfnl.Conn, request *nfnl.Writer, visit func(nfnl.Attrs) error) error {
		err := conn.Dump(request, func(m nfnl.Message) error { return visit(m.Attrs) })
		if errors.Is(err, nfnl.ErrInterrupted) {
			interrupted = true
			return nil
		}
		return err
	})
	if err == nil && interrupted {
		return nfnl.ErrInterrupted
	}
	return err
}

// lister reads one list.
type lister func(conn *nfnl.Conn, request *nfnl.Writer, visit func(nfnl.Attrs) error) error

func dump(conn *nfnl.Conn, table TableID, v Visitor, each lister) error {
	if err := ReadTable(conn, table); err != nil {
		return err
	}
	if err := each(conn, getTable(unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, table), func(a nfnl.Attrs) error {
		if a.Get(unix.NFTA_CHAIN_TABLE).String() != table.Name {
			return nil // kernels give the chains of all tables
		}
		return v.VisitChain(readChain(a))
	}); err != nil {
		return fmt.Errorf("chains: %w", err)
	}
	if err := each(conn, getRules(table, ""), func(a nfnl.Attrs) error {
		return v.VisitRule(readRule(a))
	}); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	var sets []string
	if err := each(conn, getTable(unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, table), func(a nfnl.Attrs) error {
		if a.Get(unix.NFTA_SET_TABLE).String() != table.Name {
			return nil
		}
		s, err := readSet(a)
		sets = append(sets, s.Name)
		return v.VisitSet(s, err)
	}); err != nil {
		return fmt.Errorf("sets: %w", err)
	}
	for _, set := range sets {
		if err := eachElement(conn, table, set, each, func(a nfnl.Attrs) error {
			e, err := readElement(a)
			return v.VisitElement(set, e, err)
		}); err != nil {
			return fmt.Errorf("set %s: %w", set, err)
		}
	}
	return nil
}

// eachElement hands out the elements of a set.
func eachElement(conn *nfnl.Conn, table TableID, set string, each lister, visit func(nfnl.Attrs) error) error {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, table.Family)
	w.String(unix.NFTA_SET_ELEM_LIST_TABLE, table.Name)
	w.String(unix.NFTA_SET_ELEM_LIST_SET, set)
	w.End()
	return each(conn, &w, func(a nfnl.Attrs) error {
		for _, elem := range a.Get(unix.NFTA_SET_ELEM_LIST_ELEMENTS).Attrs().All() {
			if err := visit(elem.Attrs()); err != nil {
				return err
			}
		}
		return nil
	})
}

// each reads one list, and hands it out once it is there in one piece: whoever
// changes any table of the host meanwhile, ours or not, breaks it, and it is read
// again. What is read twice alike is in one piece as well: where others write all the
// time, a long list would never be.
func each(conn *nfnl.Conn, request *nfnl.Writer, visit func(nfnl.Attrs) error) error {
	var list, last []nfnl.Attrs
	err := Retry(func() error {
		last, list = list, nil
		err := conn.Dump(request, func(m nfnl.Message) error {
			list = append(list, slices.Clone(m.Attrs))
			return nil
		})
		if errors.Is(err, nfnl.ErrInterrupted) && last != nil && slices.EqualFunc(list, last, slices.Equal[nfnl.Attrs]) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range list {
		if err := visit(a); err != nil {
			return err
		}
	}
	return nil
}

// getTable asks for all of a kind that a table has.
func getTable(typ uint8, attr uint16, table TableID) *nfnl.Writer {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, unix.NLM_F_DUMP, table.Family)
	w.String(attr, table.Name)
	w.End()
	return &w
}

// ReadTable fails if there is no table, or one that is switched off.
func ReadTable(conn *nfnl.Conn, table TableID) error {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETTABLE, unix.NLM_F_ACK, table.Family)
	w.String(unix.NFTA_TABLE_NAME, table.Name)
	w.End()
	return conn.Do(&w, 1, func(m nfnl.Message) error {
		if flags := m.Attrs.Get(unix.NFTA_TABLE_FLAGS).Uint32(); flags != 0 {
			return fmt.Errorf("%w: flags %#x", ErrForeign, flags)
		}
		return nil
	})
}

// Generation numbers the state of all tables of the network namespace.
func Generation(conn *nfnl.Conn) (id uint32, err error) {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, unix.AF_UNSPEC)
	w.End()
	err = conn.Do(&w, 1, func(m nfnl.Message) error {
		id = m.Attrs.Get(unix.NFTA_GEN_ID).Uint32()
		return nil
	})
	return id, err
}
