package engine

import (
	"slices"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// What is kept once is told apart by every field. Who adds a field to one of these
// types, and has a key not know of it, sees its name here. The exceptions say why two
// that differ there are the same to an engine.

func TestEveryFieldOfARuleTellsRulesApart(t *testing.T) {
	same := map[string]string{
		"HTTP":                      "requests are decided where they are known, never by tables",
		"HTTP.Methods":              "see HTTP",
		"HTTP.Methods[]":            "see HTTP",
		"HTTP.Paths":                "see HTTP",
		"HTTP.Paths[].Exact":        "see HTTP",
		"HTTP.Paths[].Prefix":       "see HTTP",
		"Source.Set.AsWritten":      "it is for readers",
		"Source.NotSet.AsWritten":   "it is for readers",
		"Destination.Set.AsWritten": "it is for readers", "Destination.NotSet.AsWritten": "it is for readers",
	}
	for _, dir := range policy.Directions {
		e := New(nil)
		inForce := func(r policy.Rule) uint32 {
			p := &policy.Policy{Types: [2]bool{true, true}}
			p.Rules[dir] = []policy.Rule{r}
			return e.compile(p).rules[dir][0]
		}
		base := modeltest.Filled[policy.Rule]()
		checkKeys(t, base, same, inForce)
		if got := inForce(base); got != 1 {
			t.Errorf("%v: the same rule again is number %d, want 1", dir, got)
		}
	}
}

func TestEveryFieldOfAPolicyMakesAnotherVersion(t *testing.T) {
	e := New(nil)
	key := policy.Key{Kind: "K", Name: "n"}
	version := func(p policy.Policy) *policyEntry {
		e.setPolicy(key, &p)
		return e.policies.at(e.policies.find(hashKey(key)))
	}
	base := modeltest.Filled[policy.Policy]()
	for _, v := range modeltest.Variants(base) {
		was := version(base)
		if version(base) != was {
			t.Fatal("the same policy again is another version")
		}
		if version(v.Value) == was {
			t.Errorf("%s: what differs in it is the same version", v.Path)
		}
	}
}

func TestEveryFieldOfAPortTellsIdentitiesApart(t *testing.T) {
	e := New(nil)
	checkKeys(t, modeltest.Filled[policy.NamedPort](), nil, func(p policy.NamedPort) uint32 {
		return e.retainIdentity(nil, []policy.NamedPort{p})
	})
}

func TestEveryFieldOfARegionTellsRowsApart(t *testing.T) {
	e := New(nil)
	for d := range dataplane.DeciderID(10_000) {
		e.ruleRefs.byID[d] = &ruleRefEntry{}
	}
	checkKeys(t, modeltest.Filled[dataplane.Region](), nil, func(r dataplane.Region) uint32 {
		return uint32(e.retainRow(dataplane.Row{r}))
	})
}

// checkKeys demands that values which differ in one field have other numbers, unless
// the path of the field is among the exceptions: then they have the same.
func checkKeys[T any](t *testing.T, base T, same map[string]string, number func(T) uint32) {
	t.Helper()
	want := number(base)
	met := map[string]bool{}
	for _, v := range modeltest.Variants(base) {
		met[v.Path] = true
		_, exception := same[v.Path]
		switch got := number(v.Value); {
		case got == want && !exception:
			t.Errorf("%s: what differs in it is the same", v.Path)
		case got != want && exception:
			t.Errorf("%s: what differs in it is told apart, though %s", v.Path, same[v.Path])
		}
	}
	for path := range same {
		if !met[path] {
			t.Errorf("%s: an exception for a field that there is not", path)
		}
	}
}

// A peer that demands only one thing demands something.
func TestEveryFieldOfAPeerIsADemand(t *testing.T) {
	filled := modeltest.Filled[policy.Peer]()
	ports := []string{"Ports", "NotPorts"}
	for _, only := range modeltest.Only(filled) {
		if got, want := only.Value.ConstrainsAddress(), !slices.Contains(ports, only.Path); got != want {
			t.Errorf("%s alone constrains the address: %v, want %v", only.Path, got, want)
		}
		e := New(nil)
		id := e.retainRule(policy.Ingress, policy.Decider{}, &policy.Rule{Action: policy.Allow, Source: only.Value})
		if e.rules.at(id).matchesAll() {
			t.Errorf("a rule that demands only %s of its source matches everything", only.Path)
		}
	}
}
