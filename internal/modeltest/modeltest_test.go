package modeltest_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// Random models are of use only if all that can decide does so now and then.
func TestRandomModelsReachEveryOutcome(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.ModelsWithNodes().Draw(t, "model")
		flows := modeltest.Flows(m)
		e := evaluate.New(m)
		for range 20 {
			res := e.Evaluate(flows.Draw(t, "flow"))
			for i, d := range []policy.Decision{res.Egress, res.Ingress} {
				seen[policy.Directions[i].String()+" "+outcome(d)]++
			}
		}
	})
	for _, dir := range policy.Directions {
		for _, want := range []string{"ungoverned", "rule Allow", "rule Deny", "end of tier", "profile Allow", "profile Deny", "profile rule Allow", "profile rule Deny", "no such profile"} {
			if seen[dir.String()+" "+want] == 0 {
				t.Errorf("no flow ended in %s at %s; seen %v", want, dir, seen)
			}
		}
	}
	t.Log(seen)
}

// The same of connections that a host does not track.
func TestRandomModelsReachEveryAnswer(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		flows := modeltest.Flows(m)
		e := evaluate.New(m)
		for range 300 {
			res := e.Evaluate(flows.Draw(t, "flow"))
			untracked := slices.ContainsFunc(res.Hosts, func(h policy.HostDecision) bool { return h.Hook.Raw() && h.Verdict == policy.Allow })
			switch a := res.Answer; {
			case !untracked || res.Verdict == policy.Deny && a == nil:
			case a == nil:
				seen["answered"]++
			case a.OutOfState:
				seen["out of state"]++
			default:
				seen["denied"]++
			}
		}
	})
	for _, want := range []string{"answered", "out of state", "denied"} {
		if seen[want] == 0 {
			t.Errorf("no connection without tracking was %s; seen %v", want, seen)
		}
	}
	t.Log(seen)
}

func outcome(d policy.Decision) string {
	switch {
	case d.By == nil:
		return "ungoverned"
	case d.By.Kind == policy.KindProfile && len(d.Profiles) > 0 && d.Profiles[len(d.Profiles)-1].Key.Name == d.By.Name:
		return "profile rule " + d.Verdict.String()
	case d.By.Kind == policy.KindProfile && d.By.Name != "" && d.Verdict == policy.Deny:
		return "no such profile"
	case d.By.Kind == policy.KindProfile:
		return "profile " + d.Verdict.String()
	case d.By.Rule == policy.EndOfTier:
		return "end of tier"
	}
	return "rule " + d.Verdict.String()
}

func TestChangesLeadFromOneModelToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := modeltest.Models().Draw(t, "a"), modeltest.Models().Draw(t, "b")
		got := modeltest.Apply(a, modeltest.Changes(a, b)...)
		if changes := modeltest.Changes(got, b); len(changes) > 0 {
			t.Fatalf("still to change: %v", changes)
		}
		for _, step := range modeltest.Steps(a).Draw(t, "steps") {
			a = modeltest.Apply(a, step...)
		}
	})
}

func TestLargeModelsAreValidAndRepeatable(t *testing.T) {
	models := map[string]func() *policy.Model{
		"cluster": func() *policy.Model {
			return modeltest.Cluster(7, modeltest.ClusterSize{Namespaces: 5, Workloads: 6, Replicas: 2})
		},
		"isolated":   func() *policy.Model { return modeltest.Isolated(200, 10, 100) },
		"kubernetes": func() *policy.Model { return modeltest.Kubernetes(250, 110) },
	}
	for name, make := range models {
		t.Run(name, func(t *testing.T) {
			m := make()
			objects := len(m.Tiers) + len(m.Policies) + len(m.Endpoints) + len(m.Sets)
			if got := len(modeltest.Objects(m)); got != objects {
				t.Errorf("%d objects have only %d keys", objects, got)
			}
			if !slices.ContainsFunc(m.Endpoints, modeltest.IsLocal) {
				t.Error("no endpoint is local")
			}
			byKey := func(a, b *policy.Policy) int { return cmp.Or(a.Key.Compare(b.Key)) }
			again := make()
			slices.SortFunc(m.Policies, byKey)
			slices.SortFunc(again.Policies, byKey)
			for i, p := range m.Policies {
				if q := again.Policies[i]; p.Key != q.Key || p.Selector.String() != q.Selector.String() {
					t.Fatalf("policy %v differs when made again", p.Key)
				}
			}
			if diff := gocmp.Diff(m.Endpoints[:10], again.Endpoints[:10], gocmp.Comparer(func(a, b policy.Endpoint) bool {
				return a.Key == b.Key && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Addrs, b.Addrs)
			})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
