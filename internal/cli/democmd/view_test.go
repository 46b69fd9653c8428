package democmd

import (
	"bytes"
	"testing"

	"github.com/tierwall/tierwall/internal/demo"
)

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
