// Package verify holds what tables decide against the reference, evaluate: for
// every local endpoint's program, every class of peers and every region of
// layer 4 space, at its corners. The tables it asks are meant to be those that
// a kernel really holds, read back from there.
//
// What it walks over (endpoints, classes, regions) comes from an engine's
// tables of the same model. Classes and regions are maximal sets of what policy
// does not tell apart, so one answer of each stands for all. A kernel may tell
// apart more than it should, though; one that says where (Boundaries) is asked
// there as well.
package verify

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Input is what Run compares.
type Input struct {
	Model  *policy.Model         // what should be in force
	Tables *dataplane.State      // the engine's tables of the model
	Kernel dataplane.FlowDecider // the tables under test; called from several goroutines
	// IsLocal says which host endpoints the tables are of; nil: all.
	IsLocal func(*policy.Endpoint) bool
	// Mark is the bit of the packet mark that hooks of host endpoints use; 0:
	// dataplane.DefaultMark.
	Mark uint32
	// Structure is what is wrong elsewhere, one line each: differences too.
	Structure []string
	// Progress is called now and then with the number of decisions made and
	// of all that there are; nil is fine.
	Progress func(done, total int)
}

// Report says what was compared and where the two differ.
type Report struct {
	Endpoints   int `json:"endpoints"` // addresses of local endpoints
	Classes     int `json:"classes"`
	Decisions   int `json:"decisions"`
	Differences int `json:"differences"`
	// First are the first differences found, at most MaxDifferences.
	First []Difference `json:"first,omitempty"`
}

// MaxDifferences bounds the differences that a report spells out.
const MaxDifferences = 20

// Difference is one connection on which tables and reference disagree.
type Difference struct {
	Flow      policy.Flow      `json:"flow"`
	Direction policy.Direction `json:"direction"`
	Kernel    policy.Action    `json:"kernel"`
	Reference policy.Action    `json:"reference"`
	By        *policy.Decider  `json:"by,omitempty"` // who decides, by the reference
	// Host is the host endpoint and its hook where it is one that disagrees.
	Host string `json:"host,omitempty"`
	// Structure says what is not as it should be where that is no verdict on a
	// connection; nothing else is set then.
	Structure string `json:"structure,omitempty"`
}

// String says it in one line.
func (d Difference) String() string {
	if d.Structure != "" {
		return d.Structure
	}
	by := ""
	if d.By != nil {
		by = " by " + dataplane.DeciderText(*d.By)
	}
	where := d.Direction.String()
	if d.Host != "" {
		where = "at host endpoint " + d.Host
	}
	return fmt.Sprintf("%s %s: the kernel says %s, policy says %s%s", FlowText(d.Flow), where, d.Kernel, d.Reference, by)
}

// Connection returns the flow in words.
func (d Difference) Connection() string { return FlowText(d.Flow) }

// FlowText returns "10.0.0.1:49152 -> 10.0.0.2:80 TCP".
func FlowText(f policy.Flow) string {
	switch {
	case f.Protocol.HasPorts():
		return fmt.Sprintf("%s -> %s %s", netip.AddrPortFrom(f.Src, f.SrcPort), netip.AddrPortFrom(f.Dst, f.DstPort), f.Protocol)
	case f.Protocol.IsICMP():
		return fmt.Sprintf("%s -> %s %s type %d code %d", f.Src, f.Dst, f.Protocol, f.ICMPType, f.ICMPCode)
	}
	return fmt.Sprintf("%s -> %s protocol %s", f.Src, f.Dst, f.Protocol)
}

// task is the questions that one local address is asked in one direction.
type task struct {
	local netip.Addr
	dir   policy.Direction
	whole bool // every region at every corner; otherwise one region for each class
	stray bool // not local by the model, but by the kernel
}

