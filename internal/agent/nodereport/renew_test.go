package nodereport

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/enforceable"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/policy"
)

// ready is a loop whose kernel holds everything.
type ready struct{ component.Loop }

func (ready) NotReady() string { return "" }

// allEnforceable knows of no endpoint that policy is not in force for.
type allEnforceable struct{}

func (allEnforceable) Findings() []enforceable.Finding             { return nil }
func (allEnforceable) Affected() map[policy.Key]enforceable.Reason { return nil }

// TestRenewed: a report of which nothing changes is renewed in time, also after the API server was away.
func TestRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		var away atomic.Bool
		written := func() []time.Time {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(times)
		}
		start := time.Now()
		c := New(component.Env{Loop: ready{}, Node: "n", Model: model.New("n"), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}, Config{
			Write: func(_ context.Context, r *v1alpha1.NodePolicyReport) error {
				if away.Load() {
					return errors.New("nobody there")
				}
				if !r.Report.Renewed.Time.Equal(time.Now().Truncate(time.Second)) {
					t.Errorf("renewed %v at %v", r.Report.Renewed, time.Now())
				}
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Now())
				return nil
			},
			Applied: func() time.Time { return start }, NotEnforceable: allEnforceable{}, CutOff: func() []string { return nil },
			Host: func() hostlink.Result { return hostlink.Result{} }, Nodes: func() int { return 1 },
		})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		c.AfterStep(ctx, component.Result{})
		limit := v1alpha1.OverdueAfter(1)
		time.Sleep(time.Hour)
		writes := written()
		for i := 1; i < len(writes); i++ {
			if d := writes[i].Sub(writes[i-1]); d > limit/2 {
				t.Errorf("not renewed for %v", d)
			}
		}
		if n := len(writes); n < 30 || n > 45 {
			t.Errorf("%d reports in an hour", n)
		}
		away.Store(true)
		time.Sleep(time.Hour)
		away.Store(false)
		back, before := time.Now(), len(written())
		time.Sleep(limit)
		writes = written()
		if len(writes) == before || writes[before].Sub(back) > limit/2 {
			t.Errorf("not renewed soon after the server is back: %v, and it is back %v", writes[before:], back)
		}
	})
}
