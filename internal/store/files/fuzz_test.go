package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
)

// FuzzLoad reads and translates any text. Nothing may make it fail, hang or
// say something about a line that is not there.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"../../translate/testdata/articles"} {
		names, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil {
				f.Add(string(text))
			}
		}
	}
	f.Add(tier("a") + "---\n{\"kind\": [")
	f.Add("{\"apiVersion\":\"v1\",\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\"},\"status\":{\"podIP\":\"::1\"}}]}")
	f.Add("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n  tier: [t]\n  ingress: [{action: 1, protocol: {}, icmp: 5, source: {nets: x, ports: [80.5], services: 1, serviceAccounts: {names: 1}}}, null]\n")
	f.Add("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n  podSelector: 1\n  ingress: [{from: [{}, {ipBlock: 1}, {podSelector: {matchExpressions: [{key: 1}]}}], ports: [{port: {}, endPort: x}]}]\n")
	f.Add("apiVersion: v1\nkind: Pod\nmetadata: {name: a, ownerReferences: [1, {controller: x}]}\nspec: {initContainers: [{ports: 1}], containers: [{ports: [{containerPort: x, name: y}]}]}\nstatus: {podIPs: 1, phase: []}\n")
	f.Add("apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\nspec:\n  tier: Admin\n  priority: 1\n  subject: {pods: {podSelector: {}}}\n" +
		"  ingress: [{action: Deny, from: [{}, null, 1, {pods: 1}, {namespaces: {matchExpressions: [{key: a, operator: In}]}}], protocols: [{tcp: {destinationPort: {range: {start: 5}}}}, {destinationNamedPort: x}]}]\n" +
		"  egress: [{action: Accept, to: [{nodes: {}}, {networks: [10.0.0.0/8, x]}, {domainNames: ['*.a.b', 1]}]}, null]\n")
	f.Add("apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec:\n  priority: -1\n  subject: {namespaces: {}, pods: {}}\n" +
		"  egress: [{action: Pass, to: [{networks: ['::/0']}], ports: [{portNumber: {port: 0}}, {namedPort: a}, {portRange: {start: 9, end: 1, protocol: x}}]}]\n")
	f.Add("a: &a\n  <<: [*a, {b: *a}]\nkind: Pod\napiVersion: v1\nmetadata: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		read := files.LoadAll([]string{"-"}, files.Options{Stdin: strings.NewReader(text)})
		more := translate.Load(read.Resources, read.Rejected, translate.Options{Offline: true}).Findings
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 2
		for _, finding := range append(read.Findings, more...) {
			if finding.Line < 0 || finding.Line > lines || finding.Message == "" {
				t.Errorf("of %d lines: %+v", lines, finding)
			}
		}
		// As an agent, which has seen something valid before.
		translate.New(translate.Options{}).ApplySorted(store.Batch{Updated: read.Resources, Findings: read.Findings})
	})
}
