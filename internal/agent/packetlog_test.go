package agent

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/lab"
)

const logPolicy = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: all()
  types: [Ingress]
  ingress:
  - {action: Log, protocol: TCP, destination: {ports: ["20:9000"]}}
  - {action: Allow, protocol: TCP, destination: {ports: [5432]}}
`

// TestLogAction has the kernel log what a rule with action Log matches, and the
// agent write it, with what was decided afterwards.
func TestLogAction(t *testing.T) {
	h := newHost(t)
	h.write("policy.yaml", logPolicy)
	agent := h.startAgent()
	if got := h.probe(5432); got != lab.Allowed {
		t.Errorf("port 5432: %s", got)
	}
	if got := h.probe(22); got != lab.Denied {
		t.Errorf("port 22: %s", got)
	}
	if got := h.probe(9999); got != lab.Denied {
		t.Errorf("port 9999: %s", got)
	}
	const rule = `msg=packet rule="default/NetworkPolicy shop/db rule 0" direction=ingress`
	for _, want := range []string{
		rule + ` verdict=Allow decided-by="default/NetworkPolicy shop/db rule 1" protocol=TCP src=10.0.0.2 dst=10.0.0.1`,
		rule + ` verdict=Deny decided-by="default/NetworkPolicy shop/db end" protocol=TCP src=10.0.0.2 dst=10.0.0.1`,
		" dst-port=5432 ", " dst-port=22 ", " in=" + h.web.Interface() + " out=" + h.db.Interface() + " ",
	} {
		h.eventually("logged: "+want, func() bool { return strings.Contains(agent.stderr.String(), want) })
	}
	if strings.Contains(agent.stderr.String(), "dst-port=9999") {
		t.Error("what the rule does not match is logged")
	}
}
