package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/examples"
	"github.com/tierwall/tierwall/internal/cli/command"
	"github.com/tierwall/tierwall/internal/demo"
	"github.com/tierwall/tierwall/policy"
)

// TestExplainExamples asks explain for every connection that the examples
// promise a verdict for, as a user would, and reads its JSON and exit code.
func TestExplainExamples(t *testing.T) {
	names, err := demo.Names(examples.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			scenario, err := demo.Load(examples.FS, name)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range scenario.Expected.Connections {
				args := []string{
					"explain", "-f", "../../examples/" + name, "-o", "json",
					"--from", c.From, "--to", c.To, "--protocol", cmp.Or(c.Protocol, "TCP"),
				}
				for flag, n := range map[string]int{"--port": int(c.Port), "--source-port": int(c.SourcePort), "--family": c.Family} {
					if n != 0 {
						args = append(args, flag, strconv.Itoa(n))
					}
				}
				if c.HTTP != nil {
					args = append(args, "--http-method", c.HTTP.Method, "--http-path", c.HTTP.Path)
				}
				var out, errs bytes.Buffer
				code := Run(t.Context(), args, strings.NewReader(""), &out, &errs)
				var got struct {
					Verdict         string
					Egress, Ingress explained
				}
				if err := json.Unmarshal(out.Bytes(), &got); err != nil {
					t.Fatalf("%s: exit %d, %s", strings.Join(args, " "), code, errs.String())
				}
				if wantCode := map[string]int{"Allow": command.ExitOK, "Deny": command.ExitNo}[c.Verdict]; got.Verdict != c.Verdict || code != wantCode {
					t.Errorf("%s: %s, exit %d; want %s, exit %d", strings.Join(args, " "), got.Verdict, code, c.Verdict, wantCode)
				}
				for dir, end := range map[string][2]string{"egress": {deciderText(got.Egress), c.Egress}, "ingress": {deciderText(got.Ingress), c.Ingress}} {
					if end[1] != "" && end[0] != end[1] {
						t.Errorf("%s: %s decided by %q, want %q", strings.Join(args, " "), dir, end[0], end[1])
					}
				}
			}
		})
	}
}

// explained is what explain says of a direction.
type explained struct {
	DecidedBy *struct {
		Tier, Kind, Namespace, Name string
		Rule                        int
	}
}

// deciderText writes a decider of the JSON as the examples write it.
func deciderText(d explained) string {
	if d.DecidedBy == nil {
		return demo.DeciderText(nil)
	}
	if d.DecidedBy.Kind == policy.KindFailsafe {
		return "failsafe " + d.DecidedBy.Name
	}
	return demo.DeciderText(&policy.Decider{
		Tier: d.DecidedBy.Tier, Kind: d.DecidedBy.Kind, Namespace: d.DecidedBy.Namespace, Name: d.DecidedBy.Name, Rule: d.DecidedBy.Rule,
	})
}
