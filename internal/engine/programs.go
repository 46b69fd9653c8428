package engine

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// What holds between flushes:
//
//   - Programs that are in use differ in their rules, in the port predicates of the own
//     side that these look up, in family, direction, or what an Allow skips; who has the
//     same of all these shares one.
//   - A rule of a program can match at the own side, and is not behind one that decides
//     everything in its tier. Where the own side changes, the endpoint gets another
//     program; a program of a workload never changes its rules. Those of hosts may: see
//     inplace.go.
//   - refs counts local addresses, and attachments of hosts. What rules it has may be let go
//     by their policies in the same flush, so a program holds the rules themselves, and
//     numbers of rules are never used twice.
//   - cells holds only rows other than the base, one reference each.
//   - Every predicate and port name that its rules ask of the peer knows the program, from
//     fileNewPrograms on: whichever of them becomes true or false of a class, the
//     program's cell for that class is recomputed.

// program is what the policies of one direction say to local endpoints of one
// family: the rules of their tiers, those left out that can never match because
// of the local side.
type program struct {
	id       dataplane.ProgramID
	key      programKey
	dir      policy.Direction
	hook     policy.Hook // of a host endpoint; 0: of workloads
	toNode   bool        // for what workloads send to their own node
	family   policy.Family
	rules    []tierRule // in order, up to the first that decides everything
	ends     []uint32   // the ends of tiers and of profiles: rules of the program, of no policy
	governed bool       // a policy applies, or a profile with rules
	open     bool       // what nothing governs, a profile allows
	own      []uint32   // the port predicates of the local side that the rules look up
	refs     int        // local addresses
	isNew    bool       // not emitted yet

	predicates []uint32 // conditions on the peer, sorted
	names      []uint32 // port names looked up at the peer

	// Where rules stand: those that demand nothing of the peer, and by what they demand.
	always      []int
	byPredicate map[uint32][]int

	base   dataplane.RowID
	cells  map[dataplane.ClassID]dataplane.RowID
	rebase bool // the base is to be computed again, since the program became another
}

// tierRule is a rule with the number of its tier.
type tierRule struct {
	*rule
	tier int
}

// programKey tells programs apart. Hooks at which an Allow skips the same share them.
type programKey struct {
	family     policy.Family
	dir        policy.Direction
	skips      dataplane.Skips
	rules, own string // lists of numbers, as bytes; 0 is the end of a tier
}

// cellKey names a program's row for a class.
type cellKey struct {
	program uint32
	class   dataplane.ClassID
}

type programTable struct {
	byID  map[uint32]*program
	byKey map[programKey]uint32
	last  uint32
}

// recomputePrograms gives the local addresses that changed their programs.
func (e *compiler) recomputePrograms() {
	for _, a := range sortedFunc(e.pending.addrs, netip.Addr.Compare) {
		la := e.byAddr[a]
		if la == nil {
			continue
		}
		old := la.programs
		now := dataplane.Local{Addr: a}
		la.programs = [3]uint32{}
		if len(la.endpoints) > 0 {
			now.Interface = la.endpoints[0].endpoint.Interface
			la.programs = e.programsFor(la.endpoints[0], a)
			now.Egress = dataplane.ProgramID(la.programs[policy.Egress])
			now.Ingress = dataplane.ProgramID(la.programs[policy.Ingress])
			now.ToNode = dataplane.ProgramID(la.programs[toOwnNode])
			if now != la.out {
				e.out.SetLocals = append(e.out.SetLocals, now)
			}
			la.out = now
		} else {
			if la.out.Addr.IsValid() {
				e.out.DelLocals = append(e.out.DelLocals, a)
			}
			delete(e.byAddr, a)
		}
		for _, p := range old {
			if p != 0 {
				e.programs.byID[p].refs--
				e.pending.programs[p] = struct{}{}
			}
		}
	}
	clear(e.pending.addrs)
}

