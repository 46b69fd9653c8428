package dataplane_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/policy"
)

func TestStateAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := dataplane.NewState(), tabletest.Empty()
		next := tabletest.First()
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			checkInverse(t, s, m.Step(next))
			checkMayDeny(t, s, m, next)
			if err := s.Apply(m.Step(next)); err != nil {
				t.Fatal(err)
			}
			m = next
			for range 20 {
				f := m.DrawFlow(t)
				egress, ingress := s.Decide(f)
				wantEgress, wantIngress := m.Decide(f)
				if got, want := s.DecideToNode(f), m.DecideToNode(f); got != want && !f.IsNeighbourDiscovery() {
					t.Fatalf("%+v to its own node: got %v, want %v", f, got, want)
				}
				if egress != wantEgress || ingress != wantIngress {
					t.Fatalf("%+v: got %v %v, want %v %v\n%v", f, egress, ingress, wantEgress, wantIngress, s)
				}
			}
			next = m.Next(t)
		}
		scratch := dataplane.NewState()
		if err := scratch.Apply(s.Full()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(scratch.String(), s.String()); diff != "" {
			t.Fatalf("step by step differs from scratch (-scratch +steps):\n%s", diff)
		}
		if err := s.Apply(m.Step(m)); err != nil {
			t.Fatalf("an empty step: %v", err)
		}
		// Back to the beginning: every count of references must fit.
		if err := s.Apply(m.Step(tabletest.First())); err != nil {
			t.Fatal(err)
		}
	})
}

