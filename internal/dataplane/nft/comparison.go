package nft

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// What must hold:
//
//   - Everything expected is taken out as it is read: what is left at the end is gone,
//     and what is read and not expected was added.
//   - Elements of digit sets and of levels are counted and asked of the state one by one,
//     for they are as many as addresses and nets: the rest of the table is held in memory.
//   - A report has an end (maxFindings), whatever was done to the table.

// comparison holds what a table should be against what is read. What was read is
// taken out of what should be; the rest is missing.
type comparison struct {
	layout   *layout
	chains   map[string]codec.ChainSpec
	rules    map[string][]codec.Rule
	sets     map[string]codec.SetSpec
	elements map[string]map[codec.Element]bool
	seen     map[string]int // rules of a chain, elements of sets that are asked
	asked    map[string]askedSet
	brief    map[string]bool // sets whose elements come from packets
	findings []string
	more     int
}

// askedSet is a set of which the state is asked what should be in it, and how many should.
type askedSet struct {
	want    int
	belongs func(netip.Addr) bool
}

// maxFindings bounds a report: who deletes a set of a hundred thousand
// addresses is told so once.
const maxFindings = 50

func newComparison() *comparison {
	return &comparison{
		chains: map[string]codec.ChainSpec{}, rules: map[string][]codec.Rule{}, sets: map[string]codec.SetSpec{},
		elements: map[string]map[codec.Element]bool{}, seen: map[string]int{}, asked: map[string]askedSet{},
		brief: map[string]bool{},
	}
}

// comparison returns what the table should be.
func (l *layout) comparison() (*comparison, error) {
	c := newComparison()
	c.layout = l
	for family, t := range l.slots {
		for i := -1; i < t.digitSets(); i++ {
			set := askedSet{belongs: func(a netip.Addr) bool {
				class, ok := l.state.AddrClass(a)
				return ok && inDigitSet(t.of[class], i)
			}}
			for id, slot := range t.of {
				if inDigitSet(slot, i) {
					set.want += l.state.ClassUse(id).Addrs
				}
			}
			c.asked[digitSetName(family, i)] = set
		}
		for set, n := range l.levels[family].sets {
			if set.bits == 0 {
				continue
			}
			c.asked[set.name(family)] = askedSet{n, func(a netip.Addr) bool {
				p := netip.PrefixFrom(a, set.bits)
				class, ok := l.state.NetClass(p)
				return ok && class == set.class && p == p.Masked()
			}}
		}
	}
	return c, l.emit(c)
}

// with reads a table once and lists what differs, also with nfnl.ErrInterrupted.
func (c *comparison) with(conn *nfnl.Conn, table codec.TableID) ([]string, error) {
	err := codec.DumpOnce(conn, table, c)
	switch {
	case errors.Is(err, unix.ENOENT):
		return []string{"the table is gone, or a part of it went while it was read"}, nil
	case errors.Is(err, codec.ErrForeign):
		return []string{err.Error()}, nil
	case err != nil && !errors.Is(err, nfnl.ErrInterrupted):
		return nil, err
	}
	return c.result(), err
}

func (c *comparison) AddSet(s codec.SetSpec) { c.sets[s.Name], c.brief[s.Name] = s, s.Brief }

func (c *comparison) AddBaseChain(s codec.ChainSpec, rules []codec.Rule) {
	c.chains[s.Name], c.rules[s.Name] = s, rules
}

func (c *comparison) AddChain(r codec.ChainRules) {
	c.chains[r.Name], c.rules[r.Name] = codec.ChainSpec{Name: r.Name}, r.Rules
}

func (c *comparison) AddElement(set string, e codec.Element) {
	if c.elements[set] == nil {
		c.elements[set] = map[codec.Element]bool{}
	}
	c.elements[set][e] = true
}

func (c *comparison) VisitChain(s codec.ChainSpec, err error) error {
	want, ok := c.chains[s.Name]
	delete(c.chains, s.Name)
	switch {
	case !ok:
		c.find("chain %s was added", s.Name)
	case err != nil:
		c.find("chain %s %v", s.Name, err)
	case s != want:
		c.find("chain %s is another one", s.Name)
	}
	return nil
}

func (c *comparison) VisitRule(chain string, r codec.Rule, err error) error {
	i := c.seen[chain]
	c.seen[chain]++
	want := c.rules[chain]
	switch {
	case err != nil:
		c.find("chain %s: rule %d: %v", chain, i, err)
	case i >= len(want):
		c.find("chain %s: rule %d was added", chain, i)
	case !codec.EqualRules(want[i:i+1], []codec.Rule{r}):
		c.find("chain %s: rule %d is another one", chain, i)
	}
	return nil
}

func (c *comparison) VisitSet(s codec.SetSpec, err error) error {
	want, ok := c.sets[s.Name]
	delete(c.sets, s.Name)
	switch {
	case !ok:
		c.find("set %s was added", s.Name)
	case err != nil:
		c.find("set %s %v", s.Name, err)
	case s != want:
		c.find("set %s is another one", s.Name)
	}
	return nil
}

func (c *comparison) VisitElement(set string, e codec.Element, err error) error {
	if c.brief[set] {
		return nil // packets put it there
	}
	if err != nil {
		c.find("set %s: %v", set, err)
		return nil
	}
	if asked, ok := c.asked[set]; ok {
		if a, ok := netip.AddrFromSlice([]byte(e.Key)); ok && !e.End && asked.belongs(a) {
			c.seen["set "+set]++
		} else {
			c.find("set %s: element %s was added", set, keyText(e))
		}
		return nil
	}
	if !c.elements[set][e] {
		c.find("set %s: element %s was added or changed", set, keyText(e))
	}
	delete(c.elements[set], e)
	return nil
}

// result adds what is missing and gives all findings.
func (c *comparison) result() []string {
	for _, name := range slices.Sorted(maps.Keys(c.chains)) {
		c.find("chain %s is gone", name)
		delete(c.rules, name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		if n := len(c.rules[name]) - c.seen[name]; n > 0 {
			c.find("chain %s: %d rules are gone", name, n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.sets)) {
		c.find("set %s is gone", name)
		delete(c.elements, name)
		delete(c.asked, name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.elements)) {
		if n := len(c.elements[name]); n > 0 {
			c.find("set %s: %d elements are gone or changed", name, n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.asked)) {
		if n := c.asked[name].want - c.seen["set "+name]; n > 0 {
			c.find("set %s: %d elements are gone", name, n)
		}
	}
	if c.more > 0 {
		c.findings = append(c.findings, fmt.Sprintf("and %d more", c.more))
	}
	return c.findings
}

func (c *comparison) find(format string, args ...any) {
	if len(c.findings) >= maxFindings {
		c.more++
		return
	}
	c.findings = append(c.findings, fmt.Sprintf(format, args...))
}

func keyText(e codec.Element) string {
	text := fmt.Sprintf("%x", e.Key)
	if a, ok := netip.AddrFromSlice([]byte(e.Key)); ok {
		text = a.String()
	}
	if e.End {
		text += " (end)"
	}
	if e.Verdict.Chain != "" {
		text += " to " + e.Verdict.Chain
	}
	return text
}
