package nft

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Classes of many intervals, such as a threat feed and what is between its nets, are not
// in interval maps: there the kernel needs a begin and an end for each, which it sorts,
// and it walks all elements of verdict maps at each commit. Their nets are in plain hash
// sets instead, one for each length and class, which switches of a family share. A packet's
// address is looked up under the mask of each length, the longest first.
//
//	ip daddr vmap @NETS                                      (intervals of all other classes)
//	ip daddr & 255.255.255.252 @nets4-30-class-7 goto …      (nets of large classes)
//	goto …                                                   (the class of all other addresses)
//
// What must hold:
//
//   - The interval map comes first, and has every interval of classes that are not large.
//     So what is left for the levels is an address whose longest prefix is a large class's,
//     and the longest of the large classes' prefixes is that one.
//   - For the same reason a switch with levels says of each class where its packets go,
//     also of those without a target: a shorter prefix with one must not win.
//   - Which classes are large follows from the intervals and nets, and those from the state.
//   - A packet is looked up maxLookups times at most, whatever sets anybody writes: what
//     would be more stays in the interval map.

// Variables for tests.
var (
	maxSpans   = 512 // how many intervals a class has at most that is always in interval maps
	maxLookups = 64  // how many sets there are at most of a family's large classes
)

// netLevels are the nets of one family's large classes. It is a value: a step makes another one.
type netLevels struct {
	family int
	spans  map[dataplane.ClassID]int // how many intervals each class has
	many   classSet                  // those of more than maxSpans
	counts map[levelSet]int          // of these, how many nets there are by length
	large  classSet                  // of these, those that have levels
	sets   map[levelSet]int          // the counts of large classes
	order  []levelSet                // of these, the longest first
}

// levelSet is the nets of one length and one class. That of length 0 is no set in the
// kernel, since all addresses are in it.
type levelSet struct {
	bits  int
	class dataplane.ClassID
}

func (v levelSet) spec(family int) codec.SetSpec { return addrSet(v.name(family), family) }

func (v levelSet) name(family int) string {
	return fmt.Sprintf("nets%s-%d-class-%d", familyDigit[family], v.bits, v.class)
}

// netStep is a net that gets, changes or loses its class.
type netStep struct {
	prefix netip.Prefix
	was    dataplane.ClassID // 0: it had none
}

func newNetLevels(s *dataplane.State, family int, list []interval) *netLevels {
	v := &netLevels{family: family, spans: map[dataplane.ClassID]int{}}
	for _, i := range list {
		v.spans[i.class]++
	}
	v.findMany()
	v.countAll(s)
	v.choose()
	return v
}

func (v *netLevels) findMany() {
	v.many = classSet{}
	for class, n := range v.spans {
		if n > maxSpans {
			v.many[class] = true
		}
	}
}

// choose finds the large classes: those of the most intervals, as long as there are few sets.
func (v *netLevels) choose() {
	lengths := map[dataplane.ClassID]int{}
	for set := range v.counts {
		lengths[set.class]++
	}
	v.large, v.sets = classSet{}, map[levelSet]int{}
	n := 0
	for _, class := range slices.SortedFunc(maps.Keys(v.many), func(a, b dataplane.ClassID) int {
		return cmp.Or(cmp.Compare(v.spans[b], v.spans[a]), cmp.Compare(a, b))
	}) {
		if n+lengths[class] <= maxLookups {
			v.large[class] = true
			n += lengths[class]
		}
	}
	for set, n := range v.counts {
		if v.large[set.class] {
			v.sets[set] = n
		}
	}
	v.order = slices.SortedFunc(maps.Keys(v.sets), func(a, b levelSet) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), cmp.Compare(a.class, b.class))
	})
}

// nets hands out the nets of some classes.
func (v *netLevels) nets(s *dataplane.State, classes classSet, each func(netip.Prefix, levelSet)) {
	if len(classes) == 0 {
		return
	}
	for p, class := range s.NetsIn(dataplane.WholeFamilies[v.family]) {
		if classes[class] {
			each(p, levelSet{p.Bits(), class})
		}
	}
}

func (v *netLevels) countAll(s *dataplane.State) {
	v.counts = map[levelSet]int{}
	v.nets(s, v.many, func(_ netip.Prefix, set levelSet) { v.counts[set]++ })
}