// programsFor returns the programs of a local endpoint at one of its addresses, and
// counts one more address of each; 0 where nothing governs.
func (e *compiler) programsFor(l *local, addr netip.Addr) (ids [3]uint32) {
	family, predicates := policy.FamilyOf(addr), e.predicatesAt(addr)
	for _, dir := range policy.Directions {
		ids[dir] = e.retainProgram(&program{dir: dir}, l, family, predicates)
	}
	if ids[policy.Egress] != 0 {
		ids[toOwnNode] = e.retainProgram(&program{dir: policy.Egress, toNode: true}, l, family, predicates)
	}
	return ids
}

// programOf returns the program of a host endpoint at a hook, for a local side of
// which the predicates are true, and counts one more use of it; 0 if nothing governs.
func (e *compiler) programOf(l *local, hook policy.Hook, family policy.Family, predicates []uint32) uint32 {
	return e.retainProgram(&program{dir: hook.Direction(), hook: hook}, l, family, predicates)
}

// retainProgram fills in a new program, or returns an equal one that there is.
func (e *compiler) retainProgram(p *program, l *local, family policy.Family, predicates []uint32) uint32 {
	p.refs, p.isNew, p.family = 1, true, family
	ids := e.rulesFor(p, l, family, predicates)
	if !p.governed && (p.open || p.hook != 0 && !p.hook.Profiles()) {
		e.releaseEnds(p)
		return 0 // no policy: the profile allows, or nothing asks
	}
	if p.toNode && !slices.ContainsFunc(p.rules, func(r tierRule) bool { return r.Action == policy.Deny }) {
		e.releaseEnds(p)
		return 0 // it denies nothing, as where there are Kubernetes' own policies only
	}
	for _, r := range p.rules {
		for _, name := range r.names(true) {
			for _, pred := range e.predicates.names.at(name).predicates {
				if _, has := slices.BinarySearch(predicates, pred); has {
					p.own = append(p.own, pred)
				}
			}
		}
	}
	slices.Sort(p.own)
	p.own = slices.Compact(p.own)
	p.key = programKey{family, p.dir, dataplane.SkipsAt(p.hook), numbersKey(ids), numbersKey(p.own)}
	if id, ok := e.programs.byKey[p.key]; ok {
		e.releaseEnds(p)
		e.programs.byID[id].refs++
		return id
	}
	return e.addProgram(p)
}

// predicatesAt returns the predicates that are true of an address that an endpoint holds.
func (e *compiler) predicatesAt(addr netip.Addr) []uint32 {
	var a *equivalenceCell
	if addr.Is4() {
		a = e.equivalenceCells.at(e.v4.recs.At(e.v4.find(addr.As4())).equivalenceCell())
	} else {
		a = e.equivalenceCells.at(e.v6.recs.At(e.v6.find(addr.As16())).equivalenceCell())
	}
	return e.classes.byID[a.class].predicates
}

