package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// TestDefinitions checks config/crd with an API server and kubectl: what people
// see, what is refused and how, and that objects of the size that etcd takes are
// stored. That the definitions say what package translate says is for tools/crdtest.
func TestDefinitions(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	installDefinitions(t, c)
	for name, test := range map[string]func(*testing.T, *cluster.Cluster){
		"names": crdNames, "columns": crdColumns, "explain": crdExplain, "strict": crdStrict,
		"refused": crdRefused, "dry run": crdDryRun, "apply": crdApply, "status": crdStatus, "large": crdLarge,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// installDefinitions installs config/crd and waits until it is served.
func installDefinitions(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	dir, err := filepath.Abs("../../config/crd")
	must(t, err)
	kubectl(t, c, "apply", "--server-side", "-f", dir)
	kubectl(t, c, "wait", "--for=condition=Established", "--timeout=60s", "-f", dir)
}

// kubectl runs kubectl and gives what it prints.
func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// crdCreate creates an object and gives what kubectl says against it.
func crdCreate(t *testing.T, c *cluster.Cluster, manifest string, flags ...string) string {
	t.Helper()
	cmd := c.ControlPlane().Command(t.Context(), "kubectl", append([]string{"create", "-f", "-"}, flags...)...)
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return string(out)
}

func crdManifest(kind, name, spec string) string {
	return "apiVersion: projectcalico.org/v3\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
}

func crdNames(t *testing.T, c *cluster.Cluster) {
	var got []string
	for _, group := range []string{"projectcalico.org", "policy.tierwall.dev"} {
		for line := range strings.Lines(kubectl(t, c, "api-resources", "--api-group="+group, "--no-headers", "--sort-by=name", "--categories=tierwall")) {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
	}
	want := []string{
		"globalnetworkpolicies gnp,cgnp projectcalico.org/v3 false GlobalNetworkPolicy",
		"globalnetworksets gns projectcalico.org/v3 false GlobalNetworkSet",
		"hostendpoints hep,heps projectcalico.org/v3 false HostEndpoint",
		"networkpolicies caliconetworkpolicy projectcalico.org/v3 true NetworkPolicy",
		"networksets netset,netsets projectcalico.org/v3 true NetworkSet",
		"profiles projectcalico.org/v3 false Profile",
		"stagedglobalnetworkpolicies sgnp projectcalico.org/v3 false StagedGlobalNetworkPolicy",
		"stagedkubernetesnetworkpolicies sknp projectcalico.org/v3 true StagedKubernetesNetworkPolicy",
		"stagednetworkpolicies scnp,snp projectcalico.org/v3 true StagedNetworkPolicy",
		"tiers projectcalico.org/v3 false Tier",
		"nodepolicyreports npr policy.tierwall.dev/v1alpha1 false NodePolicyReport",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("kinds (-want +got):\n%s", d)
	}
}

func crdColumns(t *testing.T, c *cluster.Cluster) {
	must(t, c.Apply(t.Context(), crdManifest("GlobalNetworkPolicy", "columns", `{order: 5, selector: "a == 'b'"}`)+"---\n"+
		crdManifest("Tier", "columns", `{order: 7.5, defaultAction: Pass}`)+"---\n"+
		crdManifest("NetworkPolicy", "columns", `{tier: application}`)))
	for _, tt := range []struct{ args, want string }{
		{"gnp columns", "NAME TIER ORDER SELECTOR ENDPOINTS ACCEPTED PROGRAMMED AGE\ncolumns default 5 a == 'b'"},
		{"networkpolicy.projectcalico.org -A", "NAMESPACE NAME TIER ORDER SELECTOR ENDPOINTS ACCEPTED PROGRAMMED AGE\ndefault columns application"},
		{"caliconetworkpolicy --field-selector spec.tier=application", "NAME TIER ORDER SELECTOR ENDPOINTS ACCEPTED PROGRAMMED AGE\ncolumns application"},
		{"tier columns", "NAME ORDER DEFAULTACTION ACCEPTED AGE\ncolumns 7.5 Pass"},
	} {
		out := kubectl(t, c, append([]string{"get"}, strings.Fields(tt.args)...)...)
		var lines []string
		for line := range strings.Lines(out) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if got := strings.Join(lines, "\n"); !strings.HasPrefix(got, tt.want) {
			t.Errorf("kubectl get %s:\n%s\nwant\n%s", tt.args, got, tt.want)
		}
	}
}

func crdExplain(t *testing.T, c *cluster.Cluster) {
	for field, want := range map[string]string{
		"gnp.spec.ingress.destination.ports":               "of which the connection's port on this side is one",
		"networkpolicies.projectcalico.org.spec.selector":  "left out, it is all()",
		"tiers.spec.defaultAction":                         "Deny or Pass",
		"sknp.spec.ingress":                                "ingress is a list of ingress rules",
		"gnp.status.conditions.reason":                     "reason",
		"nodepolicyreports.report.policies.endpoints":      "local endpoints",
		"stagednetworkpolicies.spec.stagedAction":          "Set (the default), Delete, Learn or Ignore",
		"globalnetworksets.spec.nets":                      "CIDRs and addresses, of both IP versions",
		"hostendpoints.spec.interfaceName":                 `"*" is all of them`,
		"gnp.spec.ingress.source.serviceAccounts.selector": "labels",
	} {
		out := strings.Join(strings.Fields(kubectl(t, c, "explain", field)), " ")
		if !strings.Contains(out, want) {
			t.Errorf("kubectl explain %s:\n%s\nwant %q", field, out, want)
		}
	}
}

func crdStrict(t *testing.T, c *cluster.Cluster) {
	unknown := crdManifest("NetworkPolicy", "strict", `{selecter: all(), ingress: [{action: Allow, destinaton: {}}]}`)
	if got := crdCreate(t, c, unknown); !strings.Contains(got, `unknown field "spec.selecter"`) || !strings.Contains(got, `unknown field "spec.ingress[0].destinaton"`) {
		t.Errorf("unknown fields are refused with %q", got)
	}
	if got := crdCreate(t, c, unknown, "--validate=warn"); got != "" {
		t.Errorf("without strict validation it is refused: %s", got)
	}
	if spec := kubectl(t, c, "get", "caliconetworkpolicy", "strict", "-o", "jsonpath={.spec}"); spec != `{"ingress":[{"action":"Allow"}],"tier":"default"}` {
		t.Errorf("what is stored is %s", spec)
	}
}

// crdRefused checks what people see; the whole table is in tools/crdtest.
func crdRefused(t *testing.T, c *cluster.Cluster) {
	for _, tt := range []struct{ manifest, want string }{
		{crdManifest("GlobalNetworkPolicy", "refused", `{ingress: [{action: Allow, destination: {ports: [80]}}]}`), "spec.ingress[0].destination: Invalid value: ports and notPorts need protocol: TCP, UDP or SCTP"},
		{crdManifest("GlobalNetworkPolicy", "refused", `{ingress: [{action: allow}]}`), `spec.ingress[0].action: Unsupported value: "allow": supported values: "Allow", "Deny", "Log", "Pass"`},
		{crdManifest("GlobalNetworkPolicy", "refused", `{ingress: [{action: Allow, source: {nets: [10.0.0.1]}}]}`), `spec.ingress[0].source.nets[0] in body must be of type cidr: "10.0.0.1"`},
		{crdManifest("GlobalNetworkPolicy", "refused", `{ingress: [{action: Allow, source: {nets: [10.0.0.0/8, "fd00::/8"]}}]}`), "spec.ingress[0].source.nets[1]"},
		{crdManifest("GlobalNetworkPolicy", "refused", `{doNotTrack: true}`), "spec: Invalid value: doNotTrack and preDNAT need applyOnForward"},
		{crdManifest("Tier", "default", `{defaultAction: Pass}`), "tier default always has order 1000000 and defaultAction Deny: leave the fields out"},
		{crdManifest("Tier", "a.b", `{}`), "a tier's name has lower case letters, digits and '-', and no dots"},
	} {
		if got := crdCreate(t, c, tt.manifest); !strings.Contains(got, tt.want) {
			t.Errorf("%s\nis refused with %q, want %q", tt.manifest, got, tt.want)
		}
	}
}

func crdDryRun(t *testing.T, c *cluster.Cluster) {
	good := crdManifest("GlobalNetworkPolicy", "dry", `{selector: all()}`)
	if got := crdCreate(t, c, good, "--dry-run=server"); got != "" {
		t.Errorf("a good policy is refused: %s", got)
	}
	if got := crdCreate(t, c, strings.Replace(good, "selector", "order", 1), "--dry-run=server"); !strings.Contains(got, "must be of type number") {
		t.Errorf("a bad policy is refused with %q", got)
	}
	if out := kubectl(t, c, "get", "gnp", "dry", "--ignore-not-found"); out != "" {
		t.Errorf("a dry run left %s", out)
	}
}

// crdApply checks who owns what: fields singly, lists of rules whole.
func crdApply(t *testing.T, c *cluster.Cluster) {
	apply := func(manager, spec string) error {
		cmd := c.ControlPlane().Command(t.Context(), "kubectl", "apply", "--server-side", "--field-manager="+manager, "-f", "-")
		cmd.Stdin = strings.NewReader(crdManifest("GlobalNetworkPolicy", "applied", spec))
		_, err := cmd.Output()
		return err
	}
	must(t, apply("one", `{selector: all(), ingress: [{action: Allow}, {action: Deny}]}`))
	must(t, apply("two", `{order: 5}`))
	if err := apply("two", `{order: 5, ingress: [{action: Deny}]}`); err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("rules of another manager are replaced: %v", err)
	}
	must(t, apply("one", `{selector: all(), ingress: [{action: Deny}]}`))
	if spec := kubectl(t, c, "get", "gnp", "applied", "-o", "jsonpath={.spec}"); spec != `{"ingress":[{"action":"Deny"}],"order":5,"selector":"all()","tier":"default"}` {
		t.Errorf("what is stored is %s", spec)
	}
}

// crdStatus checks that the status is not the users' to write.
func crdStatus(t *testing.T, c *cluster.Cluster) {
	must(t, c.Apply(t.Context(), crdManifest("GlobalNetworkPolicy", "status", `{}`)+"status: {endpoints: 5, nodes: 1}\n"))
	if out := kubectl(t, c, "get", "gnp", "status", "-o", "jsonpath={.status}"); out != "" {
		t.Errorf("a user wrote the status %s", out)
	}
	kubectl(t, c, "patch", "gnp", "status", "--subresource=status", "--type=merge", "-p", `{"status":{"endpoints":5,"nodes":1}}`)
	if out := kubectl(t, c, "get", "gnp", "status", "-o", "jsonpath={.status.endpoints} {.metadata.generation}"); out != "5 1" {
		t.Errorf("endpoints and generation are %s, want 5 1", out)
	}
}

// crdLarge stores large objects: the set is about as much as etcd takes. A policy of that
// size is too much work for the API server of a machine that has other work to do.
func crdLarge(t *testing.T, c *cluster.Cluster) {
	var rules, nets []any
	for i := range 3000 {
		rules = append(rules, map[string]any{
			"action": "Allow", "protocol": "TCP",
			"source":      map[string]any{"nets": []any{fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)}},
			"destination": map[string]any{"ports": []any{1000 + i%5000}},
		})
	}
	for i := range 80_000 {
		nets = append(nets, fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255))
	}
	for kind, spec := range map[string]any{
		"GlobalNetworkPolicy": map[string]any{"ingress": rules},
		"GlobalNetworkSet":    map[string]any{"nets": nets},
	} {
		text, err := json.Marshal(map[string]any{
			"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": map[string]any{"name": "large"}, "spec": spec,
		})
		must(t, err)
		must(t, applyLarge(t.Context(), c, string(text)))
	}
	kubectl(t, c, "delete", "gnp,gns", "large")
}

// applyLarge applies what is too large for kubectl's annotation.
func applyLarge(ctx context.Context, c *cluster.Cluster, text string) error {
	file, err := os.CreateTemp("", "large-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "apply", "--server-side", "-f", file.Name())
	return err
}
