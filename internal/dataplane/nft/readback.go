package nft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// ErrNoTable says that no table is in force.
var ErrNoTable = errors.New("no table is in force")

// Kernel is a table as it was read from the kernel. It decides flows by walking
// the kernel's own chains, rules and sets; it knows nothing of the deltas that
// they were made from, and may be of another process.
type Kernel struct {
	bases  []chainSpec // by priority
	chains map[string][]rule
	sets   map[string]*kernelSet
}

// kernelSet is a set with its elements.
type kernelSet struct {
	setSpec
	elements  map[string]verdict // of plain sets and maps
	intervals []element          // of interval maps, sorted by key, ends before beginnings
}

// Read reads the table from the kernel. It fails with ErrNoTable if there is
// none, and if the table holds anything that tierwall does not write.
func Read(ctx context.Context, o Options) (*Kernel, error) {
	conn, err := dial(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return read(ctx, conn, o.table())
}

// ReadBack reads the table that is in force.
func (b *Dataplane) ReadBack(ctx context.Context) (*Kernel, error) {
	return read(ctx, b.conn, b.table)
}

func read(ctx context.Context, conn *nfnl.Conn, table tableID) (*Kernel, error) {
	var k *Kernel
	err := retry(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		before, err := generation(conn)
		if err != nil {
			return err
		}
		k = &Kernel{chains: map[string][]rule{}, sets: map[string]*kernelSet{}}
		if err := dump(conn, table, k); err != nil {
			return err
		}
		after, err := generation(conn)
		if err == nil && before != after {
			err = nfnl.ErrInterrupted
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("nftables: table %s: %w", table.name, ErrNoTable)
	}
	if err == nil {
		err = k.finish()
	}
	if err != nil {
		return nil, fmt.Errorf("nftables: reading table %s: %w", table.name, err)
	}
	return k, nil
}

func (k *Kernel) visitChain(c chainSpec, err error) error {
	if err != nil {
		return fmt.Errorf("%w: chain %s %w", errForeign, c.name, err)
	}
	if _, ok := k.chains[c.name]; !ok {
		k.chains[c.name] = nil
	}
	if c.base {
		if !isOurHook(c) {
			return fmt.Errorf("%w: chain %s hooks into %d, where it should not", errForeign, c.name, c.hook)
		}
		k.bases = append(k.bases, c)
	}
	return nil
}

func (k *Kernel) visitRule(chain string, r rule, err error) error {
	if err != nil {
		return fmt.Errorf("%w: chain %s, rule %d: %w", errForeign, chain, len(k.chains[chain]), err)
	}
	k.chains[chain] = append(k.chains[chain], r)
	return nil
}

func (k *Kernel) visitSet(s setSpec, err error) error {
	if err != nil {
		return fmt.Errorf("%w: set %s %w", errForeign, s.name, err)
	}
	k.sets[s.name] = &kernelSet{setSpec: s, elements: map[string]verdict{}}
	return nil
}

func (k *Kernel) visitElement(set string, e element, err error) error {
	if err != nil {
		return fmt.Errorf("%w: set %s: %w", errForeign, set, err)
	}
	s := k.sets[set]
	if s.interval {
		s.intervals = append(s.intervals, e)
	} else {
		s.elements[e.key] = e.verdict
	}
	return nil
}

// finish sorts what was read, and checks that all that rules refer to is there.
func (k *Kernel) finish() error {
	slices.SortStableFunc(k.bases, func(a, b chainSpec) int { return cmp.Compare(a.priority, b.priority) })
	for _, s := range k.sets {
		slices.SortFunc(s.intervals, func(a, b element) int {
			return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(boolInt(b.end), boolInt(a.end)))
		})
		for _, v := range s.elements {
			if err := k.checkVerdict(v); err != nil {
				return fmt.Errorf("set %s: %w", s.name, err)
			}
		}
		for _, e := range s.intervals {
			if err := k.checkVerdict(e.verdict); err != nil {
				return fmt.Errorf("set %s: %w", s.name, err)
			}
		}
	}
	for name, rules := range k.chains {
		for _, r := range rules {
			for _, e := range r.exprs {
				if err := k.checkExpr(e); err != nil {
					return fmt.Errorf("chain %s: %w", name, err)
				}
			}
		}
	}
	return nil
}

func (k *Kernel) checkExpr(e expr) error {
	if e.kind == lookup || e.kind == verdictMap {
		s := k.sets[e.set]
		switch {
		case s == nil:
			return fmt.Errorf("there is no set %s", e.set)
		case s.verdicts != (e.kind == verdictMap):
			return fmt.Errorf("%w: set %s is used as what it is not", errForeign, e.set)
		}
	}
	return k.checkVerdict(e.verdict)
}

func (k *Kernel) checkVerdict(v verdict) error {
	if v.code == codeGoto || v.code == codeJump {
		if _, ok := k.chains[v.chain]; !ok {
			return fmt.Errorf("there is no chain %s", v.chain)
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
