package engine_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/evaluate"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// state is one state of the model, with a name for messages.
type state struct {
	name  string
	model *policy.Model
}

// script is a way through states: each step is the changes up to the next
// flush, and the model that must be in force after it (nil: not looked at).
type script []scriptStep

type scriptStep struct {
	name    string
	changes []policy.Change
	after   *policy.Model
}

// expansions are the ways in which a list of states is run through.
var expansions = []struct {
	name   string
	expand func([]state) script
}{
	{"forward", forward},
	{"reversed", func(list []state) script {
		list = slices.Clone(list)
		slices.Reverse(list)
		return forward(list)
	}},
	{"emptied between", func(list []state) script {
		var out []state
		for _, s := range list {
			out = append(out, s, state{"nothing", &policy.Model{}})
		}
		return forward(out)
	}},
	{"split", func(list []state) script { return split(forward(list), false) }},
	{"split, backwards", func(list []state) script { return split(forward(list), true) }},
	{"squashed", func(list []state) script {
		var all scriptStep
		for _, s := range forward(list) {
			all = scriptStep{s.name, append(all.changes, s.changes...), s.after}
		}
		return script{all}
	}},
	{"squashed in pairs", func(list []state) script {
		var out script
		for i, s := range forward(list) {
			if i%2 == 1 {
				last := &out[len(out)-1]
				*last = scriptStep{s.name, append(last.changes, s.changes...), s.after}
			} else {
				out = append(out, s)
			}
		}
		return out
	}},
	{"to and fro", func(list []state) script {
		var out []state
		for i, s := range list {
			if out = append(out, s); i > 0 {
				out = append(out, list[i-1], s)
			}
		}
		return forward(out)
	}},
}

// forward goes from nothing through all states and back to nothing.
func forward(list []state) script {
	var out script
	before := &policy.Model{}
	for _, s := range append(slices.Clone(list), state{"nothing", &policy.Model{}}) {
		out = append(out, scriptStep{s.name, modeltest.Changes(before, s.model), s.model})
		before = s.model
	}
	return out
}

// split flushes after every change.
func split(s script, backwards bool) script {
	var out script
	for _, step := range s {
		changes := slices.Clone(step.changes)
		if backwards {
			slices.Reverse(changes)
		}
		for _, c := range changes {
			out = append(out, scriptStep{step.name + ": " + c.Key.String(), []policy.Change{c}, nil})
		}
		out = append(out, scriptStep{step.name, nil, step.after})
	}
	return out
}

// run goes through a script and judges the tables wherever it says what must be
// in force.
func (s script) run(t fataler) {
	t.Helper()
	e, tb := engine.New(nil), newTables()
	for _, step := range s {
		e.Apply(step.changes...)
		tb.mustApply(t, e.Flush())
		if step.after == nil {
			continue
		}
		sameTables(t, tb, fromScratch(t, step.after), step.name)
		ev := evaluate.New(step.after)
		for _, f := range gridOf(step.after) {
			if judged(step.after, f) {
				sameVerdicts(t, tb, ev, f)
			}
		}
	}
	if n := len(tb.programs) + len(tb.rows) + len(tb.locals) + len(tb.addrs); n > 0 {
		t.Fatalf("nothing is in force, and yet: %v", tb.canonical())
	}
}

// gridOf returns flows between every endpoint and some addresses, both ways, on a few ports.
func gridOf(m *policy.Model) []policy.Flow {
	points := modeltest.PointsOf(m)
	var out []policy.Flow
	for _, ep := range m.Endpoints {
		for _, self := range ep.Addrs {
			family := 0
			if !self.Is4() {
				family = 1
			}
			for i, peer := range points.Addrs[family] {
				l4 := policy.Flow{Protocol: policy.TCP, SrcPort: 50000, DstPort: points.Ports[i%len(points.Ports)]}
				switch i % 4 {
				case 1:
					l4.Protocol = policy.UDP
				case 2:
					l4.DstPort = 80
				case 3:
					l4 = policy.Flow{Protocol: policy.ICMP, ICMPType: 8}
				}
				there, back := l4, l4
				there.Src, there.Dst = self, peer
				back.Src, back.Dst = peer, self
				out = append(out, there, back)
			}
		}
	}
	return out
}

func TestStates(t *testing.T) {
	for _, x := range expansions {
		t.Run(x.name, func(t *testing.T) { x.expand(namedStates()).run(t) })
	}
}

func TestRandomStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []state
		for _, m := range rapid.SliceOfN(modeltest.Models(), 1, 4).Draw(t, "models") {
			t.Logf("%v", modeltest.Text{Model: m})
			list = append(list, state{"random", m})
		}
		x := rapid.SampledFrom(expansions).Draw(t, "expansion")
		x.expand(list).run(t)
	})
}