// step returns what follows from intervals that are gone (-1) and new (+1), and from the
// nets that changed.
func (v *netLevels) step(s *dataplane.State, changed map[span]int, nets []netStep) *netLevels {
	next := &netLevels{family: v.family, spans: maps.Clone(v.spans)}
	for i, n := range changed {
		if next.spans[i.class] += n; next.spans[i.class] == 0 {
			delete(next.spans, i.class)
		}
	}
	next.findMany()
	if !maps.Equal(next.many, v.many) {
		next.countAll(s)
		next.choose()
		return next
	}
	next.counts = maps.Clone(v.counts)
	count := func(set levelSet, n int) {
		if !next.many[set.class] {
			return
		}
		if next.counts[set] += n; next.counts[set] == 0 {
			delete(next.counts, set)
		}
	}
	for _, p := range nets {
		is, _ := s.NetClass(p.prefix)
		count(levelSet{p.prefix.Bits(), p.was}, -1)
		count(levelSet{p.prefix.Bits(), is}, 1)
	}
	next.choose()
	return next
}

// write writes the way from what was to the levels.
func (v *netLevels) write(was *netLevels, s *dataplane.State, nets []netStep, out *codec.Batch) {
	for _, set := range v.order {
		if was.sets[set] == 0 && set.bits > 0 {
			out.AddSet(set.spec(v.family))
		}
	}
	for _, set := range was.order {
		if v.sets[set] == 0 && set.bits > 0 {
			out.DelSet(set.name(v.family), orderClassSet) // its elements go with it
		}
	}
	for _, p := range nets {
		is, _ := s.NetClass(p.prefix)
		old, now := levelSet{p.prefix.Bits(), p.was}, levelSet{p.prefix.Bits(), is}
		if old == now || old.bits == 0 {
			continue
		}
		if was.large[old.class] && v.sets[old] > 0 {
			out.DelElement(old.name(v.family), netElement(p.prefix))
		}
		if was.large[now.class] && v.large[now.class] {
			out.AddElement(now.name(v.family), netElement(p.prefix))
		}
	}
	v.emitNets(s, v.flipped(was, true), out)
}

// flipped returns the classes that are large and were not; and, unless newly, those that
// were and are not any more as well.
func (v *netLevels) flipped(was *netLevels, newly bool) classSet {
	other := classSet{}
	for class := range v.large {
		if !was.large[class] {
			other[class] = true
		}
	}
	for class := range was.large {
		if !newly && !v.large[class] {
			other[class] = true
		}
	}
	return other
}

// emitSets hands out the sets without their elements.
func (v *netLevels) emitSets(out sink) {
	for _, set := range v.order {
		if set.bits > 0 {
			out.AddSet(set.spec(v.family))
		}
	}
}

// emitNets hands out the nets of some large classes.
func (v *netLevels) emitNets(s *dataplane.State, classes classSet, out interface {
	AddElement(set string, e codec.Element)
}) {
	v.nets(s, classes, func(p netip.Prefix, set levelSet) {
		if set.bits > 0 {
			out.AddElement(set.name(v.family), netElement(p))
		}
	})
}

// rules returns the lookups of a switch, longest prefix first; all says that no packet gets
// past them.
func (v *netLevels) rules(s *classSwitch) (list []codec.Rule, all bool) {
	for _, set := range v.order {
		way := s.otherwise
		if s.targets.has(set.class) {
			way = s.targets.of(set.class)
		}
		if set.bits == 0 {
			return append(list, always(way)), true
		}
		load := address(v.family, s.side)
		list = append(list, when(join(isFamily(v.family), []codec.Expr{
			load, {Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: load.Length, Data: netMask(set.bits, int(load.Length))},
			inSet(set.name(v.family)),
		}), way))
	}
	return list, false
}

func netElement(p netip.Prefix) codec.Element { return codec.Element{Key: addrKey(p.Addr())} }

// netMask returns the mask of a prefix of so many bits, in so many bytes.
func netMask(bits, length int) string {
	mask := bytes.Repeat([]byte{0xff}, bits/8)
	if rest := bits % 8; rest > 0 {
		mask = append(mask, byte(0xff<<(8-rest)))
	}
	return string(append(mask, make([]byte, length-len(mask))...))
}