// checkInverse goes one step and back. The very first step has no way back:
// every family always has a class.
func checkInverse(t *rapid.T, s *dataplane.State, d *dataplane.Delta) {
	if len(s.Classes()) == 0 {
		return
	}
	before := s.String()
	inverse, _, err := s.Advance(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(inverse); err != nil {
		t.Fatalf("inverse: %v", err)
	}
	if diff := cmp.Diff(before, s.String()); diff != "" {
		t.Fatalf("the inverse does not lead back:\n%s", diff)
	}
}

// checkMayDeny looks for a flow that a step denies, where the state says that
// there can be none.
func checkMayDeny(t *rapid.T, s *dataplane.State, m, next *tabletest.Model) {
	if len(s.Classes()) == 0 || s.MayDeny(m.Step(next)) {
		return
	}
	for range 50 {
		f := m.DrawFlow(t)
		e1, i1 := m.Decide(f)
		e2, i2 := next.Decide(f)
		if e1.Allow && !e2.Allow || i1.Allow && !i2.Allow {
			t.Fatalf("%+v: %v %v becomes %v %v", f, e1, i1, e2, i2)
		}
		if was, is := m.DecideToNode(f), next.DecideToNode(f); was.Allow && !is.Allow {
			t.Fatalf("%+v to its own node: %v becomes %v", f, was, is)
		}
	}
}

var (
	all  = dataplane.FullRange
	tcp  = policy.TCP
	pod  = netip.MustParseAddr("10.0.0.1")
	web  = dataplane.Row{{0, 5, all, all, false, 2}, {tcp, tcp, dataplane.Range{0, 79}, all, false, 2}, {tcp, tcp, dataplane.Range{80, 80}, all, true, 1}, {tcp, tcp, dataplane.Range{81, 65535}, all, false, 2}, {7, 255, all, all, false, 2}}
	none = dataplane.Row{{0, 255, all, all, false, 2}}
)

// first returns a small delta from nothing.
func first() *dataplane.Delta {
	return &dataplane.Delta{
		AddDeciders: []dataplane.Decider{
			{ID: 1, Direction: policy.Ingress, By: policy.Decider{Tier: "default", Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "web"}},
			{ID: 2, Direction: policy.Ingress, By: policy.Decider{Tier: "default", Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "web", Rule: policy.EndOfTier}},
		},
		AddRows:     map[dataplane.RowID]dataplane.Row{1: web, 2: none},
		SetPrograms: []dataplane.Program{{ID: 1, Base: 2}},
		SetCells:    []dataplane.Cell{{Program: 1, Class: 3, Row: 1}},
		SetLocals:   []dataplane.Local{{Addr: pod, Ingress: 1}},
		SetAddrs:    map[netip.Addr]dataplane.ClassID{pod.Next(): 3},
		SetNets:     map[netip.Prefix]dataplane.ClassID{dataplane.WholeFamilies[0]: 1, dataplane.WholeFamilies[1]: 2},
		AddClasses:  []dataplane.ClassID{1, 2, 3},
	}
}

func TestStateDump(t *testing.T) {
	s := dataplane.NewState()
	if err := s.Apply(first()); err != nil {
		t.Fatal(err)
	}
	want := `decider d1 ingress default/NetworkPolicy shop/web rule 0
decider d2 ingress default/NetworkPolicy shop/web end
row r1
  proto 0-5 deny d2
  proto TCP dst 0-79 deny d2
  proto TCP dst 80 allow d1
  proto TCP dst 81-65535 deny d2
  proto 7-255 deny d2
row r2
  proto 0-255 deny d2
program p1 base r2
  c3 r1
local 10.0.0.1 ingress p1
class c1
class c2
class c3
addr 10.0.0.2 c3
net 0.0.0.0/0 c1
net ::/0 c2
`
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStateRefuses(t *testing.T) {
	other := netip.MustParseAddr("fd00::1")
	cases := []struct {
		name string
		d    dataplane.Delta
		want string
	}{
		{"row that is used", dataplane.Delta{DelRows: []dataplane.RowID{1}}, "row 1 is deleted, but 1 programs and cells refer to it"},
		{"decider that is used", dataplane.Delta{DelDeciders: []dataplane.DeciderID{1}}, "decider 1 is deleted, but 1 regions refer to it"},
		{"class that is used", dataplane.Delta{DelClasses: []dataplane.ClassID{3}}, "class 3 is deleted, but 1 addresses and nets refer to it"},
		{"class with a cell", dataplane.Delta{DelClasses: []dataplane.ClassID{3}, DelAddrs: []netip.Addr{pod.Next()}}, "class 3 is deleted, but 1 cells refer to it"},
		{"program that is used", dataplane.Delta{DelPrograms: []dataplane.ProgramID{1}}, "program 1 is deleted, but 1 locals refer to it"},
		{"the world", dataplane.Delta{DelNets: []netip.Prefix{dataplane.WholeFamilies[0]}}, "net 0.0.0.0/0: has no class"},
		{"unknown row", dataplane.Delta{SetCells: []dataplane.Cell{{Program: 1, Class: 1, Row: 9}}}, "cell 1/1: there is no row 9"},
		{"cell like base", dataplane.Delta{SetCells: []dataplane.Cell{{Program: 1, Class: 1, Row: 2}}}, "cell 1/1: row 2 is the program's base, so it needs no cell"},
		{"base like cell", dataplane.Delta{SetPrograms: []dataplane.Program{{ID: 1, Base: 1}}}, "cell 1/3: row 1 is the program's base now, so it needs no cell"},
		{"two families in a class", dataplane.Delta{SetAddrs: map[netip.Addr]dataplane.ClassID{other: 3}}, "class 3: holds addresses of both families"},
		{"two directions of a program", dataplane.Delta{SetLocals: []dataplane.Local{{Addr: pod.Next(), Egress: 1}}}, "program 1: is for more than one direction or family"},
		{"mapped address", dataplane.Delta{DelLocals: []netip.Addr{pod}, SetLocals: []dataplane.Local{{Addr: netip.AddrFrom16(pod.As16())}}}, "local ::ffff:10.0.0.1: is an IPv4-mapped IPv6 address; write it as IPv4"},
		{"single address as net", dataplane.Delta{SetNets: map[netip.Prefix]dataplane.ClassID{netip.PrefixFrom(pod, 32): 1}}, "net 10.0.0.1/32: a single address belongs into SetAddrs"},
		{"unsorted", dataplane.Delta{DelRows: []dataplane.RowID{2, 1}}, "DelRows[1] is not sorted behind the one before it"},
		{"gap", dataplane.Delta{AddRows: map[dataplane.RowID]dataplane.Row{9: {web[0], web[1], web[3], web[4]}}}, "row 9: protocol TCP: no region holds 80 from 0"},
		{"overlap", dataplane.Delta{AddRows: map[dataplane.RowID]dataplane.Row{9: {web[0], web[1], web[2], {tcp, tcp, dataplane.Range{80, 65535}, all, true, 1}, web[4]}}}, "row 9: region 3 is not sorted behind the one before it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := dataplane.NewState()
			if err := s.Apply(first()); err != nil {
				t.Fatal(err)
			}
			before := s.String()
			err := s.Apply(&c.d)
			if err == nil || strings.TrimPrefix(err.Error(), "delta: ") != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if diff := cmp.Diff(before, s.String()); diff != "" {
				t.Errorf("a refused delta changed the state:\n%s", diff)
			}
		})
	}
}
