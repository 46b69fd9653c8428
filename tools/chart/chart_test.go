package chart

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

const dir = "../../charts/tierwall"

var update = flag.Bool("update", false, "write the golden files anew")

// The chart with these values is what the file in testdata of that name holds.
var golden = map[string]string{
	"default": `crds: {install: never}`,
	"minimal": `
crds: {install: never}
cni: {enabled: false}
controller: {enabled: false}
cleanup: {enabled: false}
rbac: {enforceTiers: false, roles: {create: false}}
`,
	"everything": `
crds: {install: never}
namespace: {create: true}
image: {repository: registry.example/tierwall, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullPolicy: Always, pullSecrets: [{name: pull}]}
agent:
  port: 9397
  runDir: /var/run/tierwall
  args: [--debug]
  updateStrategy: {type: OnDelete, rollingUpdate: null}
  seLinuxOptions: {type: spc_t}
  affinity: {nodeAffinity: {}}
  podAnnotations: {example.com/a: b}
  podLabels: {example.com/c: d}
cni: {confDir: /etc/kubernetes/cni/net.d, binDir: /usr/libexec/cni, timeout: 1m30s, failurePolicy: open, exemptNamespaces: [kube-system, ci]}
extAuthz: {enabled: true, dir: /run/authz, group: 101}
controller: {replicas: 3, port: 9398, args: [--debug], affinity: {nodeAffinity: {}}, podAnnotations: {example.com/a: b}, podLabels: {example.com/c: d}}
apiServer: {host: api.example.com, port: 443}
rbac: {roles: {aggregate: false, platformTiers: [infra], appTiers: [apps]}}
cleanup: {timeoutSeconds: 60}
`,
}

func TestGolden(t *testing.T) {
	for name, values := range golden {
		t.Run(name, func(t *testing.T) {
			r, err := Render(dir, values)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Manifest
			for _, path := range slices.Sorted(func(yield func(string) bool) {
				for p := range r.Hooks {
					if !yield(p) {
						return
					}
				}
			}) {
				got += r.Hooks[path]
			}
			got += "--- NOTES\n" + r.Notes
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s: look at it with go test ./chart -update and git diff", file)
			}
			objects(t, r) // every object is well-formed
		})
	}
}

// objects parses all that was rendered; what occurs twice, in one object or as an
// object, is an error.
func objects(t *testing.T, r *Rendered) map[string]*unstructured.Unstructured {
	t.Helper()
	all := r.Manifest
	for _, h := range r.Hooks {
		all += "\n" + h
	}
	out := map[string]*unstructured.Unstructured{}
	for _, doc := range strings.Split("\n"+all, "\n---\n") {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Errorf("%v:\n%s", err, doc)
			continue
		}
		if len(o) == 0 {
			continue
		}
		u := &unstructured.Unstructured{Object: o}
		key := u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
		if u.GetKind() == "" || u.GetName() == "" || out[key] != nil {
			t.Errorf("no kind, no name, or twice: %q:\n%s", key, doc)
		}
		out[key] = u
	}
	return out
}

