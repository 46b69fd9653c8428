package dns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// sets are the sets with domains in use, and the index that leads from a name to
// those whose domains hold it: one look-up for the name and one for each name above
// it, however many domains there are.
type sets struct {
	byKey   map[policy.Key]*learnedSet
	exact   map[string][]*learnedSet
	below   map[string][]*learnedSet
	changed map[*learnedSet]struct{}
	gone    []policy.Key // chunks of sets that are no more
	visit   uint64       // of holding: which sets it has met
}

func newSets() sets {
	return sets{
		byKey: map[policy.Key]*learnedSet{}, exact: map[string][]*learnedSet{},
		below: map[string][]*learnedSet{}, changed: map[*learnedSet]struct{}{},
	}
}

// learnedSet is the addresses of all names of a set's domains. They are given out
// in chunks, each a set of its own, so that what one address more costs does not
// grow with the number of addresses.
type learnedSet struct {
	in      *sets
	key     policy.Key // of the set with the domains
	labels  selector.Labels
	private bool
	domains []Domain
	// nets are those beside the domains; internal says that these may have addresses of
	// the cluster.
	nets     []netip.Prefix
	netTable *bart.Lite // of nets; nil: not made yet
	internal bool
	visit    uint64

	places map[netip.Addr]place
	chunks [][]netip.Addr
	open   []int // chunks with room, most of them
	dirty  map[int]struct{}
	shown  map[int]struct{} // chunks that were given out
}

// place says where an address is, and how many names of the domains have it.
type place struct{ chunk, index, refs uint32 }

// chunkSize is the most addresses of a chunk.
const chunkSize = 128

// holding appends the sets whose domains hold a name, each once.
func (s *sets) holding(name string, to []*learnedSet) []*learnedSet {
	s.visit++
	add := func(list []*learnedSet) {
		for _, set := range list {
			if set.visit != s.visit {
				set.visit = s.visit
				to = append(to, set)
			}
		}
	}
	add(s.exact[name])
	for rest := name; ; {
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			return to
		}
		rest = rest[dot+1:]
		add(s.below[rest])
	}
}

func (s *sets) indexOf(d Domain) map[string][]*learnedSet {
	if d.Below {
		return s.below
	}
	return s.exact
}

// SetDomains says what the domains of a set are now; nil for a set that is no more
// or has none. What is known of their names belongs to it at once.
func (t *Table) SetDomains(key policy.Key, set *policy.Set) {
	var domains []Domain
	if set != nil {
		for _, text := range set.Domains {
			if d, err := ParseDomain(text); err == nil { // translate has checked it
				domains = append(domains, d)
			}
		}
	}
	old := t.sets.byKey[key]
	if old == nil && len(domains) == 0 {
		return
	}
	if old != nil && set != nil && old.private == set.Internal && old.internal == set.AllowInternal &&
		slices.Equal(old.labels, set.Labels) && slices.Equal(old.domains, domains) {
		old.nets, old.netTable = set.Nets, nil
		return
	}
	if old != nil {
		t.forgetSet(old)
	}
	if len(domains) == 0 {
		return
	}
	s := &learnedSet{
		in: &t.sets, key: key, labels: set.Labels, private: set.Internal, domains: domains,
		nets: set.Nets, internal: set.AllowInternal,
		places: map[netip.Addr]place{}, dirty: map[int]struct{}{}, shown: map[int]struct{}{},
	}
	t.sets.byKey[key] = s
	wild := false
	for _, d := range domains {
		index := t.sets.indexOf(d)
		index[d.Name] = append(index[d.Name], s)
		if n := t.names[d.Name]; n != nil && !d.Below {
			t.join(n, s)
		}
		wild = wild || d.Below
	}
	if wild {
		t.joinBelow(s)
	}
	if old != nil {
		s.takeOver(old)
	}
}

// joinBelow finds the names below a new set's domains.
func (t *Table) joinBelow(s *learnedSet) {
	below := map[string]bool{}
	for _, d := range s.domains {
		below[d.Name] = below[d.Name] || d.Below
	}
	for text, n := range t.names {
		for rest := text; ; {
			dot := strings.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			if rest = rest[dot+1:]; below[rest] {
				t.join(n, s)
				break
			}
		}
	}
}

// join makes a name one of a set's.
func (t *Table) join(n *name, s *learnedSet) {
	if slices.Contains(n.sets, s) {
		return
	}
	n.sets = append(n.sets, s)
	for i := range n.records {
		switch r := &n.records[i]; {
		case r.fresh:
		case r.suspect == nil:
			s.add(r.addr)
		case t.guard.takes(s, n.text, r.suspect.reason):
			s.add(r.addr)
			r.suspect.in = append(r.suspect.in, s)
		}
	}
}

// forgetSet takes a set out. Its names stay until they expire: a set that comes
// back soon has its addresses.
func (t *Table) forgetSet(s *learnedSet) {
	delete(t.sets.byKey, s.key)
	delete(t.sets.changed, s)
	for _, d := range s.domains {
		index := t.sets.indexOf(d)
		rest := slices.DeleteFunc(index[d.Name], func(x *learnedSet) bool { return x == s })
		if len(rest) == 0 {
			delete(index, d.Name)
		} else {
			index[d.Name] = rest
		}
	}
	isIt := func(x *learnedSet) bool { return x == s }
	for _, n := range t.names {
		n.sets = slices.DeleteFunc(n.sets, isIt)
	}
	for r := range t.suspects {
		if i := r.index(); i >= 0 && r.name.records[i].suspect != nil {
			x := r.name.records[i].suspect
			x.in = slices.DeleteFunc(x.in, isIt)
		}
	}
	for chunk := range s.shown {
		t.sets.gone = append(t.sets.gone, s.chunkKey(chunk))
	}
}

