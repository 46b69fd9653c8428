package democmd

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/demo"
)

// TestBriefView: a line per scenario, and at the end what differs.
func TestBriefView(t *testing.T) {
	row := func(kernel string, differs ...string) *demo.Row {
		return &demo.Row{From: "a/b", To: "c/d", Protocol: "TCP", Port: 80, Family: 4, Policy: "Deny", Kernel: kernel, Differs: differs, Agree: len(differs) == 0}
	}
	good := &demo.ScenarioReport{Name: "redis", Title: "t", Agree: true, Steps: []*demo.Step{{Rows: []*demo.Row{row("Allow"), row("Deny"), row("Deny")}}}}
	bad := &demo.ScenarioReport{Name: "x", Title: "u", Steps: []*demo.Step{{Rows: []*demo.Row{row("Deny")}}, {Why: "w", Live: []*demo.Row{row("Allow", "kernel: Allow, policy says Deny")}}}}
	play := func(scenarios ...*demo.ScenarioReport) string {
		var b bytes.Buffer
		v := &view{w: &b, brief: true}
		v.measure([]string{"redis", "x"})
		r := &demo.Report{Scenarios: scenarios, Agree: true}
		for _, s := range scenarios {
			v.Scenario(s)
			for _, step := range s.Steps {
				v.Step(step)
				for _, row := range append(step.Live, step.Rows...) {
					v.Row(row)
				}
			}
			r.Agree = r.Agree && s.Agree
		}
		v.closing(r)
		return b.String()
	}
	if d := cmp.Diff(`ok  redis   1 allowed,  2 denied  t

1 scenario, 3 connections in 0.0 s: what was promised, what policy says and what the kernel did agree on all of them.
Every connection, and who decided it: tierwall demo --scenario redis, or of all: tierwall demo -v
`, play(good)); d != "" {
		t.Errorf("all agree (-want +got):\n%s", d)
	}
	if d := cmp.Diff(`ok  redis   1 allowed,  2 denied  t
!!  x       1 allowed,  1 denied  u  (1 connection other than promised)

2 scenarios, 5 connections in 0.0 s: 1 of them differ
  x: a/b -> c/d TCP 80: kernel: Allow, policy says Deny
`, play(good, bad)); d != "" {
		t.Errorf("one differs (-want +got):\n%s", d)
	}
}

// TestDemoViewShowsWhatDiffers needs no kernel.
func TestDemoViewShowsWhatDiffers(t *testing.T) {
	var b bytes.Buffer
	view := &view{w: &b}
	row := &demo.Row{
		From: "a/b", To: "c/d", Protocol: "TCP", Port: 80, Family: 4, Policy: "Deny", Kernel: "Allow",
		Egress: "default: end of tier", Ingress: "no policy", Differs: []string{"kernel: Allow, policy says Deny"},
	}
	s := &demo.ScenarioReport{Name: "x", Title: "t", Steps: []*demo.Step{{Rows: []*demo.Row{row}}}}
	view.Scenario(s)
	view.Step(s.Steps[0])
	view.Row(row)
	view.closing(&demo.Report{Scenarios: []*demo.ScenarioReport{s, {Name: "y"}}})
	want := `x: t
    FROM  TO   CONNECTION  POLICY  KERNEL  DECIDED BY
!!  a/b   c/d  TCP 80      Deny    Allow   out  default: end of tier
     kernel: Allow, policy says Deny

2 scenarios, 1 connection in 0.0 s: 1 of them differ
  x: a/b -> c/d TCP 80: kernel: Allow, policy says Deny
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