func TestLint(t *testing.T) {
	lint := action.NewLint()
	lint.Strict, lint.Namespace = true, Namespace
	lint.KubeVersion = nil
	for name, values := range golden {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(values), &v); err != nil {
			t.Fatal(err)
		}
		result := lint.Run([]string{dir}, v)
		for _, err := range result.Errors {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefinitions(t *testing.T) {
	sources, err := filepath.Glob("../../config/crd/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		values := "crds: {keep: false}"
		if keep {
			values = "{}"
		}
		r, err := Render(dir, values)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for key, o := range objects(t, r) {
			if o.GetKind() != "CustomResourceDefinition" {
				continue
			}
			n++
			if got, want := o.GetAnnotations()["helm.sh/resource-policy"] == "keep", keep && strings.HasSuffix(o.GetName(), ".projectcalico.org"); got != want {
				t.Errorf("%s: kept %t, expected %t", key, got, want)
			}
			if o.GetLabels()["app.kubernetes.io/part-of"] != "tierwall" {
				t.Errorf("%s has no labels: kubectl delete crd -l app.kubernetes.io/part-of=tierwall would miss it", key)
			}
		}
		if n != len(sources) {
			t.Errorf("%d definitions, expected the %d of config/crd", n, len(sources))
		}
	}
}

// What the agent and the controller may do is what docs/install.md promises.
func TestConfinement(t *testing.T) {
	r, err := Render(dir, golden["default"])
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, r)
	var set appsv1.DaemonSet
	convert(t, all["DaemonSet tierwall-system/tierwall-agent"], &set)
	var deployment appsv1.Deployment
	convert(t, all["Deployment tierwall-system/tierwall-controller"], &deployment)
	for name, pod := range map[string]corev1.PodSpec{"agent": set.Spec.Template.Spec, "controller": deployment.Spec.Template.Spec} {
		c := pod.Containers[0]
		s := c.SecurityContext
		if pod.HostPID || pod.HostIPC || s.Privileged != nil && *s.Privileged {
			t.Errorf("%s: privileged", name)
		}
		if !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: %+v", name, s)
		}
		if !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s keeps capabilities: %+v", name, s.Capabilities)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil {
			t.Errorf("%s has no probes", name)
		}
	}
	if got := set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add; !slices.Equal(got, []corev1.Capability{"NET_ADMIN"}) {
		t.Errorf("the agent has capabilities %v", got)
	}
	if c := deployment.Spec.Template.Spec; c.HostNetwork || len(c.Volumes) > 0 || len(c.Containers[0].SecurityContext.Capabilities.Add) > 0 || !*c.Containers[0].SecurityContext.RunAsNonRoot {
		t.Errorf("the controller has more than it needs: %+v", c)
	}
	for key, o := range all {
		if o.GetKind() != "ClusterRole" || !strings.Contains(key, "tierwall-") {
			continue
		}
		rules, _, _ := unstructured.NestedSlice(o.Object, "rules")
		for _, rule := range rules {
			r := rule.(map[string]any)
			writes := slices.ContainsFunc(r["verbs"].([]any), func(v any) bool { return !slices.Contains([]any{"get", "list", "watch"}, v) })
			if slices.Equal(r["verbs"].([]any), []any{"create"}) && slices.Equal(r["resources"].([]any), []any{"tiers"}) {
				continue // one that is new decides nothing
			}
			for _, resource := range r["resources"].([]any) {
				name := resource.(string)
				if name == "secrets" || name == "*" || writes && name != "nodepolicyreports" && name != "events" && !strings.HasSuffix(name, "/status") {
					t.Errorf("%s: %v", key, r)
				}
			}
		}
	}
}

// The agent reads what it enforces, the controller what is staged as well.
func TestStagedIsTheControllers(t *testing.T) {
	r, err := Render(dir, golden["default"])
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, r)
	for name, want := range map[string]bool{"tierwall-agent": false, "tierwall-controller": true} {
		role := all["ClusterRole /"+name]
		if role == nil {
			t.Fatalf("no ClusterRole %s", name)
		}
		text, err := yaml.Marshal(role.Object)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "staged"); got != want {
			t.Errorf("%s reads staged policies: %t, expected %t", name, got, want)
		}
		for _, kind := range []string{"- tiers\n", "- hostendpoints\n", "- globalnetworksets\n", "- networkpolicies\n"} {
			if !strings.Contains(string(text), kind) {
				t.Errorf("%s does not read %q", name, kind)
			}
		}
	}
}

func convert(t *testing.T, from *unstructured.Unstructured, to any) {
	t.Helper()
	if from == nil {
		t.Fatal("object is missing")
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(from.Object, to, true); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaRefuses(t *testing.T) {
	for values, want := range map[string]string{
		"agent: {prot: 1}":                          "additional properties 'prot' not allowed",
		"agent: {port: 0}":                          "minimum: got 0, want 1",
		"agent: {port: '9097'}":                     "got string, want integer",
		"agent: {runDir: run}":                      "does not match pattern",
		"agent: {args: [debug]}":                    "does not match pattern",
		"crds: {install: maybe}":                    "value must be one of",
		"image: {digest: 'sha256:1'}":               "does not match pattern",
		"rbac: {roles: {appTiers: [Apps]}}":         "does not match pattern",
		"rbac: {roles: {platformTiers: []}}":        "minItems",
		"agent: {updateStrategy: {type: Recreate}}": "value must be one of",
		"tolerations: []":                           "additional properties 'tolerations' not allowed",
		"cleanup: {timeoutSeconds: 1}":              "minimum",
		"extAuthz: {group: proxies}":                "got string, want integer",
		"cni: {timeout: 20}":                        "got number, want string",
		"cni: {timeout: soon}":                      "does not match pattern",
		"cni: {failurePolicy: ajar}":                "value must be one of",
		"cni: {exemptNamespaces: [Kube]}":           "does not match pattern",
		"image: {pullSecrets: [pull]}":              "got string, want object",
	} {
		if _, err := Render(dir, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", values, err, want)
		}
	}
}

// Every value is described, and every default passes.
func TestSchemaDescribes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(dir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(data, &values); err != nil {
		t.Fatal(err)
	}
	describe(t, "", values, schema)
}

func describe(t *testing.T, path string, values, schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range values {
		p, ok := properties[name].(map[string]any)
		if !ok || p["description"] == "" || p["description"] == nil {
			t.Errorf("%s.%s: no description", path, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok && p["properties"] != nil {
			describe(t, path+"."+name, inner, p)
		}
	}
}
