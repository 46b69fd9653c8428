package agentcmd

import (
	"strings"
	"testing"
	"time"

	"github.com/tierwall/tierwall/internal/agent"
	"github.com/tierwall/tierwall/internal/cli/command"
)

// TestStatusSaysWhatIsNotInForce: the header never says more than is true, and the exit code says
// the same.
func TestStatusSaysWhatIsNotInForce(t *testing.T) {
	since := time.Date(2026, 3, 1, 10, 0, 0, 0, time.Local)
	invalid := agent.ObjectStatus{Kind: "NetworkPolicy", Namespace: "shop", Name: "db", State: "last valid version in force", Findings: []string{"db.yaml:4: wrong"}}
	for name, tc := range map[string]struct {
		st   agent.Status
		code int
		want []string
	}{
		"all is well": {agent.Status{Ready: true}, 0, []string{"policy           in force\n"}},
		"only a note": {
			agent.Status{Ready: true, Objects: []agent.ObjectStatus{{Kind: "Profile", Name: "p", State: "in force", Notes: []string{"by the way"}}}}, 0,
			[]string{"policy           in force\n", "1 note:\n  by the way\n"},
		},
		"an invalid object": {
			agent.Status{Ready: true, Invalid: 1, Objects: []agent.ObjectStatus{invalid}}, command.ExitNo,
			[]string{"policy           in force, but 1 object is not in the version that the store has\n", "1 error:\n  db.yaml:4: wrong\n"},
		},
		"several": {
			agent.Status{Ready: true, Invalid: 2, Objects: []agent.ObjectStatus{invalid}}, command.ExitNo,
			[]string{"in force, but 2 objects are not in the version that the store has\n"},
		},
		"a file that cannot be read": {
			agent.Status{Ready: true, Findings: []string{"x.yaml: cannot be read"}}, command.ExitNo,
			[]string{"in force, but there are errors\n", "1 error:\n  x.yaml: cannot be read\n"},
		},
		"a store out of reach": {
			agent.Status{Store: "kube", Ready: true, Stale: &agent.StaleStatus{Since: since, Seconds: 192}, Findings: []string{"cannot be reached"}}, command.ExitNo,
			[]string{"store            kube, which cannot be followed since 2026-03-01 10:00:00 (3m12s)\n", "policy           in force, but as it was read before 2026-03-01 10:00:00\n"},
		},
		"not ready": {agent.Status{NotReady: "nothing was programmed yet"}, command.ExitNo, []string{"policy           nothing was programmed yet\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := statusOf(t, &tc.st)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}
