package nft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// ErrNoTable says that no table is in force.
var ErrNoTable = errors.New("no table is in force")

// Kernel is a table as it was read from the kernel. It decides flows by walking
// the kernel's own chains, rules and sets; it knows nothing of the deltas that
// they were made from, and may be of another process.
type Kernel struct {
	ours   func(name string) (codec.ChainSpec, bool) // the base chain of a name that there may be
	bases  []codec.ChainSpec                         // by priority
	chains map[string][]codec.Rule
	sets   map[string]*kernelSet
	bridge *Kernel // the table of the bridge family; nil: there is none, or this is it
}

// kernelSet is a set with its elements.
type kernelSet struct {
	codec.SetSpec
	elements  map[string]codec.Verdict // of plain sets and maps
	intervals []codec.Element          // of interval maps, sorted by key, ends before beginnings
}

// Read reads the table from the kernel. It fails with ErrNoTable if there is
// none, and if the table holds anything that tierwall does not write.
func Read(ctx context.Context, o Options) (*Kernel, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return readAll(ctx, conn, o.table())
}

// ReadBack reads the table that is in force.
func (b *Dataplane) ReadBack(ctx context.Context) (*Kernel, error) {
	return readAll(ctx, b.conn, b.table)
}

// readAll reads a table, and that of the bridge family with the same name, if there is one.
func readAll(ctx context.Context, conn *nfnl.Conn, table codec.TableID) (*Kernel, error) {
	k, err := read(ctx, conn, table, ourBase)
	if err != nil {
		return nil, err
	}
	k.bridge, err = read(ctx, conn, bridgeID(table), bridgeBase)
	if errors.Is(err, ErrNoTable) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return k, nil
	}
	return k, err
}

func read(ctx context.Context, conn *nfnl.Conn, table codec.TableID, ours func(string) (codec.ChainSpec, bool)) (*Kernel, error) {
	var k *Kernel
	err := codec.Retry(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		before, err := codec.Generation(conn)
		if err != nil {
			return err
		}
		k = &Kernel{ours: ours, chains: map[string][]codec.Rule{}, sets: map[string]*kernelSet{}}
		if err := codec.Dump(conn, table, k); err != nil {
			return err
		}
		after, err := codec.Generation(conn)
		if err == nil && before != after {
			err = nfnl.ErrInterrupted
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("nftables: table %s: %w", table.Name, ErrNoTable)
	}
	if err == nil {
		err = k.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("nftables: reading table %s: %w", table.Name, err)
	}
	return k, nil
}

// VisitChain implements codec.Visitor.
func (k *Kernel) VisitChain(c codec.ChainSpec, err error) error {
	if err != nil {
		return fmt.Errorf("%w: chain %s %w", codec.ErrForeign, c.Name, err)
	}
	if _, ok := k.chains[c.Name]; !ok {
		k.chains[c.Name] = nil
	}
	if c.Base {
		if want, ok := k.ours(c.Name); !ok || want.Hook != c.Hook {
			return fmt.Errorf("%w: chain %s hooks into %d, where it should not", codec.ErrForeign, c.Name, c.Hook)
		}
		k.bases = append(k.bases, c)
	}
	return nil
}

// VisitRule implements codec.Visitor.
func (k *Kernel) VisitRule(chain string, r codec.Rule, err error) error {
	if err != nil {
		return fmt.Errorf("%w: chain %s, rule %d: %w", codec.ErrForeign, chain, len(k.chains[chain]), err)
	}
	k.chains[chain] = append(k.chains[chain], r)
	return nil
}

// VisitSet implements codec.Visitor.
func (k *Kernel) VisitSet(s codec.SetSpec, err error) error {
	if err != nil {
		return fmt.Errorf("%w: set %s %w", codec.ErrForeign, s.Name, err)
	}
	k.sets[s.Name] = &kernelSet{SetSpec: s, elements: map[string]codec.Verdict{}}
	return nil
}

// VisitElement implements codec.Visitor.
func (k *Kernel) VisitElement(set string, e codec.Element, err error) error {
	s := k.sets[set]
	switch {
	case s.Brief: // packets put it there
	case err != nil:
		return fmt.Errorf("%w: set %s: %w", codec.ErrForeign, set, err)
	case s.Interval:
		s.intervals = append(s.intervals, e)
	default:
		s.elements[e.Key] = e.Verdict
	}
	return nil
}

// finish sorts what was read, and checks that all that rules refer to is there.
func (k *Kernel) finish() error {
	slices.SortStableFunc(k.bases, func(a, b codec.ChainSpec) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, s := range k.sets {
		slices.SortFunc(s.intervals, func(a, b codec.Element) int {
			return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(boolInt(b.End), boolInt(a.End)))
		})
		for _, v := range s.elements {
			if err := k.checkVerdict(v); err != nil {
				return fmt.Errorf("set %s: %w", s.Name, err)
			}
		}
		for _, e := range s.intervals {
			if err := k.checkVerdict(e.Verdict); err != nil {
				return fmt.Errorf("set %s: %w", s.Name, err)
			}
		}
	}
	for name, rules := range k.chains {
		for _, r := range rules {
			for _, e := range r.Exprs {
				if err := k.checkExpr(e); err != nil {
					return fmt.Errorf("chain %s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func (k *Kernel) checkExpr(e codec.Expr) error {
	if e.Kind == codec.Lookup || e.Kind == codec.VerdictMap {
		s := k.sets[e.Set]
		switch {
		case s == nil:
			return fmt.Errorf("there is no set %s", e.Set)
		case s.Verdicts != (e.Kind == codec.VerdictMap):
			return fmt.Errorf("%w: set %s is used as what it is not", codec.ErrForeign, e.Set)
		}
	}
	return k.checkVerdict(e.Verdict)
}

func (k *Kernel) checkVerdict(v codec.Verdict) error {
	if v.Code == codec.CodeGoto || v.Code == codec.CodeJump {
		if _, ok := k.chains[v.Chain]; !ok {
			return fmt.Errorf("there is no chain %s", v.Chain)
		}
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// find looks a key up that is at the beginning of a register.
func (s *kernelSet) find(register []byte) (codec.Verdict, bool) {
	key := string(register[:min(int(s.KeyLen), len(register))])
	if !s.Interval {
		v, ok := s.elements[key]
		return v, ok
	}
	// The last element whose key is not beyond it; of an end and a beginning at
	// one key, the beginning comes second.
	i := sort.Search(len(s.intervals), func(i int) bool { return s.intervals[i].Key > key }) - 1
	if i < 0 || s.intervals[i].End {
		return codec.Verdict{}, false
	}
	return s.intervals[i].Verdict, true
}
