package analyze

import (
	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
)

// The hooks of a node at which its host endpoints are asked about what comes from
// elsewhere to an address on it, and about what leaves such an address for elsewhere:
// in the order of [evaluate.NodePath], and as the programs in enforcement.in and enforcement.out.
// What a workload meets at its own link goes by the class of the other end, and is not in
// these lists of programs: see linkPoint.
var (
	hooksIn = [...][]policy.Hook{
		evaluate.NodeItself: hooksOf(evaluate.NodePath(evaluate.Elsewhere, evaluate.NodeItself)),
		evaluate.Workload:   hooksOf(evaluate.NodePath(evaluate.Elsewhere, evaluate.Workload)),
	}
	hooksOut = [...][]policy.Hook{
		evaluate.NodeItself: hooksOf(evaluate.NodePath(evaluate.NodeItself, evaluate.Elsewhere)),
		evaluate.Workload:   hooksOf(evaluate.NodePath(evaluate.Workload, evaluate.Elsewhere)),
	}
)

// hooksOf returns the hooks of host endpoints on a path.
func hooksOf(path []evaluate.Stop) (hooks []policy.Hook) {
	for _, s := range path {
		if s.Hook != 0 {
			hooks = append(hooks, s.Hook)
		}
	}
	return hooks
}

// location says where an enforcement is, as its own host sees it.
func (p *enforcement) location() evaluate.Location {
	if p.host {
		return evaluate.NodeItself
	}
	return evaluate.Workload
}

// reading is the engine's tables as they are read for connections, or for the answers of
// those that nobody tracks.
type reading struct {
	*tables
	hosts *hosts                // nil without host endpoints
	safe  map[policy.Hook]L4Set // always open there
	// begins is what passes a hook that tracks connections, if policy allows it, and is of
	// none that is known.
	begins int32
	after  map[afterKey]int32
	// untracked says what of that passes which no node tracks, by its answers; nil if all does.
	untracked *answers
}

// newReading returns a reading for the connections of a model, or for their answers.
func newReading(t *tables, h *hosts, answers bool) reading {
	r := reading{tables: t, hosts: h, begins: everything}
	if h == nil {
		return r
	}
	r.safe, r.after = map[policy.Hook]L4Set{}, map[afterKey]int32{}
	for _, hook := range policy.Hooks {
		r.safe[hook] = failsafes(h.settings, hook, answers)
	}
	return r
}

// failsafes returns of which connections what begins them is open at a hook whatever policy
// says, or what answers them.
func failsafes(s *policy.HostSettings, hook policy.Hook, answers bool) L4Set {
	var all L4Set
	if hook.Forward() {
		return all
	}
	var codes [256][]span
	for t := 133; t <= 136; t++ { // neighbour discovery
		codes[t] = []span{{0, 255}}
	}
	all.setTypes(policy.ICMPv6, &codes)
	toPort, fromPort := s.Failsafes(hook.Direction()), []policy.Failsafe(nil)
	if hook.Raw() {
		fromPort = s.Failsafes(1 - hook.Direction())
	}
	if answers {
		toPort, fromPort = fromPort, toPort
	}
	for _, f := range toPort {
		all = all.Union(onPorts(f.Protocol, span{int(f.Port), int(f.Port)}))
	}
	for _, f := range fromPort {
		if f.Port == lowestEphemeral {
			all = all.Union(onPorts(f.Protocol))
		}
	}
	return all
}

// afterKey is a question that was answered: what a hook leaves of what those
// behind it allow.
type afterKey struct {
	hook                     policy.Hook
	preFilter, answered, set int32
}

// atLink returns what is said at a point of a workload's link to the class of the other
// end; false where nothing is.
func (r *reading) atLink(point, class int32, said func(program int32) int32) (int32, bool) {
	if point == 0 {
		return everything, false
	}
	program := r.hosts.links[point].program(class)
	if program == 0 {
		return everything, false
	}
	return said(program), true
}

