package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/tierwall/tierwall/examples"
	"github.com/tierwall/tierwall/internal/lab"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

// recorder notes what an observer is told.
type recorder struct {
	t     *testing.T
	rows  []*Row
	names []string
	steps int
}

func (r *recorder) Scenario(s *ScenarioReport) {
	r.names = append(r.names, s.Name)
	for _, row := range s.rows() {
		if row.Policy == "" || row.Kernel != "" {
			r.t.Errorf("before the packets, %s -> %s: policy %q, kernel %q", row.From, row.To, row.Policy, row.Kernel)
		}
	}
}

func (r *recorder) Step(*Step)   { r.steps++ }
func (r *recorder) Row(row *Row) { r.rows = append(r.rows, row) }

// TestDemo plays every scenario with real packets.
func TestDemo(t *testing.T) {
	lab.Require(t)
	show := &recorder{t: t}
	report, err := Run(context.Background(), Options{Scenarios: examples.FS, Observer: show})
	if err != nil {
		t.Fatal(err)
	}
	if report.Lab() != nil {
		t.Error("a lab is left")
	}
	var rows []*Row
	steps := 0
	for _, s := range report.Scenarios {
		steps += len(s.Steps)
		for _, row := range s.rows() {
			rows = append(rows, row)
			if !row.Agree {
				t.Errorf("%s: %s -> %s %s: %v", s.Name, row.From, row.To, row.Service(), row.Differs)
			}
		}
	}
	if !slices.Equal(rows, show.rows) || steps != show.steps {
		t.Errorf("the observer saw %d rows and %d steps, the report has %d and %d", len(show.rows), show.steps, len(rows), steps)
	}
	names, _ := Names(examples.FS)
	if !slices.Equal(names, show.names) || report.Agree == t.Failed() {
		t.Errorf("played %v, agree: %v", show.names, report.Agree)
	}
	if _, err := json.Marshal(report); err != nil {
		t.Error(err)
	}
}

func TestKeepLeavesTheLastLab(t *testing.T) {
	lab.Require(t)
	report, err := Run(context.Background(), Options{
		Scenarios: examples.FS, Names: []string{"org-pod", "redis"}, Observer: &recorder{t: t}, Keep: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if l := report.Lab(); l == nil || l.Host("app-ns/redis-1") == nil {
		t.Error("the lab of the last scenario is not there")
	}
	for range 2 {
		if err := report.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	lab.Require(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := Run(ctx, Options{Scenarios: examples.FS, Names: []string{"redis"}, Observer: &recorder{t: t}}); err == nil {
		t.Errorf("no error after the context ended: %+v", r)
	}
}
