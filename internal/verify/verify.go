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
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// Run makes all decisions twice and compares. It fails only if the context ends.
func Run(ctx context.Context, in Input) (*Report, error) {
	v := newVerifier(in)
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
						v.compare(f, t, bound)
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
		v.report.structure(text)
	}
	if err := v.hosts(ctx); err != nil {
		return nil, err
	}
	if err := v.askLinks(ctx); err != nil {
		return nil, err
	}
	v.report.Decisions = v.total
	if in.Progress != nil {
		in.Progress(v.total, v.total)
	}
	return &v.report, nil
}

// newVerifier prepares a run.
func newVerifier(in Input) *verifier {
	v := &verifier{Input: in, peers: representatives(in.Tables)}
	v.model = reduced(in.Model, in.Tables, v.peers)
	v.reference = evaluate.Plain(v.model)
	v.whole = sync.OnceValue(func() evaluate.Index { return evaluate.Plain(withoutNodes(in.Model)) })
	v.atHooks = sync.OnceValue(func() *evaluate.Evaluator { return evaluate.New(v.model) })
	if k, ok := in.Kernel.(dataplane.BoundaryLister); ok {
		v.bounds = k.Boundaries()
	}
	return v
}

// progressStep is how many decisions lie between two calls of Progress.
const progressStep = 10_000

// compare decides one flow of a task twice, for the end of its direction. At a boundary
// of the kernel the engine's tables answer first: they are far quicker than the
// reference, which they are held against at all corners.
func (v *verifier) compare(f policy.Flow, t task, bound bool) {
	kernel := t.action(v.Kernel, f)
	var ref policy.Decision
	if bound && t.action(v.Tables, f) == kernel {
		ref.Verdict = kernel
	} else {
		reference := v.reference
		if bound {
			reference = v.whole()
		}
		want := evaluate.Decide(workloads{reference, t.toNode}, f)
		if ref = want.Egress; t.dir == policy.Ingress {
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
	v.report.differ(Difference{Flow: f, Direction: t.dir, ToNode: t.toNode, Kernel: kernel, Reference: ref.Verdict, By: ref.By})
}
