package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestTextOfPeers checks that traces speak of what was written, and not of the
// one selector that it was translated into.
func TestTextOfPeers(t *testing.T) {
	calico := func(peer string) string {
		return fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: web},
spec: {ingress: [{action: Allow, source: %s}]}}`, peer)
	}
	kubernetes := func(peer string) string {
		return fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: web},
spec: {podSelector: {}, ingress: [{from: [%s]}]}}`, peer)
	}
	for _, c := range []struct{ manifest, want string }{
		{calico(`{selector: "a == 'b'"}`), "a == 'b' in namespace web"},
		{calico(`{selector: "a == 'b' || has(c)"}`), "(a == 'b' || has(c)) in namespace web"},
		{calico(`{namespaceSelector: all()}`), "any namespace"},
		{calico(`{namespaceSelector: global(), selector: has(c)}`), "has(c) in no namespace"},
		{calico(`{namespaceSelector: "team == 'a'", serviceAccounts: {names: [x, y]}}`), "namespaces with team == 'a' in service accounts x, y"},
		{strings.NewReplacer("NetworkPolicy", "GlobalNetworkPolicy", ", namespace: web", "").Replace(calico(`{selector: "a == 'b' && has(c)"}`)), "a == 'b' && has(c)"},
		{kubernetes(`{podSelector: {}}`), "pods in namespace web"},
		{kubernetes(`{namespaceSelector: {}}`), "pods in any namespace"},
		{kubernetes(`{podSelector: {matchLabels: {a: b}}, namespaceSelector: {matchExpressions: [{key: t, operator: In, values: [x, y]}]}}`), "pods with a=b in namespaces with t in (x,y)"},
	} {
		m := load(t, c.manifest)
		if got := m.Policies[0].Rules[policy.Ingress][0].Source.Set.String(); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.manifest, got, c.want)
		}
	}
}
