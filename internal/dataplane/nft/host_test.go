package nft

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

func hostOptions(ns string, m *policy.Model) Options {
	return Options{NetNS: ns, KeepConnections: true, Host: dataplane.HostSettings{HostSettings: m.Host}}
}

// onNode returns the engine of a node.
func onNode(name string) *engine.Engine {
	return engine.New(func(ep *policy.Endpoint) bool { return ep.Node == name })
}

// onNodeA returns the engine of node-a.
func onNodeA() *engine.Engine { return onNode("node-a") }

// TestKernelAgreesWithStateOfHosts takes steps from one model with host endpoints
// to others, and after each holds all that the kernel has against what it should
// have, and what its chains say at every hook against what the state says.
func TestKernelAgreesWithStateOfHosts(t *testing.T) {
	ns := newNamespace(t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		var before *policy.Model
		m := modeltest.ModelsWithHosts().Draw(t, "model")
		b, err := New(hostOptions(ns, m))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = b.Close() }()
		e := onNodeA()
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			e.Apply(modeltest.Changes(before, m)...)
			if d := e.Flush(); d != nil {
				if err := b.Apply(ctx, d); err != nil {
					t.Fatal(err)
				}
			}
			if b.rewrites > 0 {
				t.Fatal("the kernel refused a step")
			}
			if findings, err := b.compare(); err != nil || len(findings) > 0 {
				t.Fatalf("the kernel differs from what was written: %q %v", findings, err)
			}
			k, err := b.ReadBack(ctx)
			if err != nil {
				t.Fatal(err)
			}
			flows := modeltest.Flows(m)
			for range 10 {
				f := flows.Draw(t, "flow")
				for _, hook := range policy.Hooks {
					for _, iface := range []string{"eth0", "eth1", "other"} {
						at := dataplane.AttachmentKey{Node: "node-a", Hook: hook, Interface: iface}
						if got, want := k.DecideHost(at, f), b.state.DecideHost(at, f); got.Allow != want.Allow || got.Decider != want.Decider {
							t.Fatalf("%v of %+v: got %+v, want %+v\n%v", at, f, got, want, b.state)
						}
					}
				}
			}
			before, m = m, modeltest.ModelsWithHosts().Draw(t, "next model")
		}
	})
}

// TestStockNFTPrintsHosts has the nft program print the chains of host endpoints.
func TestStockNFTPrintsHosts(t *testing.T) {
	l := newLab(t)
	b, err := New(Options{NetNS: nodeNS(l), KeepConnections: true, Host: dataplane.HostSettings{HostSettings: policy.HostSettings{
		FailsafeIn: []policy.Failsafe{{Protocol: policy.TCP, Port: 22}}, EndpointToHost: policy.Deny,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	e := onNodeA()
	e.Apply(hostObjects(t)...)
	apply(t, b, e.Flush())
	text := stockNFT(t, l, "list ruleset")
	for _, want := range []string{
		"type filter hook input priority filter - 10; policy accept;",
		"type filter hook prerouting priority mangle; policy accept;",
		"type filter hook prerouting priority raw; policy accept;",
		"type filter hook output priority raw; policy accept;",
		`iifname "lo" return`,
		"meta l4proto . th dport @host-failsafe-in return",
		"tcp . 22",
		`"eth0" : goto host-input4-at-eth0`,
		"meta mark & 0x00002000 != 0x00000000 return",
		"meta mark set meta mark | 0x00002000",
		"notrack return",
		"jump host-forward-in4",
		"icmpv6 type",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nft does not print %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
