package crdtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/tools/crdtest"
)

// clusterRest is what only translate refuses in a ClusterNetworkPolicy, whose definition
// is not ours.
var clusterRest = []struct{ what, field, message string }{
	{what: "label keys and values, and operators", field: `matchLabels|matchExpressions`},
	{what: "names of ports", field: `destinationNamedPort$`, message: `is a number in quotes|a letter among them`},
	{what: "actions and peers are not compared", field: `domainNames$`, message: `is for Accept rules only`},
	{what: "addresses look like names", field: `domainNames\[\d+\]$`},
	{what: "addresses of IPv4 in IPv6", field: `networks\[\d+\]$`, message: `written as IPv6`},
}

// loadCluster reads the definition of ClusterNetworkPolicy of the upstream module.
func loadCluster(t *testing.T) map[string]*crdtest.Kind {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	const name = "policy.networking.k8s.io_clusternetworkpolicies.yaml"
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "config/crd/experimental", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // the module has other files beside it
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	kinds, err := crdtest.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

func cnp(spec string) string {
	return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: " + spec + "\n"
}

// TestClusterNetworkPolicy holds the upstream definition against translate, with parts
// put together at random, good ones and bad ones.
func TestClusterNetworkPolicy(t *testing.T) {
	kinds := loadCluster(t)
	text := func(t *rapid.T) string {
		pick := func(what string, good []string, bad ...string) string {
			if rapid.IntRange(0, 7).Draw(t, what+" is bad") > 0 {
				bad = nil
			}
			return rapid.SampledFrom(append(good, bad...)).Draw(t, what)
		}
		labels := func() string {
			return pick("labels", []string{`{}`, `{matchLabels: {a: b}}`, `{matchExpressions: [{key: a, operator: In, values: [b]}]}`, `{matchExpressions: [{key: a, operator: Exists}]}`},
				`{matchLabel: {a: b}}`, `{matchExpressions: [{key: a}]}`, `{matchExpressions: [{operator: Exists}]}`, `[]`)
		}
		pods := func() string {
			return pick("pods", []string{"{podSelector: " + labels() + "}", "{namespaceSelector: " + labels() + ", podSelector: {}}"}, "{namespaceSelector: {}}", "{}", "{podSelector: {}, other: 1}")
		}
		port := func() string {
			return pick("port", []string{`{number: 80}`, `{range: {start: 1, end: 65535}}`}, `{}`, `{number: 0}`, `{number: 65536}`, `{range: {start: 5, end: 5}}`, `{range: {start: 6, end: 5}}`, `{range: {start: 5}}`, `{number: 1, range: {start: 1, end: 2}}`, `{number: x}`)
		}
		protocols := func(named bool) string {
			good := []string{"", ", protocols: [{tcp: {destinationPort: " + port() + "}}]", ", protocols: [{udp: {destinationPort: " + port() + "}}, {sctp: {destinationPort: " + port() + "}}]"}
			if named {
				good = append(good, ", protocols: [{destinationNamedPort: web}]")
			}
			return pick("protocols", good, ", protocols: []", ", protocols: [{}]", ", protocols: [{tcp: {}}]", ", protocols: [{icmp: {}}]", ", protocols: [{tcp: {destinationPort: {number: 1}}, destinationNamedPort: a}]", ", protocols: [{destinationNamedPort: web}]")
		}
		action := func() string { return pick("action", []string{"Accept", "Deny", "Pass"}, "Allow", "accept", `""`) }
		peer := func() string {
			return pick("peer", []string{"{namespaces: " + labels() + "}", "{pods: " + pods() + "}"}, "{}", "{namespaces: {}, pods: {podSelector: {}}}", "{clusters: {}}", "{podSelector: {}}")
		}
		other := func() string {
			return pick("other peer", []string{"{nodes: " + labels() + "}", `{networks: [10.0.0.0/8, "fd00::/8"]}`}, `{networks: []}`, `{networks: [10.0.0.1]}`, `{networks: [10.0.0.0/33]}`, `{networks: x}`, `{domainNames: []}`, `{domainNames: ["*.*.a"]}`)
		}
		egress := []string{"to: [" + peer() + "]" + protocols(true), "to: [" + peer() + ", " + other() + "]" + protocols(false)}
		rules := func(field, list string) string {
			name := pick("name", []string{"", "name: x, "}, "name: "+strings.Repeat("x", 101)+", ")
			return fmt.Sprintf(", %s: [{%saction: %s, %s}]", field, name, action(), list)
		}
		spec := "tier: " + pick("tier", []string{"Admin", "Baseline"}, "admin", `""`) +
			pick("priority", []string{", priority: 0", ", priority: 1000"}, ", priority: -1", ", priority: 1001", "", ", priority: x", ", priority: null") +
			", subject: " + pick("subject", []string{"{namespaces: " + labels() + "}", "{pods: " + pods() + "}"}, "{}", "{namespaces: {}, pods: {podSelector: {}}}", "{nodes: {}}")
		if rapid.Bool().Draw(t, "ingress") {
			spec += rules("ingress", pick("from", []string{"from: [" + peer() + "]" + protocols(true)}, "from: []", "protocols: [{tcp: {destinationPort: {number: 1}}}]", "form: [{namespaces: {}}]", "from: [{nodes: {}}]"))
		}
		if rapid.Bool().Draw(t, "egress") {
			spec += rules("egress", pick("to", egress, "to: []", "from: [{namespaces: {}}]"))
		}
		return cnp("{" + spec + pick("more", []string{""}, ", types: [Ingress]") + "}")
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		object := text(t)
		j := judge(t, kinds, object)
		j.check(t, object)
		if j.definition == "" {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("the definition accepts none of the objects")
	}
	t.Logf("%d accepted", accepted)
	for _, object := range []string{
		cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [` + strings.Repeat(`{action: Deny, from: [{namespaces: {}}]}, `, 26) + `]}`),
		cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [` + strings.Repeat(`{namespaces: {}}, `, 26) + `]}]}`),
		cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [example.com, "*.example.com"]}]}]}`),
		cnp(`{tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{domainNames: [example.com]}]}]}`),
	} {
		judge(t, kinds, object).check(t, object)
	}
}
