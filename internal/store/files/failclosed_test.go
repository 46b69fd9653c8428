package files_test

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

const clusterHead = `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
`

// TestFailClosed checks that an object can be used of which only peers cannot, that such
// a peer is empty, and that anything else that is wrong keeps the object from being used.
func TestFailClosed(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       string // findings, those that are closed after "closed "
		used       bool
	}{
		{"unknown", clusterHead + "  ingress: [{action: Deny, from: [{clusters: {}}, {namespaces: {}}]}]\n",
			`closed 8: spec.ingress[0].from[0].clusters: unknown field: expected namespaces, pods`, true},
		{"beside what is known", clusterHead + "  egress: [{action: Deny, to: [{namespaces: {}, peerz: 1}]}]\n",
			`closed 8: spec.egress[0].to[0].peerz: unknown field: expected domainNames, namespaces, networks, nodes, pods`, true},
		{"deep inside", clusterHead + "  egress: [{action: Deny, to: [{namespaces: {matchLabel: {a: b}}}]}]\n",
			`closed 8: spec.egress[0].to[0].namespaces.matchLabel: unknown field; did you mean "matchLabels"?`, true},
		{"of another form", clusterHead + "  egress: [{action: Deny, to: [{networks: 10.0.0.0/8}, null, x]}]\n",
			`closed 8: spec.egress[0].to[0].networks: is the text "10.0.0.0/8": expected a list (- value)
closed 8: spec.egress[0].to[1]: is empty: expected a value
closed 8: spec.egress[0].to[2]: is the text "x": expected fields (name: value)`, true},
		{"what must be written", clusterHead + "  egress: [{action: Deny, to: [{pods: {namespaceSelector: {}}}]}]\n",
			`closed 8: spec.egress[0].to[0].pods.podSelector: is missing: expected a selector of pods; {} is all of them`, true},
		{"elsewhere", clusterHead + "  ingress: [{action: Deny, form: [{namespaces: {}}]}]\n",
			`8: spec.ingress[0].form: unknown field; did you mean "from"?`, false},
		{"both", clusterHead + "  ingress: [{action: Deny, from: [{x: y}], port: 1}]\n",
			`closed 8: spec.ingress[0].from[0].x: unknown field: expected namespaces, pods
8: spec.ingress[0].port: unknown field: expected action, from, name, protocols`, false},
		{"no priority", strings.Replace(clusterHead, "  priority: 1\n", "", 1), `5: spec.priority: is missing: expected a number from 0, which is asked first, to 1000`, false},
		{"priority from elsewhere", strings.Replace(clusterHead, "  priority: 1\n", "  <<: {priority: 2}\n", 1), "", true},
		{"a slip", strings.Replace(clusterHead, "priority", "prority", 1), `6: spec.prority: unknown field; did you mean "priority"?`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, found := load(t, tt.text)
			var lines []string
			for _, f := range found {
				text := texts([]store.Finding{f}, "")[0]
				if text = strings.Replace(text, "ClusterNetworkPolicy p: ", "", 1); f.FailClosed {
					text = "closed " + text
				}
				lines = append(lines, text)
			}
			diff(t, "findings", tt.want, strings.Join(lines, "\n"))
			if (len(resources) == 1) != tt.used {
				t.Fatalf("%d objects", len(resources))
			}
			if tt.name == "unknown" {
				from := resources[0].Object.(*v1alpha2.ClusterNetworkPolicy).Spec.Ingress[0].From
				if len(from) != 2 || from[0].Namespaces != nil || from[0].Pods != nil || from[1].Namespaces == nil {
					t.Errorf("peers %+v", from)
				}
			}
		})
	}
}
