package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

func TestMain(m *testing.M) { modeltest.Main(m, 200, 2000) }

var allowRollouts = cmp.AllowUnexported(rollout{}, nodeError{})

func gnpKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: name}
}

// TestTally checks what is said of one generation.
func TestTally(t *testing.T) {
	s := newRollups()
	reported := func(generation int64, endpoints int32) []v1alpha1.ReportedPolicy {
		return []v1alpha1.ReportedPolicy{{Kind: policy.KindGlobalNetworkPolicy, Name: "a", Generation: generation, Endpoints: endpoints}}
	}
	s.set("n1", "", &v1alpha1.Report{Policies: reported(2, 3)}, time.Time{})
	s.set("n2", "", &v1alpha1.Report{Policies: reported(2, 4)}, time.Time{})
	s.set("n4", "", &v1alpha1.Report{Policies: reported(1, 5), Error: "kernel says no"}, time.Time{})
	s.set("n3", "", &v1alpha1.Report{Policies: reported(1, 6), Error: "kernel says never"}, time.Time{})
	s.set("n5", "", &v1alpha1.Report{Invalid: []v1alpha1.InvalidObject{{Kind: policy.KindGlobalNetworkPolicy, Name: "a", Message: "too new"}}}, time.Time{})
	want := rollout{
		endpoints: 7, nodes: 2, other: 2, otherEndpoints: 11, invalidOn: 1,
		nodeError: nodeError{"n3", "kernel says never"},
	}
	if d := cmp.Diff(want, s.rollout(gnpKey("a"), 2), allowRollouts); d != "" {
		t.Errorf("generation 2 (-want +got):\n%s", d)
	}
	s.remove("n3")
	s.remove("n4")
	want = rollout{endpoints: 7, nodes: 2, invalidOn: 1, nodeError: nodeError{"n5", "too new"}}
	if d := cmp.Diff(want, s.rollout(gnpKey("a"), 2), allowRollouts); d != "" {
		t.Errorf("without n3 and n4 (-want +got):\n%s", d)
	}
	if d := cmp.Diff(rollout{}, s.rollout(gnpKey("b"), 1), allowRollouts); d != "" {
		t.Errorf("a policy that nobody reports (-want +got):\n%s", d)
	}
}

// TestNotEnforceable checks that what a kernel holds and does not see is never in force.
func TestNotEnforceable(t *testing.T) {
	s := newRollups()
	set := func(node string, endpoints, notEnforceable int32, err string) {
		s.set(node, "", &v1alpha1.Report{Error: err, Policies: []v1alpha1.ReportedPolicy{
			{Kind: policy.KindGlobalNetworkPolicy, Name: "a", Generation: 1, Endpoints: endpoints, NotEnforceable: notEnforceable},
		}}, time.Time{})
	}
	set("n1", 3, 0, "")
	set("n2", 1, 2, "packets bypass policy")
	set("n3", 0, 4, "packets do not come by")
	got := status(policy.PolicyStatus, 1, validate(nil), s.rollout(gnpKey("a"), 1))
	c := find(got.Conditions, "Programmed")
	if got.Endpoints != 4 || got.Nodes != 2 || c.Status != "False" || c.Reason != "NotEnforceable" ||
		c.Message != "in force for 4 endpoints on 2 nodes; not for 6 endpoints: node n2: packets bypass policy" {
		t.Errorf("%+v", got)
	}
	set("n2", 3, 0, "")
	set("n3", 4, 0, "")
	got = status(policy.PolicyStatus, 1, validate(nil), s.rollout(gnpKey("a"), 1))
	if c := find(got.Conditions, "Programmed"); got.Nodes != 3 || c.Status != "True" {
		t.Errorf("%+v", got)
	}
}

// TestHostileReport checks that no report breaks the sums.
func TestHostileReport(t *testing.T) {
	s := newRollups()
	p := v1alpha1.ReportedPolicy{Kind: policy.KindGlobalNetworkPolicy, Name: "a", Generation: 1}
	negative, large := p, p
	negative.Endpoints, negative.NotEnforceable, large.Endpoints = -5, -5, 1<<31-1
	s.set("n1", "", &v1alpha1.Report{Policies: []v1alpha1.ReportedPolicy{negative, negative}}, time.Time{})
	for i := range 3 {
		s.set(fmt.Sprintf("m%d", i), "", &v1alpha1.Report{Policies: []v1alpha1.ReportedPolicy{large, {Kind: "Secret", Name: "a"}}}, time.Time{})
	}
	got := status(policy.PolicyStatus, 1, validate(nil), s.rollout(gnpKey("a"), 1))
	if got.Endpoints != 1<<31-1 || got.Nodes != 4 {
		t.Errorf("in force on %d endpoints and %d nodes, want %d and 4", got.Endpoints, got.Nodes, 1<<31-1)
	}
}

// TestSums draws sequences of reports and compares with sums made from scratch.
// What changed is told, and nothing is left of nodes that are gone.
func TestSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newRollups()
		present := map[string]*v1alpha1.Report{}
		names := []string{"a", "b", "c"}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			before := rollouts(s, names)
			node := rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "node")
			var changed []policy.Key
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				delete(present, node)
				changed = s.remove(node)
			} else {
				present[node] = drawReport(t, names)
				changed = s.set(node, "", present[node], time.Time{})
			}
			after := rollouts(s, names)
			scratch := newRollups()
			for name, r := range present {
				scratch.set(name, "", r, time.Time{})
			}
			if d := cmp.Diff(rollouts(scratch, names), after, allowRollouts); d != "" {
				t.Fatalf("not as from scratch (-scratch +got):\n%s", d)
			}
			for key := range after {
				if before[key] != after[key] && !slices.Contains(changed, gnpKey(key.name)) {
					t.Fatalf("%s changed and is not told: %v, now %v", key.name, before[key], after[key])
				}
			}
		}
		for node := range present {
			s.remove(node)
		}
		if len(s.policies)+len(s.nodes) > 0 {
			t.Fatalf("%d policies and %d nodes are left of nothing", len(s.policies), len(s.nodes))
		}
	})
}

type rolloutKey struct {
	name       string
	generation int64
}

func rollouts(s *rollups, names []string) map[rolloutKey]rollout {
	out := map[rolloutKey]rollout{}
	for _, name := range names {
		for g := range int64(4) {
			out[rolloutKey{name, g}] = s.rollout(gnpKey(name), g)
		}
	}
	return out
}

func drawReport(t *rapid.T, names []string) *v1alpha1.Report {
	r := &v1alpha1.Report{Error: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "error")}
	for _, name := range names {
		switch rapid.IntRange(0, 3).Draw(t, name) {
		case 0:
			r.Policies = append(r.Policies, v1alpha1.ReportedPolicy{
				Kind: policy.KindGlobalNetworkPolicy, Name: name,
				Generation: rapid.Int64Range(1, 3).Draw(t, "generation"), Endpoints: rapid.Int32Range(0, 5).Draw(t, "endpoints"),
				NotEnforceable: rapid.Int32Range(0, 2).Draw(t, "not enforceable"),
			})
		case 1:
			r.Invalid = append(r.Invalid, v1alpha1.InvalidObject{
				Kind: policy.KindGlobalNetworkPolicy, Name: name, Message: rapid.SampledFrom([]string{"m", "n"}).Draw(t, "message"),
			})
		}
	}
	return r
}
