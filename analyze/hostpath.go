package analyze

import (
	"slices"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/policy"
)

// The hooks of a node at which its host endpoints are asked about what comes from
// elsewhere to an address on it, and about what leaves such an address for elsewhere:
// in the order of [evaluate.NodePath], and as the programs in enforcement.in and enforcement.out.
// Those of one list that decide are of one direction, so that a hook which lets a packet
// skip others lets it skip all behind it; what a workload meets before DNAT, where it
// leaves, is by destination and not in enforcement.out: see prePoint.
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

// sending returns what a workload's own host lets it send to a class, by what it says
// before DNAT, and last by what follows; said is what a program says to the workload.
func (r *reach) sending(p, q *enforcement, last int32, said func(program int32) int32) int32 {
	if p.pre == 0 {
		return last
	}
	program := r.hosts.pre[p.pre].program(q.class)
	if program == 0 {
		return last
	}
	return r.afterHook(policy.HookPreDNAT, said(program), last)
}

// leaving returns what the hooks of a source's host allow, by what its programs say.
func (r *reach) leaving(p *enforcement, said [2]int32) int32 {
	if p.out == [2]int32{} {
		return everything
	}
	return r.passing(hooksOut[p.location()], p.out[:], said[:])
}

// coming is leaving for the host of a destination.
func (r *reach) coming(p *enforcement, said [3]int32) int32 {
	if p.in == [3]int32{} {
		return everything
	}
	return r.passing(hooksIn[p.location()], p.in[:], said[:])
}

// passing returns what hooks allow one after the other: the last one by its set, and each
// before it by what it leaves of that.
func (r *reach) passing(hooks []policy.Hook, programs, said []int32) int32 {
	set := int32(everything)
	for i := len(hooks) - 1; i >= 0; i-- {
		if programs[i] == 0 {
			continue // it has no say there
		}
		switch hook := hooks[i]; {
		case hook.Forward():
			set = r.both(set, said[i])
		case hook.BeforeFilter():
			set = r.afterHook(hook, said[i], set)
		default:
			set = r.both(set, r.open(hook, said[i]))
		}
	}
	return set
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
	said := func(program int32) int32 { return r.cellOf(program, src.class) }
	set := int32(everything)
	for _, s := range slices.Backward(evaluate.NodePath(evaluate.Workload, evaluate.NodeItself)) {
		switch {
		case s.Hook == policy.HookPreDNAT:
			set = r.sending(src, host, set, said)
		case !s.ByEndpointToHost:
		case r.hosts.settings.EndpointToHost == policy.Deny:
			set = nothing
		case r.hosts.settings.EndpointToHost == policy.Pass:
			set = r.open(s.Hook, said(host.in[slices.Index(hooksIn[evaluate.NodeItself], s.Hook)]))
		}
	}
	return set
}
