package nft

import (
	"fmt"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostRender makes the chains and sets of host endpoints from a state.
type hostRender struct {
	state     *dataplane.State
	settings  *dataplane.HostSettings
	slots     [2]*slots
	intervals [2][]interval
	hooks     hostHooks
	out       *hostContent
}

// Ranks of what goes away: all of it refers to rows, and nothing refers to it.
const (
	rankHost rank = iota - 200
	rankHostFamily
	rankHostLinks
	rankPoint
	rankPointSet   = rankPoint + 40
	rankProgram    = rankPointSet + 1
	rankProgramSet = rankProgram + 40

	rankProgramClass = rankProgramSet + 1
)

// hostSwitch tells the classes of one side apart.
type hostSwitch struct {
	name   string
	family int
	side   side
	rank   rank
	usual  verdict
	cells  map[dataplane.ClassID]verdict // others than usual
	strict bool                          // packets of no connection end here
	slots  []uint32                      // of the cells, sorted, once emitSwitch knows them
}

// renderHost makes all but the programs.
func renderHost(s *dataplane.State, settings *dataplane.HostSettings, g *ground) *hostContent {
	r := &hostRender{
		state: s, settings: settings, slots: g.slots, intervals: g.intervals, hooks: hostHooksOf(s, settings),
		out: newHostContent(),
	}
	r.out.hooks = r.hooks
	if len(r.hooks) == 0 {
		return r.out
	}
	for _, b := range hostBases {
		if r.hooks[b.hook] {
			r.out.bases = append(r.out.bases, hostBaseChain{
				chainSpec{name: hostName(b.hook), base: true, hook: b.kernel, priority: b.priority}, r.baseRules(b.hook),
			})
		}
	}
	for _, dir := range policy.Directions {
		r.failsafes(dir)
	}
	for _, h := range policy.Hooks {
		for family := range familyDigit {
			if r.hooks[h] {
				r.hook(h, family)
			}
		}
	}
	return r.out
}

func (r *hostRender) failsafes(dir policy.Direction) {
	list := r.settings.Failsafes(dir)
	if len(list) == 0 {
		return
	}
	r.out.addSet(setSpec{name: failsafeSet(dir), keyType: inetProto<<concatBits | inetService, keyLen: 8}, rankPointSet)
	for _, f := range list {
		key := []byte{byte(f.Protocol), 0, 0, 0, byte(f.Port >> 8), byte(f.Port), 0, 0}
		r.out.add(failsafeSet(dir), hostElement{key: string(key)})
	}
}

// hook makes the chains of one hook and family.
func (r *hostRender) hook(h policy.Hook, family int) {
	links, all := false, ""
	for _, p := range r.state.Points() {
		if p.Hook != h || familyIndex(p.Family) != family {
			continue
		}
		goes := r.point(p)
		if p.Interface == policy.AllInterfaces {
			all = pointName(p.PointKey)
			continue
		}
		if !links {
			links = true
			r.out.addSet(setSpec{name: hostLinks(h, family), keyType: ifNameType, keyLen: ifNameLen, verdicts: true}, rankHostLinks)
		}
		r.out.add(hostLinks(h, family), hostElement{key: ifKey(p.Interface), verdict: goes})
	}
	r.out.addChain(chainRules{name: hostFamily(h, family), rank: rankHostFamily, rules: r.familyRules(h, family, links, all)})
}

func familyIndex(f policy.Family) int {
	if f == policy.IPv6 {
		return 1
	}
	return 0
}

// point makes the chain of a point, and says how to go there.
func (r *hostRender) point(p dataplane.HostPoint) verdict {
	side, name, family := hostSide(p.Hook), pointName(p.PointKey), familyIndex(p.Family)
	sw := hostSwitch{
		name: name, family: family, side: side, rank: rankPoint,
		usual: r.program(p.Base), cells: map[dataplane.ClassID]verdict{},
		strict: p.Governs() && !p.Hook.BeforeFilter(),
	}
	for _, x := range p.Programs {
		sw.cells[x.Class] = r.program(x.Program)
	}
	r.out.tells = r.out.tells || len(p.Programs) > 0
	r.emitSwitch(sw, rankPointSet)
	return goTo(sw.name)
}

// program says how to go to a program.
func (r *hostRender) program(id dataplane.ProgramID) verdict {
	if id == 0 {
		return returns
	}
	return goTo(hostProgramName(id))
}

// emitSwitch makes a switch: addresses with a class of their own by the digits of
// its slot, all others by intervals.
func (r *hostRender) emitSwitch(sw hostSwitch, setRank rank) {
	t := r.slots[sw.family]
	c := chainRules{name: sw.name, rank: sw.rank}
	if sw.strict {
		c.rules = append(c.rules, always(jumpTo(strictChain)))
	}
	load := address(sw.family, sw.side)
	nets := sw.name + "-nets"
	byNet := false
	for s := range spans(r.intervals[sw.family], 0, len(r.intervals[sw.family])) {
		v, ok := sw.cells[s.class]
		if !ok {
			continue
		}
		if !byNet {
			byNet = true
			spec := addrMap(nets, sw.family)
			spec.interval = true
			r.out.addSet(spec, setRank)
		}
		e := hostElement{key: addrKey(s.first), verdict: v}
		if s.next.IsValid() {
			e.next = addrKey(s.next)
		}
		e.interval = true
		r.out.add(nets, e)
	}
	for class := range sw.cells {
		if slot, ok := t.of[class]; ok {
			sw.slots = append(sw.slots, slot)
		}
	}
	slices.Sort(sw.slots)
	known := len(sw.slots) > 0
	if len(t.at) > 0 && (known || byNet) {
		goes := sw.usual
		if known {
			goes = r.emitNode(t, &sw, node{t.levels(), 0})
		}
		c.rules = append(c.rules, when(join(isFamily(sw.family), []expr{load, inSet(knownName(sw.family))}), goes))
	}
	if byNet {
		c.rules = append(c.rules, rule{exprs: join(isFamily(sw.family), []expr{load, bySet(nets)})})
	}
	c.rules = append(c.rules, always(sw.usual))
	r.out.addChain(c)
}

// has reports whether a class under the node has a cell.
func (sw *hostSwitch) has(n node) bool {
	i, _ := slices.BinarySearch(sw.slots, n.index<<(2*n.level))
	return i < len(sw.slots) && sw.slots[i]>>(2*n.level) == n.index
}

// emitNode makes the chains of a node and of those below it that tell something
// apart, and says how to go there.
func (r *hostRender) emitNode(t *slots, sw *hostSwitch, n node) verdict {
	if !sw.has(n) {
		return sw.usual
	}
	if n.level == 0 {
		return sw.cells[t.at[n.index]]
	}
	c := chainRules{name: fmt.Sprintf("%s-node-%d-%d", sw.name, n.level, n.index), rank: sw.rank + 1 + rank(31-n.level)}
	last := r.emitNode(t, sw, node{n.level - 1, n.index * 4})
	for value := range 3 {
		child := node{n.level - 1, n.index*4 + uint32(value) + 1}
		if goes := r.emitNode(t, sw, child); goes != last {
			mark := inSet(markName(sw.family, 3*(n.level-1)+value))
			c.rules = append(c.rules, when([]expr{address(sw.family, sw.side), mark}, goes))
		}
	}
	c.rules = append(c.rules, always(last))
	r.out.addChain(c)
	return goTo(c.name)
}

// hostContent is all that a table has of host endpoints.
type hostContent struct {
	hooks  hostHooks
	bases  []hostBaseChain
	chains map[string]chainRules
	sets   map[string]hostSet
	tells  bool // some point tells classes of the local side apart
	// programs are those that the points refer to. What is above does not hold theirs.
	programs map[dataplane.ProgramID]*hostProgram
}

type hostBaseChain struct {
	chainSpec
	rules []rule
}

type hostSet struct {
	setSpec
	rank     rank
	elements map[hostElement]bool
}

// hostElement is an element, or an interval with its end.
type hostElement struct {
	key, next string // next is empty at the end of the space
	interval  bool
	verdict   verdict
}

func newHostContent() *hostContent {
	return &hostContent{
		hooks: hostHooks{}, chains: map[string]chainRules{}, sets: map[string]hostSet{}, programs: map[dataplane.ProgramID]*hostProgram{},
	}
}

func (c *hostContent) addSet(s setSpec, r rank) {
	c.sets[s.name] = hostSet{s, r, map[hostElement]bool{}}
}

func (c *hostContent) addChain(x chainRules) { c.chains[x.name] = x }

func (c *hostContent) add(set string, e hostElement) { c.sets[set].elements[e] = true }

func (e hostElement) each(give func(element)) {
	give(element{key: e.key, verdict: e.verdict})
	if e.interval && e.next != "" {
		give(element{key: e.next, end: true})
	}
}

// emit returns all of it, on its ground.
func (c *hostContent) emit(g *ground, out sink) {
	for _, p := range c.programs {
		p.emit(g, out)
	}
	for _, s := range c.sets {
		out.addSet(s.setSpec)
		for e := range s.elements {
			e.each(func(e element) { out.addElement(s.name, e) })
		}
	}
	for _, x := range c.chains {
		out.addChain(x)
	}
	for _, b := range c.bases {
		out.addBaseChain(b.chainSpec, b.rules)
	}
}

// step writes the way from one content to another into a batch, programs aside;
// false if that needs the whole table to change hands, since base chains come or go.
func (c *hostContent) step(next *hostContent, out *batch) bool {
	if len(c.hooks) != len(next.hooks) || slices.ContainsFunc(policy.Hooks, func(h policy.Hook) bool { return c.hooks[h] != next.hooks[h] }) {
		return false
	}
	for name, s := range next.sets {
		old, ok := c.sets[name]
		if !ok {
			out.addSet(s.setSpec)
		}
		for e := range s.elements {
			if !old.elements[e] {
				e.each(func(e element) { out.addElement(name, e) })
			}
		}
		for e := range old.elements {
			if !s.elements[e] {
				e.each(func(e element) { out.delElement(name, e) })
			}
		}
	}
	for name, s := range c.sets {
		if _, stays := next.sets[name]; !stays {
			out.delSet(name, s.rank)
		}
	}
	for name, x := range next.chains {
		switch old, ok := c.chains[name]; {
		case !ok:
			out.addChain(x)
		case !equalRules(old.rules, x.rules):
			out.setRules(x)
		}
	}
	for name, x := range c.chains {
		if _, stays := next.chains[name]; !stays {
			out.delChain(name, x.rank)
		}
	}
	return true
}