// rulesFor fills in, tier by tier, the rules that can match at the address, each
// tier closed by its end, and the profiles after the last tier. What stands
// behind a rule that matches everything is left out: endpoints that differ only
// there have one program. It returns the rules' ids, with a 0 after each tier.
func (e *compiler) rulesFor(p *program, l *local, family policy.Family, predicates []uint32) (ids []uint32) {
	tier := 0
	closed := false  // a rule of the tier matches everything; a profile counts as one
	leaves := false  // a rule of the tier passes on to the next one
	decided := false // nothing goes on to the next tier
	add := func(id uint32) {
		if closed {
			return
		}
		r := e.rules.at(id)
		ids = append(ids, id)
		p.rules = append(p.rules, tierRule{r, tier})
		leaves = leaves || r.Action == policy.Pass
		closed = r.Action != policy.Log && r.matchesAll()
	}
	end := func(by policy.Decider, action policy.Action) {
		if !closed {
			id := e.retainRule(p.dir, by, &policy.Rule{Action: action})
			p.ends = append(p.ends, id)
			add(id)
		}
		ids = append(ids, 0)
		decided = !leaves
		closed, leaves = false, false
		tier++
	}
	ask := func(force *inForce) {
		for _, id := range force.rules[p.dir] {
			r := e.rules.at(id)
			if r.family != policy.AnyFamily && r.family != family {
				continue
			}
			if _, has := slices.BinarySearch(predicates, r.own); has || r.own == 0 {
				add(id)
			}
		}
	}
	underWay := ""          // the tier under way
	var last *policy.Policy // its last policy so far that has its end act
	endTier := func() {
		switch {
		case underWay == "":
		case last == nil: // it ends as if nothing applied
			end(policy.Decider{}, policy.Pass)
		case p.hook.BeforeFilter():
			end(endOfTier(last), policy.Pass)
		default:
			end(endOfTier(last), e.tiers[underWay].DefaultAction)
		}
	}
	for _, id := range e.identities.at(l.identity).local.ordered {
		en := e.policies.at(id)
		if !en.policy.Types[p.dir] || !acts(en.policy, p.hook) {
			continue
		}
		if underWay != en.policy.Tier {
			endTier()
			underWay, last = en.policy.Tier, nil
		}
		if decided {
			return ids
		}
		if p.governed = true; !p.toNode || en.policy.DecidesToOwnNode() {
			last = en.policy
		}
		ask(en.force)
	}
	endTier()
	if decided {
		return ids
	}
	if p.hook != 0 && !p.hook.Profiles() {
		if p.governed {
			end(policy.Decider{}, policy.Allow)
		}
		return ids
	}
	for _, name := range l.endpoint.Profiles {
		if l.endpoint.AllowedBy(name) {
			p.open = true
			end(policy.Decider{Kind: policy.KindProfile, Name: name}, policy.Allow)
			return ids
		}
		force := e.profiles[name].force
		if force == nil { // there is none of that name
			end(policy.Decider{Kind: policy.KindProfile, Name: name, Rule: policy.EndOfTier}, policy.Deny)
			return ids
		}
		if len(force.rules[p.dir]) == 0 {
			continue
		}
		p.governed = true
		ask(force)
		if end(policy.Decider{}, policy.Pass); decided {
			return ids
		}
	}
	end(policy.Decider{Kind: policy.KindProfile, Rule: policy.EndOfTier}, policy.Deny)
	return ids
}

// endOfTier names the end of a tier, as that of its last policy.
func endOfTier(last *policy.Policy) policy.Decider {
	return policy.Decider{Tier: last.Tier, Kind: last.Key.Kind, Namespace: last.Key.Namespace, Name: last.Key.Name, Rule: policy.EndOfTier}
}

// acts reports whether a policy that applies acts at a hook; 0 is a workload's.
func acts(p *policy.Policy, hook policy.Hook) bool {
	if hook == 0 {
		return p.Host.ActsOnWorkloads()
	}
	return p.Host.ActsAt(hook)
}

func (e *compiler) releaseEnds(p *program) {
	for _, id := range p.ends {
		e.releaseRule(id)
	}
}

// numbersKey returns a list of numbers as what can be compared.
func numbersKey(ids []uint32) string {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return string(b)
}

// addProgram takes a new program in. What it depends on follows in fileNewPrograms, its
// rows in recomputeCells.
func (e *compiler) addProgram(p *program) uint32 {
	e.programs.last++
	id := e.programs.last
	p.id = dataplane.ProgramID(id)
	e.programs.byID[id] = p
	e.programs.byKey[p.key] = id
	e.pending.programs[id] = struct{}{}
	return id
}

// dropProgram forgets a program that no local address has any more.
func (e *compiler) dropProgram(id uint32, p *program) {
	for _, pred := range p.predicates {
		e.predicates.at(pred).programs.Remove(id)
	}
	for _, n := range p.names {
		e.predicates.names.at(n).programs.Remove(id)
	}
	for _, row := range p.cells {
		e.releaseRow(row)
	}
	e.releaseRow(p.base)
	delete(e.programs.byKey, p.key)
	delete(e.programs.byID, id)
	e.releaseEnds(p)
	if !p.isNew {
		e.out.DelPrograms = append(e.out.DelPrograms, p.id)
	}
}
