package enforceable

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/agent/model"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
)

// rig is a component with a pod, and what a test says the host has.
type rig struct {
	t       *testing.T
	c       *Component
	links   hostlink.Result
	program Programs
	fail    error
	logs    bytes.Buffer
}

func newRig(t *testing.T, grace time.Duration) *rig {
	t.Helper()
	m := model.New("here")
	manifest := `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: web}, spec: {nodeName: here, containers: [{name: c, image: i}]}, status: {phase: Running, podIP: 10.0.0.1}}`
	all, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifest)})
	m.Take(store.Batch{Updated: all, Findings: findings}, func(model.Change) {}, func(translate.Status) {})
	r := &rig{t: t}
	env := component.Env{Model: m, Log: slog.New(slog.NewTextHandler(&r.logs, nil)), Metrics: prometheus.NewRegistry()}
	r.c = New(env, Config{
		Links: func() hostlink.Result { return r.links }, Inspect: func() (Programs, error) { return r.program, r.fail }, Grace: grace,
	})
	return r
}

func (r *rig) step(s component.Step) {
	r.t.Helper()
	if err := r.c.BeforeStep(r.t.Context(), s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) causes() string {
	var list []string
	for _, f := range r.c.Findings() {
		list = append(list, string(f.Cause))
	}
	return strings.Join(list, " ")
}

// logged returns how often the log has a text.
func (r *rig) logged(text string) int { return strings.Count(r.logs.String(), text) }

// TestSaidOnce: a reason is logged when it appears and when it ends, and not while it stays.
func TestSaidOnce(t *testing.T) {
	r := newRig(t, 0)
	r.step(component.Step{})
	if r.causes() != "" {
		t.Fatalf("at first: %s", r.causes())
	}
	r.links.Interfaces = []hostlink.Interface{{Name: "kube-ipvs0"}}
	r.step(component.Step{}) // nothing has changed, for all that is known
	if r.causes() != "" {
		t.Errorf("without a change: %s", r.causes())
	}
	for range 3 {
		r.step(component.Step{LocalChange: true})
	}
	if r.causes() != "IPVS" || r.logged("policy is not enforced") != 1 || r.logged("first=web/a") != 1 {
		t.Errorf("%s\n%s", r.causes(), r.logs.String())
	}
	if got := r.c.Affected()[pod("a")]; got.Cause != IPVS {
		t.Errorf("affected: %v", r.c.Affected())
	}
	r.links.Interfaces = nil
	r.step(component.Step{Resync: true})
	if r.causes() != "" || r.logged("policy is enforced again") != 1 {
		t.Errorf("%s\n%s", r.causes(), r.logs.String())
	}
}

// TestInspectFails: what cannot be read is said once, and takes nothing away.
func TestInspectFails(t *testing.T) {
	r := newRig(t, 0)
	r.program.Engines = []string{"Calico"}
	r.step(component.Step{})
	r.fail, r.program = errors.New("no buffer space"), Programs{Flowtables: []string{"f"}}
	for range 3 {
		r.step(component.Step{Resync: true})
	}
	if r.causes() != "FlowOffload SecondEngine" || r.logged("no buffer space") != 1 {
		t.Errorf("%s\n%s", r.causes(), r.logs.String())
	}
	r.fail = nil
	r.step(component.Step{Resync: true})
	if r.causes() != "FlowOffload" {
		t.Error(r.causes())
	}
}

// TestGrace: a pod that ends loses its interface before the API knows.
func TestGrace(t *testing.T) {
	r := newRig(t, time.Hour)
	r.links.Unknown = []hostlink.Unknown{{Key: pod("a"), Cause: hostlink.NoWay}}
	r.step(component.Step{LocalChange: true})
	if r.causes() != "" {
		t.Error(r.causes())
	}
	r.c.lost[pod("a")] = time.Now().Add(-2 * time.Hour)
	r.step(component.Step{LocalChange: true})
	if r.causes() != "NoHostInterface" {
		t.Error(r.causes())
	}
	r.links.Unknown = nil
	r.step(component.Step{LocalChange: true})
	r.links.Unknown = []hostlink.Unknown{{Key: pod("a"), Cause: hostlink.NoWay}}
	r.step(component.Step{LocalChange: true})
	if r.causes() != "" {
		t.Errorf("the grace does not begin anew: %s", r.causes())
	}
}

// TestNobodyLooks: without interfaces nothing is said.
func TestNobodyLooks(t *testing.T) {
	c := New(component.Env{}, Config{})
	if err := c.BeforeStep(t.Context(), component.Step{Full: true, Resync: true}); err != nil || len(c.Findings()) > 0 || len(c.Affected()) > 0 {
		t.Errorf("%v %v", err, c.Findings())
	}
}