// sending returns what a workload's own host lets it send to a class, where its packets
// come in: before DNAT, which last follows. said is what a program says to the workload.
func (r *reading) sending(p *enforcement, class, last int32, said func(program int32) int32) int32 {
	if preFilter, asked := r.atLink(p.preDNAT, class, said); asked {
		return r.afterHook(policy.HookPreDNAT, preFilter, everything, last)
	}
	return last
}

// leaving returns what the hooks of a source's host allow to a class, by what its programs
// say.
func (r *reading) leaving(p *enforcement, class int32, said [3]int32) int32 {
	if p.out == [3]int32{} {
		return everything
	}
	return r.passing(p, class, hooksOut[p.location()], p.out[:], said[:], everything)
}

// coming is leaving for the host of a destination, at which last is what is said of what
// leaves it again, at a workload's link.
func (r *reading) coming(p *enforcement, class int32, said [4]int32, last int32) int32 {
	if p.in == [4]int32{} {
		return last
	}
	return r.passing(p, class, hooksIn[p.location()], p.in[:], said[:], last)
}

// passing returns what hooks of one direction allow one after the other: the last one by its
// set, and each before it by what it leaves of that. What is said in the other direction,
// last, only a hook without tracking lets a packet skip, which is the first one.
func (r *reading) passing(p *enforcement, class int32, hooks []policy.Hook, programs, said []int32, last int32) int32 {
	set := int32(everything)
	for i := len(hooks) - 1; i >= 0; i-- {
		if programs[i] == 0 {
			continue // it has no say there
		}
		switch hook := hooks[i]; {
		case hook.Raw():
			answered := int32(everything)
			if r.untracked != nil && !r.preFilter.list[said[i]].decided.empty() {
				answered = r.untracked.answered(r, hook, p, class)
			}
			set, last = r.afterHook(hook, said[i], answered, r.both(set, last)), everything
		case hook.Forward():
			set = r.both(set, r.both(said[i], r.begins))
		case hook.BeforeFilter():
			set = r.afterHook(hook, said[i], everything, set)
		default:
			set = r.both(set, r.both(r.open(hook, said[i]), r.begins))
		}
	}
	return r.both(set, last)
}

// open adds to a set what is always open at a hook.
func (r *reading) open(hook policy.Hook, set int32) int32 {
	if set == everything {
		return set
	}
	k := afterKey{hook: hook, set: set}
	n, known := r.after[k]
	if !known {
		safe := Grant{open: r.safe[hook]}
		n = r.number(either(&r.grants.values[set], &safe))
		r.after[k] = n
	}
	return n
}

// afterHook returns what is allowed by a hook before the filter and those behind it. What is
// always open is for those to say. Connections that the hook itself allows are those that are
// answered, whatever request they carry: to let a packet by untracked, none is asked for.
func (r *reading) afterHook(hook policy.Hook, preFilter, answered, set int32) int32 {
	k := afterKey{hook, preFilter, answered, set}
	n, known := r.after[k]
	if !known {
		row, safe := &r.preFilter.list[preFilter], r.safe[hook]
		passes, bound := row.passes.Union(safe), safe.Complement()
		decided, rest := row.decided.within(&bound), r.grants.values[set].within(&passes)
		all := either(&decided, &rest)
		if answered != everything {
			bound = decided.reached().Subtract(r.grants.values[answered].open).Complement()
			all = all.within(&bound)
		}
		n = r.number(all)
		r.after[k] = n
	}
	return n
}

// toOwnHost returns what a workload may send to its own host.
func (r *reading) toOwnHost(src, host *enforcement) int32 {
	if r.hosts.settings.EndpointToHost == policy.Deny {
		return nothing
	}
	set := r.sending(src, host.class, everything, func(program int32) int32 { return r.cellOf(program, src.class) })
	if src.toNode != 0 {
		set = r.both(set, r.cellOf(src.toNode, host.class))
	}
	return set
}