// Run makes all decisions twice and compares. It fails only if the context ends.
func Run(ctx context.Context, in Input) (*Report, error) {
	v := &verifier{Input: in, peers: representatives(in.Tables)}
	v.model = reduced(in.Model, in.Tables, v.peers)
	v.reference = workloads{evaluate.Plain(v.model)}
	v.whole = sync.OnceValue(func() evaluate.Index { return workloads{evaluate.Plain(withoutNodes(in.Model))} })
	if k, ok := in.Kernel.(dataplane.Bounded); ok {
		v.bounds = k.Boundaries()
	}
	tasks := plan(in.Tables, v.bounds.Locals)
	for _, t := range tasks {
		v.flows(t, func(policy.Flow, bool) { v.total++ })
	}
	v.report = Report{Endpoints: len(in.Tables.Locals()), Classes: len(in.Tables.Classes()), Decisions: v.total}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range tasks {
		group.Go(func() error {
			var err error
			v.flows(t, func(f policy.Flow, bound bool) {
				if err == nil {
					if err = groupCtx.Err(); err == nil {
						v.compare(f, t.dir, bound)
					}
				}
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, text := range in.Structure {
		v.structure(text)
	}
	if err := v.hosts(ctx); err != nil {
		return nil, err
	}
	v.report.Decisions = v.total
	if in.Progress != nil {
		in.Progress(v.total, v.total)
	}
	return &v.report, nil
}

// workloads is an index that knows nothing of hosts: what they say is asked at their
// hooks, see hooks.go.
type workloads struct{ evaluate.Index }

// OnNode implements evaluate.Index: what goes between a node and its own pods never
// meets the tables, so that they need not know of it.
func (workloads) OnNode(*policy.Endpoint, netip.Addr) bool { return false }

type verifier struct {
	Input
	model     *policy.Model  // with the addresses that are asked about
	reference evaluate.Index // of that model
	whole     func() evaluate.Index

	hostReference *evaluate.Evaluator

	peers  map[dataplane.ClassID][]netip.Addr
	bounds dataplane.Boundaries
	total  int
	done   atomic.Int64

	mu     sync.Mutex
	report Report
}

// progressStep is how many decisions lie between two calls of Progress.
const progressStep = 10_000

// compare decides one flow twice, for the end of one direction. At a boundary
// of the kernel the engine's tables answer first: they are far quicker than the
// reference, which they are held against at all corners.
func (v *verifier) compare(f policy.Flow, dir policy.Direction, bound bool) {
	kernel := action(v.Kernel, f, dir)
	var ref policy.Decision
	if bound && action(v.Tables, f, dir) == kernel {
		ref.Verdict = kernel
	} else {
		reference := v.reference
		if bound {
			reference = v.whole()
		}
		want := evaluate.Decide(reference, f)
		if ref = want.Egress; dir == policy.Ingress {
			ref = want.Ingress
		}
	}
	if n := v.done.Add(1); n%progressStep == 0 && v.Progress != nil {
		v.mu.Lock()
		v.Progress(int(n), v.total)
		v.mu.Unlock()
	}
	if kernel == ref.Verdict {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Differences++
	if len(v.report.First) < MaxDifferences {
		v.report.First = append(v.report.First, Difference{Flow: f, Direction: dir, Kernel: kernel, Reference: ref.Verdict, By: ref.By})
	}
}

// action returns what tables say of one end.
func action(tables dataplane.FlowDecider, f policy.Flow, dir policy.Direction) policy.Action {
	got, ingress := tables.Decide(f)
	if dir == policy.Ingress {
		got = ingress
	}
	if got.Allow || !got.Governed {
		return policy.Allow
	}
	return policy.Deny
}

// reduced returns the model with no more endpoints than those at the addresses
// that are asked about. The reference looks for endpoints by address and
// nowhere else, through all of them.
func reduced(m *policy.Model, tables *dataplane.State, peers map[dataplane.ClassID][]netip.Addr) *policy.Model {
	asked := map[netip.Addr]bool{}
	for _, l := range tables.Locals() {
		asked[l.Addr] = true
	}
	for _, addrs := range peers {
		for _, a := range addrs {
			asked[a] = true
		}
	}
	r := withoutNodes(m)
	r.Endpoints = slices.DeleteFunc(slices.Clone(m.Endpoints), func(ep *policy.Endpoint) bool {
		return !slices.ContainsFunc(ep.Addrs, func(a netip.Addr) bool { return asked[a] })
	})
	return r
}

// withoutNodes returns the model without its nodes: connections between a node
// and its own pods never meet the tables.
func withoutNodes(m *policy.Model) *policy.Model {
	c := *m
	c.Nodes = nil
	return &c
}
