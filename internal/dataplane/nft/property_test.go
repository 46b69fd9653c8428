package nft

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
)

// TestKernelAgreesWithState takes random steps, and after each holds what the
// kernel's own tables say of flows against what the state says, and all of the
// table against what it should be.
func TestKernelAgreesWithState(t *testing.T) {
	ns := newNamespace(t)
	ctx := context.Background()
	defer func(n, spans, lookups, long int) {
		maxLinear, maxSpans, maxLookups, longBatch = n, spans, lookups, long
	}(maxLinear, maxSpans, maxLookups, longBatch)
	rapid.Check(t, func(t *rapid.T) {
		maxLinear = rapid.IntRange(0, 5).Draw(t, "few")
		maxSpans = rapid.SampledFrom([]int{0, 1, 2, 3, 512}).Draw(t, "intervals of a class")
		maxLookups = rapid.SampledFrom([]int{1, 2, 3, 64}).Draw(t, "look-ups")
		longBatch = rapid.SampledFrom([]int{1, 500, 2000, 128 << 10}).Draw(t, "length of a transaction")
		b, err := New(Options{NetNS: ns, Logging: Logging{Group: 7411}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		m, next := tabletest.Empty(), tabletest.First()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			if err := b.Apply(ctx, m.Step(next)); err != nil {
				t.Fatal(err)
			}
			m = next
			if b.rewrites > 0 {
				t.Fatal("the kernel refused a step")
			}
			findings, err := b.compare()
			if err != nil {
				t.Fatal(err)
			}
			if len(findings) > 0 {
				t.Fatalf("the kernel differs from what was written: %q", findings)
			}
			checkScratch(t, b)
			sameAsRendered(t, b)
			k, err := b.ReadBack(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for range 30 {
				f := m.DrawFlow(t)
				wantEgress, wantIngress := m.Decide(f)
				if egress, ingress := k.Decide(f); egress != wantEgress || ingress != wantIngress {
					t.Fatalf("%+v: got %v %v, want %v %v\n%v", f, egress, ingress, wantEgress, wantIngress, b.state)
				}
				if got, want := k.DecideToNode(f), b.state.DecideToNode(f); got != want {
					t.Fatalf("%+v to its own node: got %v, want %v\n%v", f, got, want, b.state)
				}
			}
			next = m.Next(t)
		}
	})
}

// checkScratch compares what steps led to with what is derived from the state
// alone; slots may differ.
func checkScratch(t *rapid.T, b *Dataplane) {
	scratch := newLayout(b.state)
	for family := range scratch.intervals {
		if diff := cmp.Diff(scratch.intervals[family], b.intervals[family], cmp.AllowUnexported(interval{}), cmp.Comparer(func(x, y interval) bool { return x == y })); diff != "" {
			t.Fatalf("intervals (-scratch +steps):\n%s", diff)
		}
		if got, want := len(b.slots[family].of), len(scratch.slots[family].of); got != want {
			t.Fatalf("%d classes have a slot, want %d", got, want)
		}
	}
	scratch.renderHost()
	scratch.countRowChains()
	if diff := cmp.Diff(scratch.rowChains, b.rowChains, cmp.AllowUnexported(rowChain{}, path{})); diff != "" {
		t.Fatalf("chains of rows (-scratch +steps):\n%s", diff)
	}
	if diff := cmp.Diff(scratch.levels, b.levels, cmp.AllowUnexported(netLevels{}, levelSet{})); diff != "" {
		t.Fatalf("levels (-scratch +steps):\n%s", diff)
	}
	if diff := cmp.Diff(scratch.cells, b.cells, cmp.AllowUnexported(path{}, cellSet{})); diff != "" {
		t.Fatalf("cells (-scratch +steps):\n%s", diff)
	}
}
