package verify

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// tables compiles a model.
func tables(t interface{ Fatal(...any) }, m *policy.Model) *dataplane.State {
	e, s := engine.New(nil), dataplane.NewState()
	for _, c := range modeltest.Changes(&policy.Model{}, m) {
		e.Apply(c)
	}
	if d := e.Flush(); d != nil {
		if err := s.Apply(d); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRandomModelsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := modeltest.Models().Draw(t, "model")
		s := tables(t, m)
		rep, err := Run(context.Background(), Input{Model: m, Tables: s, Kernel: s})
		if err != nil {
			t.Fatal(err)
		}
		if rep.Differences > 0 {
			t.Fatalf("%d of %d decisions differ, the first: %s", rep.Differences, rep.Decisions, rep.First[0])
		}
	})
}

// liar is a kernel in which the verdict on one port is turned around.
type liar struct {
	*dataplane.State
	port uint16
}

func (l liar) Decide(f policy.Flow) (egress, ingress dataplane.Verdict) {
	egress, ingress = l.State.Decide(f)
	if f.Protocol == policy.TCP && f.DstPort == l.port {
		ingress.Allow = !ingress.Allow
	}
	return egress, ingress
}

func TestFindsEveryRegion(t *testing.T) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 2, Workloads: 3, Replicas: 1})
	s := tables(t, m)
	var last, calls int
	rep, err := Run(context.Background(), Input{Model: m, Tables: s, Kernel: s, Progress: func(done, total int) {
		calls++
		if last = done; done > total {
			t.Errorf("%d of %d done", done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Differences != 0 || rep.Decisions == 0 || last != rep.Decisions || calls == 0 {
		t.Errorf("report %+v, progress ended at %d", rep, last)
	}
	// 8080 is a region of its own: a kernel that is wrong there only is found out.
	rep, err = Run(context.Background(), Input{Model: m, Tables: s, Kernel: liar{s, 8080}})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Differences == 0 || len(rep.First) > MaxDifferences {
		t.Fatalf("the lie was not found: %+v", rep)
	}
	if got := rep.First[0].String(); !strings.Contains(got, ":8080 TCP ingress: the kernel says") {
		t.Errorf("difference reads %q", got)
	}
}

// stale is a kernel that still holds the tables of an earlier model, and says
// where they change.
type stale struct {
	*dataplane.State
	bounds dataplane.Boundaries
}

func (s stale) Boundaries() dataplane.Boundaries { return s.bounds }

// TestFindsWhatShouldBeGone: the kernel opens a port that no policy of the model
// names, and governs an address that is no endpoint of it.
func TestFindsWhatShouldBeGone(t *testing.T) {
	ep := func(name, addr string) *policy.Endpoint {
		return &policy.Endpoint{
			Key: policy.Key{Kind: policy.KindPod, Namespace: "a", Name: name}, Profiles: []string{"kns.a"},
			Addrs: []netip.Addr{netip.MustParseAddr(addr)},
		}
	}
	tcp := policy.TCP
	opening := &policy.Policy{
		Key: policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"}, Tier: "default", Selector: selector.All(), Types: [2]bool{true, true},
	}
	opening.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, Protocol: &tcp, Destination: policy.Peer{
		Ports: &policy.Ports{Ranges: []policy.PortRange{{First: 8443, Last: 8443}}},
	}}}
	closed := *opening
	closed.Rules[policy.Ingress] = nil
	now := &policy.Model{Tiers: policy.FixedTiers(), Policies: []*policy.Policy{&closed}, Endpoints: []*policy.Endpoint{ep("x", "10.0.0.1")}}
	for name, before := range map[string]*policy.Model{
		"a port":      {Tiers: now.Tiers, Policies: []*policy.Policy{opening}, Endpoints: now.Endpoints},
		"an endpoint": {Tiers: now.Tiers, Policies: now.Policies, Endpoints: append([]*policy.Endpoint{ep("y", "10.0.0.2")}, now.Endpoints...)},
	} {
		t.Run(name, func(t *testing.T) {
			kernel := stale{State: tables(t, before)}
			for _, l := range kernel.Locals() {
				kernel.bounds.Locals = append(kernel.bounds.Locals, l.Addr)
			}
			kernel.bounds.Points = []policy.Flow{{Protocol: policy.TCP, DstPort: 8443, SrcPort: 49152}}
			rep, err := Run(context.Background(), Input{Model: now, Tables: tables(t, now), Kernel: kernel})
			if err != nil {
				t.Fatal(err)
			}
			if rep.Differences == 0 {
				t.Error("not found")
			}
		})
	}
}

func TestEndsWithItsContext(t *testing.T) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 2, Workloads: 3, Replicas: 1})
	s := tables(t, m)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Input{Model: m, Tables: s, Kernel: s}); err == nil {
		t.Error("no error after the context ended")
	}
}

func TestLast(t *testing.T) {
	for p, want := range map[string]string{
		"10.0.0.0/8": "10.255.255.255", "0.0.0.0/0": "255.255.255.255", "10.1.2.3/32": "10.1.2.3",
		"fd00::/126": "fd00::3", "::/0": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		if got := last(netip.MustParsePrefix(p)); got != netip.MustParseAddr(want) {
			t.Errorf("%s ends at %s, want %s", p, got, want)
		}
	}
}

// BenchmarkRun verifies a node of a production-shaped cluster: 110 local
// endpoints, 1,200 in all.
func BenchmarkRun(b *testing.B) {
	m := modeltest.Cluster(1, modeltest.ClusterSize{Namespaces: 20, Workloads: 6, Replicas: 10})
	e, s := engine.New(modeltest.IsLocal), dataplane.NewState()
	e.Apply(modeltest.Changes(&policy.Model{}, m)...)
	if err := s.Apply(e.Flush()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rep, err := Run(context.Background(), Input{Model: m, Tables: s, Kernel: s})
		if err != nil || rep.Differences > 0 {
			b.Fatal(rep, err)
		}
		b.ReportMetric(float64(rep.Decisions), "decisions")
	}
}
