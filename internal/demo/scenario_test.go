package demo

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/examples"
	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// TestScenarios holds every expected.yaml against evaluate and against the
// tables that the engine makes, before and after the scenario's change.
func TestScenarios(t *testing.T) {
	names, err := Names(examples.FS)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 10 {
		t.Fatalf("only %d scenarios: %v", len(names), names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s, err := Load(examples.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			j := newJudges()
			j.apply(t, s.Resources)
			j.check(t, "connections", s.Expected.Connections)
			if then := s.Expected.Then; then != nil {
				for i, c := range then.Live {
					c.Verdict, c.Egress, c.Ingress = "Allow", "", "" // it lives before the change
					j.check(t, "then.live, before", []Connection{c})
					_ = i
				}
				j.apply(t, s.Change)
				j.check(t, "then.live, after", then.Live)
				j.check(t, "then.connections", then.Connections)
			}
		})
	}
}

// judges are the two that decide without a kernel.
type judges struct {
	translator *translate.Translator
	engine     *engine.Engine
	tables     *dataplane.State
}

func newJudges() *judges {
	return &judges{translator: translate.New(stageOptions), engine: engine.New(nil), tables: dataplane.NewState()}
}

func (j *judges) apply(t *testing.T, resources []store.Resource) {
	t.Helper()
	res := j.translator.ApplySorted(store.Batch{Updated: resources})
	for _, s := range res.Statuses {
		if s.State != translate.InForce {
			t.Errorf("%s is %s: %v", s.Key, s.State, s.Findings)
		}
	}
	j.engine.Apply(res.Changes...)
	if d := j.engine.Flush(); d != nil {
		if err := j.tables.Apply(d); err != nil {
			t.Fatal(err)
		}
	}
}

func (j *judges) check(t *testing.T, what string, connections []Connection) {
	t.Helper()
	m := j.translator.Model()
	m.Host = hostSettings()
	reference := evaluate.New(m)
	for i, c := range connections {
		f, err := c.Flow(m)
		if err != nil {
			t.Errorf("%s[%d]: %v", what, i, err)
			continue
		}
		want := reference.Evaluate(f)
		for _, diff := range c.Differences(want) {
			t.Errorf("%s[%d] %s -> %s %s %d: evaluate: %s", what, i, c.From, c.To, f.Protocol, c.Port, diff)
		}
		if strings.HasPrefix(c.From, "node/") || strings.HasPrefix(c.To, "node/") {
			continue // connections of the node itself never meet the tables of pods
		}
		f.HTTP = nil // the tables judge connections
		want = reference.Evaluate(f)
		egress, ingress := j.tables.Decide(f)
		for _, end := range []struct {
			dir policy.Direction
			got dataplane.Verdict
			ref policy.Decision
		}{{policy.Egress, egress, want.Egress}, {policy.Ingress, ingress, want.Ingress}} {
			got := policy.Deny
			if !end.got.Governed || end.got.Allow {
				got = policy.Allow
			}
			if got != end.ref.Verdict {
				t.Errorf("%s[%d] %s -> %s %s %d: %s: the tables say %s, evaluate %s",
					what, i, c.From, c.To, f.Protocol, c.Port, end.dir, got, end.ref.Verdict)
			}
		}
	}
}

func TestUnknownScenario(t *testing.T) {
	_, err := Load(examples.FS, "tires")
	if err == nil || !strings.Contains(err.Error(), `did you mean "tiers"?`) || !strings.Contains(err.Error(), "org-wide") {
		t.Errorf("got %v, want the name that was meant and the list", err)
	}
}

func TestParseExpectedErrors(t *testing.T) {
	const head = "title: t\nconnections:\n"
	for _, tc := range []struct{ text, want string }{
		{"connections: []", "title: expected"},
		{"title: t", "connections: expected"},
		{head + "- {from: a/b, to: c/d, port: 80, verdict: allow}", `connections[0]: verdict: "allow": expected Allow or Deny`},
		{head + "- {from: a/b, to: c/d, verdict: Allow}", "connections[0]: port: TCP needs one"},
		{head + "- {from: a/b, to: c/d, protocol: ICMP, port: 1, verdict: Allow}", "ICMP has no ports"},
		{head + "- {from: a/b, to: c/d, port: 80, verdict: Allow, ingres: x}", `unknown field "ingres"`},
		{head + "- {from: a/b, port: 80, verdict: Allow}", "from, to"},
		{head + "- {from: a/b, to: c/d, port: 80, family: 5, verdict: Allow}", "family: 5"},
	} {
		_, err := parseExpected([]byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want an error with %q", tc.text, err, tc.want)
		}
	}
}

func TestDeciderText(t *testing.T) {
	got := []string{
		DeciderText(nil),
		DeciderText(&policy.Decider{Kind: policy.KindProfile, Name: "kns.web"}),
		DeciderText(&policy.Decider{Tier: "default", Kind: "NetworkPolicy", Namespace: "a", Name: "p", Rule: policy.EndOfTier}),
		DeciderText(&policy.Decider{Tier: "default", Kind: "NetworkPolicy", Namespace: "a", Name: "p", Rule: 2}),
		DeciderText(&policy.Decider{Tier: "security", Kind: "GlobalNetworkPolicy", Name: "g"}),
		DeciderText(&policy.Decider{Kind: policy.KindFailsafe, Failsafe: policy.Failsafe{Protocol: policy.TCP, Port: 22}}),
	}
	want := []string{"no policy", "profile", "default: end of tier", "default: a/p rule 2", "security: g rule 0", "failsafe TCP 22"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNamesAreSorted: the story is told from its beginning.
func TestNamesAreSorted(t *testing.T) {
	names, err := Names(examples.FS)
	if err != nil || !slices.Equal(names[:2], []string{"redis", "tiers"}) || !slices.IsSorted(names[2:]) {
		t.Errorf("%v, %v", names, err)
	}
}
