package verify

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// hostTask is the questions that one point is asked: what one host endpoint says
// at one hook, in one family.
type hostTask struct {
	at       dataplane.PointKey
	endpoint *policy.Endpoint
	point    dataplane.HostPoint
}

// localsPerPoint bounds the classes of the local side that a point is asked about
// beside those that it tells apart.
const localsPerPoint = 2

// hostTasks lists the points that there should be. Host endpoints that have none at
// a hook, since nothing governs there, are asked as well.
func (v *verifier) hostTasks() []hostTask {
	first := map[[2]string]*policy.Endpoint{}
	for _, ep := range v.Model.Endpoints {
		if ep.Host == nil || ep.Interface == "" || v.IsLocal != nil && !v.IsLocal(ep) {
			continue
		}
		key := [2]string{ep.Node, ep.Interface}
		if was := first[key]; was == nil || policy.CompareHosts(ep, was) < 0 {
			first[key] = ep
		}
	}
	points := map[dataplane.PointKey]dataplane.HostPoint{}
	for _, p := range v.Tables.Points() {
		points[p.PointKey] = p
	}
	var tasks []hostTask
	for key, ep := range first {
		for _, hook := range policy.Hooks {
			for _, family := range []policy.Family{policy.IPv4, policy.IPv6} {
				at := dataplane.PointKey{Node: key[0], Hook: hook, Interface: key[1], Family: family}
				tasks = append(tasks, hostTask{at, ep, points[at]})
			}
		}
	}
	return tasks
}

// hosts asks all points. A kernel that cannot tell of host endpoints differs where
// there are any.
func (v *verifier) hosts(ctx context.Context) error {
	kernel, ok := v.Kernel.(dataplane.HostDecider)
	if !ok {
		kernel = dataplane.NewState() // it says nothing
	}
	tasks := v.hostTasks()
	v.strayPoints(tasks)
	if walked, ok := v.Kernel.(dataplane.HookDecider); ok {
		return v.hooks(ctx, walked, tasks)
	}
	for _, t := range tasks {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.hostFlows(t, func(f policy.Flow) { v.compareHost(kernel, t, f) })
	}
	return nil
}

// strayPoints finds host endpoints that the kernel has and policy does not.
func (v *verifier) strayPoints(tasks []hostTask) {
	kernel, ok := v.Kernel.(dataplane.PointLister)
	if !ok {
		return
	}
	known, held := map[dataplane.PointKey]bool{}, map[dataplane.PointKey]bool{}
	for _, t := range tasks {
		t.at.Node = ""
		known[t.at] = true
	}
	for _, at := range kernel.Points() {
		held[at] = true
		if !known[at] {
			v.structure(fmt.Sprintf("the kernel has host endpoint %v, which is none of the store's", at))
		}
	}
	for _, t := range tasks {
		if t.at.Node = ""; t.point.Governs() && !held[t.at] {
			v.structure(fmt.Sprintf("the kernel has no host endpoint %v, which is %s of the store", t.at, t.endpoint.Key.Name))
		}
	}
}

// hostFlows returns the flows of a task: classes of the local side that it tells
// apart and a few more, with all classes of peers, at the corners of regions.
func (v *verifier) hostFlows(t hostTask, yield func(policy.Flow)) {
	of := func(c dataplane.ClassID) []netip.Addr {
		var list []netip.Addr
		for _, a := range v.peers[c] {
			if policy.FamilyOf(a) == t.at.Family {
				list = append(list, a)
			}
		}
		return list
	}
	others := 0
	for _, own := range v.Tables.Classes() {
		addrs := of(own)
		if len(addrs) == 0 {
			continue
		}
		if t.point.ProgramFor(own) == t.point.Base {
			if others++; others > localsPerPoint {
				continue
			}
		}
		program := v.Tables.Program(t.point.ProgramFor(own))
		for _, c := range v.Tables.Classes() {
			for _, peer := range of(c) {
				f := policy.Flow{Src: peer, Dst: addrs[0]}
				if t.at.Hook.Direction() == policy.Egress {
					f.Src, f.Dst = f.Dst, f.Src
				}
				if program == nil {
					yield(at(f, policy.Flow{Protocol: policy.TCP, DstPort: 80, SrcPort: 49152}))
					continue
				}
				for _, g := range v.Tables.Row(program.RowFor(c)) {
					low, high := corner(f, g, false), corner(f, g, true)
					if yield(low); high != low {
						yield(high)
					}
				}
			}
		}
	}
}

// atHosts returns the reference for host endpoints.
func (v *verifier) atHosts() *evaluate.Evaluator {
	if v.hostReference == nil {
		v.hostReference = evaluate.New(v.model)
	}
	return v.hostReference
}

func (v *verifier) compareHost(kernel dataplane.HostDecider, t hostTask, f policy.Flow) {
	v.total++
	got := policy.Allow
	if d := kernel.DecideHost(t.at, f); d.Governed && !d.Allow {
		got = policy.Deny
	}
	want, governed := v.atHosts().AtHost(t.at.Hook, t.endpoint, f)
	if !governed {
		want.Verdict = policy.Allow
	}
	if got == want.Verdict {
		return
	}
	v.report.Differences++
	if len(v.report.First) < MaxDifferences {
		v.report.First = append(v.report.First, Difference{
			Flow: f, Direction: t.at.Hook.Direction(), Kernel: got, Reference: want.Verdict, By: want.By,
			Host: t.endpoint.Key.Name + " " + t.at.Hook.String(),
		})
	}
}