// takeOver notes which chunks a set's earlier version had given out: those that
// are there again are changed, not new.
func (s *learnedSet) takeOver(old *learnedSet) {
	s.in.gone = slices.DeleteFunc(s.in.gone, func(k policy.Key) bool {
		for chunk := range old.shown {
			if k == s.chunkKey(chunk) {
				s.shown[chunk] = struct{}{}
				s.touch(chunk)
				return true
			}
		}
		return false
	})
}

func (s *learnedSet) touch(chunk int) {
	s.dirty[chunk] = struct{}{}
	s.in.changed[s] = struct{}{}
}

// add counts one name more that has the address.
func (s *learnedSet) add(a netip.Addr) {
	if p, known := s.places[a]; known {
		p.refs++
		s.places[a] = p
		return
	}
	for len(s.open) > 0 && len(s.chunks[s.open[len(s.open)-1]]) >= chunkSize {
		s.open = s.open[:len(s.open)-1]
	}
	if len(s.open) == 0 {
		s.open = append(s.open, len(s.chunks))
		s.chunks = append(s.chunks, nil)
	}
	c := s.open[len(s.open)-1]
	s.places[a] = place{uint32(c), uint32(len(s.chunks[c])), 1}
	s.chunks[c] = append(s.chunks[c], a)
	s.touch(c)
}

// remove counts one name less.
func (s *learnedSet) remove(a netip.Addr) {
	p := s.places[a]
	if p.refs > 1 {
		p.refs--
		s.places[a] = p
		return
	}
	delete(s.places, a)
	list := s.chunks[p.chunk]
	last := list[len(list)-1]
	if last != a {
		list[p.index] = last
		moved := s.places[last]
		moved.index = p.index
		s.places[last] = moved
	}
	s.chunks[p.chunk] = list[:len(list)-1]
	if len(list) == chunkSize {
		s.open = append(s.open, int(p.chunk))
	}
	s.touch(int(p.chunk))
}

// hasNet reports whether a net beside the domains holds an address.
func (s *learnedSet) hasNet(a netip.Addr) bool {
	if len(s.nets) == 0 {
		return false
	}
	if s.netTable == nil {
		s.netTable = &bart.Lite{}
		for _, p := range s.nets {
			s.netTable.Insert(p)
		}
	}
	return s.netTable.Contains(a)
}

// chunkKey names a chunk as an object of the model.
func (s *learnedSet) chunkKey(chunk int) policy.Key {
	return policy.Key{Kind: policy.KindLearned, Namespace: s.key.Namespace, Name: fmt.Sprintf("%s/%s#%d", s.key.Kind, s.key.Name, chunk)}
}

// chunk returns a chunk as the model has it; nil if nothing is in it.
func (s *learnedSet) chunk(i int) policy.Object {
	if i >= len(s.chunks) || len(s.chunks[i]) == 0 {
		return nil
	}
	nets := make([]netip.Prefix, len(s.chunks[i]))
	for j, a := range s.chunks[i] {
		nets[j] = netip.PrefixFrom(a, a.BitLen())
	}
	return &policy.Set{Key: s.chunkKey(i), Labels: s.labels, Nets: nets, DNSLearned: true, Internal: s.private}
}

func (s *sets) dirty() bool { return len(s.changed)+len(s.gone) > 0 }

// Flush decides which of the addresses that are new count, and returns how the learned
// sets of the model have changed since the last Flush, and the generation that is in
// force when all of this is.
func (t *Table) Flush(change func(policy.Change)) (generation uint64) {
	t.settleAll()
	for _, key := range t.sets.gone {
		change(policy.Change{Key: key})
	}
	t.sets.gone = nil
	for _, s := range slices.SortedFunc(maps.Keys(t.sets.changed), func(a, b *learnedSet) int { return a.key.Compare(b.key) }) {
		for _, i := range slices.Sorted(maps.Keys(s.dirty)) {
			object := s.chunk(i)
			_, was := s.shown[i]
			if object == nil && !was {
				continue
			}
			if object == nil {
				delete(s.shown, i)
			} else {
				s.shown[i] = struct{}{}
			}
			change(policy.Change{Key: s.chunkKey(i), Object: object})
		}
		clear(s.dirty)
	}
	if len(t.sets.changed) > 0 { // anew, since walking a map costs what was once in it
		t.sets.changed = map[*learnedSet]struct{}{}
	}
	generation = t.generation
	t.generation++
	return generation
}

// Each returns all learned sets of the model, as Flush has given them out.
func (t *Table) Each(yield func(policy.Change)) {
	for _, key := range slices.SortedFunc(maps.Keys(t.sets.byKey), policy.Key.Compare) {
		s := t.sets.byKey[key]
		for _, i := range slices.Sorted(maps.Keys(s.shown)) {
			if object := s.chunk(i); object != nil {
				yield(policy.Change{Key: s.chunkKey(i), Object: object})
			}
		}
	}
}

// InUse reports whether any domain is in use.
func (t *Table) InUse() bool { return len(t.sets.byKey) > 0 }

// Domains returns how many domains are in use.
func (t *Table) Domains() int { return len(t.sets.exact) + len(t.sets.below) }
