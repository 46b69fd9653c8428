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

// afterKey is a question that was answered: what a hook leaves of what those
// behind it allow.
type afterKey struct {
	hook           policy.Hook
	preFilter, set int32
}

// atLink returns what is said at a point of a workload's link to the other end; false
// where nothing is.
func (r *reach) atLink(point int32, other *enforcement, said func(program int32) int32) (int32, bool) {
	if point == 0 {
		return everything, false
	}
	program := r.hosts.links[point].program(other.class)
	if program == 0 {
		return everything, false
	}
	return said(program), true
}

// sending returns what a workload's own host lets it send to another end, where its packets
// come in: before DNAT, which last follows. said is what a program says to the workload.
func (r *reach) sending(p, q *enforcement, last int32, said func(program int32) int32) int32 {
	if preFilter, asked := r.atLink(p.preDNAT, q, said); asked {
		return r.afterHook(policy.HookPreDNAT, preFilter, last)
	}
	return last
}

// leaving returns what the hooks of a source's host allow, by what its programs say.
func (r *reach) leaving(p *enforcement, said [3]int32) int32 {
	if p.out == [3]int32{} {
		return everything
	}
	return r.passing(hooksOut[p.location()], p.out[:], said[:], everything)
}

// coming is leaving for the host of a destination, at which last is what is said of what
// leaves it again, at a workload's link.
func (r *reach) coming(p *enforcement, said [4]int32, last int32) int32 {
	if p.in == [4]int32{} {
		return last
	}
	return r.passing(hooksIn[p.location()], p.in[:], said[:], last)
}

// passing returns what hooks of one direction allow one after the other: the last one by its
// set, and each before it by what it leaves of that. What is said in the other direction,
// last, only a hook without tracking lets a packet skip, which is the first one.
func (r *reach) passing(hooks []policy.Hook, programs, said []int32, last int32) int32 {
	set := int32(everything)
	for i := len(hooks) - 1; i >= 0; i-- {
		if programs[i] == 0 {
			continue // it has no say there
		}
		switch hook := hooks[i]; {
		case hook.Raw():
			set, last = r.afterHook(hook, said[i], r.both(set, last)), everything
		case hook.Forward():
			set = r.both(set, said[i])
		case hook.BeforeFilter():
			set = r.afterHook(hook, said[i], set)
		default:
			set = r.both(set, r.open(hook, said[i]))
		}
	}
	return r.both(set, last)
}

// open adds to a set what is always open at a hook.
func (r *reach) open(hook policy.Hook, set int32) int32 {
	if set == everything {
		return set
	}
	k := afterKey{hook: hook, set: set}
	n, known := r.hosts.after[k]
	if !known {
		safe := Grant{open: r.hosts.safe[hook]}
		n = r.number(either(&r.grants.values[set], &safe))
		r.hosts.after[k] = n
	}
	return n
}

// afterHook returns what is allowed by a hook before the filter and those behind it. What is
// always open is for those to say.
func (r *reach) afterHook(hook policy.Hook, preFilter, set int32) int32 {
	k := afterKey{hook, preFilter, set}
	n, known := r.hosts.after[k]
	if !known {
		row, safe := &r.preFilter.list[preFilter], r.hosts.safe[hook]
		passes, bound := row.passes.Union(safe), safe.Complement()
		decided, rest := row.decided.within(&bound), r.grants.values[set].within(&passes)
		n = r.number(either(&decided, &rest))
		r.hosts.after[k] = n
	}
	return n
}

// toOwnHost returns what a workload may send to its own host.
func (r *reach) toOwnHost(src, host *enforcement) int32 {
	if r.hosts.settings.EndpointToHost == policy.Deny {
		return nothing
	}
	set := r.sending(src, host, everything, func(program int32) int32 { return r.cellOf(program, src.class) })
	if src.toNode != 0 {
		set = r.both(set, r.cellOf(src.toNode, host.class))
	}
	return set
}
