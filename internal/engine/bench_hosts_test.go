package engine_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/policy"
)

// benchHosts returns an engine, after its first flush, with one host endpoint of the
// node, for all interfaces, and so many policies for it: see modeltest.HostPolicies.
func benchHosts(n int) *engine.Engine {
	e := engine.New(modeltest.IsLocal)
	e.Apply(modeltest.Changes(nil, modeltest.HostPolicies(n))...)
	e.Flush()
	return e
}

var hostPolicyCounts = []int{1, 100, 1_000}

// benchTurns flushes one of several changes after the other.
func benchTurns(b *testing.B, e *engine.Engine, changes ...policy.Change) {
	b.ReportAllocs()
	i := 0
	var d *dataplane.Delta
	for b.Loop() {
		e.Apply(changes[i%len(changes)])
		if d = e.Flush(); d == nil {
			b.Fatal("nothing changed")
		}
		i++
	}
	b.ReportMetric(float64(len(d.SetCells)), "cells")
	b.ReportMetric(float64(len(d.SetPrograms)+len(d.SetHosts)), "programs+attachments")
}

// One rule of one policy that applies to a host endpoint changes its port.
func BenchmarkHostPolicyChange(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchTurns(b, benchHosts(n), modeltest.HostPolicyChange(n/2, 8443), modeltest.HostPolicyChange(n/2, 8080))
		})
	}
}

// A policy comes to a host endpoint, in the middle of the others, and goes again. (The
// last policy of a tier is who decides at its end: if that is another one, all rows are.)
func BenchmarkHostPolicyComes(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			c := modeltest.HostPolicyChange(n/2, 9090)
			p := *c.Object.(*policy.Policy)
			p.Key.Name, p.Order = "between", float64(n/2)-0.5
			c = policy.Change{Key: p.Key, Object: &p}
			benchTurns(b, benchHosts(n), c, policy.Change{Key: c.Key})
		})
	}
}

// A net comes to the set that one of the policies of a host endpoint allows, and
// goes again.
func BenchmarkHostSetChange(b *testing.B) {
	for _, n := range hostPolicyCounts {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			benchTurns(b, benchHosts(n),
				modeltest.HostSetChange(n/2, netip.MustParsePrefix("203.0.113.0/24")), modeltest.HostSetChange(n/2))
		})
	}
}
