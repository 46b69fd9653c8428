package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
)

// load returns what a text on standard input holds, and what is said about it.
func load(t testing.TB, text string) ([]store.Resource, []store.Finding) {
	t.Helper()
	return files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(text)})
}

func keysOf(resources []store.Resource) []string {
	var out []string
	for _, r := range resources {
		out = append(out, r.Key.String())
	}
	return out
}

// texts returns findings as users see them; notes begin with "note: ".
func texts(findings []store.Finding, root string) []string {
	var out []string
	for _, f := range findings {
		s := strings.TrimPrefix(f.Error(), "<stdin>:")
		if root != "" {
			s = strings.ReplaceAll(s, root+"/", "")
		}
		if f.Note {
			s = "note: " + s
		}
		out = append(out, s)
	}
	return out
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// write makes files below a new directory; a text of "-> x" is a link to x.
func write(t testing.TB, tree map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range tree {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if target, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func tier(name string) string {
	return "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata:\n  name: " + name + "\n"
}

// TestForms reads the forms in which objects come.
func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"one", tier("a"), []string{"Tier/a"}},
		{"several documents", "# text\n---\n" + tier("a") + "---\n---\n# nothing\n--- # mark\n" + tier("b") + "...\n" + tier("c"), []string{"Tier/a", "Tier/b", "Tier/c"}},
		{"a mark, a directive and a BOM", "\ufeff%YAML 1.1\n---\n" + tier("a"), []string{"Tier/a"}},
		{"line ends of Windows", strings.ReplaceAll(tier("a")+"---\n"+tier("b"), "\n", "\r\n"), []string{"Tier/a", "Tier/b"}},
		{"flow", `--- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}`, []string{"Tier/a"}},
		{"flow that is no JSON", `{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}`, []string{"Tier/a"}},
		{"JSON", "\n{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": \"a\", \"annotations\": {\"x\": \"\\ud83d\\ude00\"}}}\n{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"b\"}}", []string{"Namespace/a", "Namespace/b"}},
		{"List", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n", []string{"default/Pod/a", "Namespace/b"}},
		{"typed list", "apiVersion: v1\nkind: PodList\nmetadata: {resourceVersion: \"1\"}\nitems:\n- metadata: {name: a, namespace: x}\n- metadata: {name: b}\n", []string{"x/Pod/a", "default/Pod/b"}},
		{"empty lists", "apiVersion: v1\nkind: List\nitems: []\n---\napiVersion: v1\nkind: PodList\nitems:\n", nil},
		{"both NetworkPolicies", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a}\n",
			[]string{"default/KubernetesNetworkPolicy/a", "default/NetworkPolicy/a"}},
		{"anchors and merges", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: &l {a: b}\n  annotations: {<<: *l, c: d}\nspec: {nodeSelector: *l}\n", []string{"default/Pod/a"}},
		{"a dump of a cluster", `apiVersion: v1
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    creationTimestamp: "2026-01-02T03:04:05Z"
    generation: 1
    managedFields:
    - {apiVersion: networking.k8s.io/v1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {}}, manager: kubectl, operation: Update, time: "2026-01-02T03:04:05Z"}
    name: a
    namespace: x
    resourceVersion: "5"
    uid: 0b7c9c1e-0000-4000-8000-000000000000
  spec: {podSelector: {}, policyTypes: [Ingress]}
  status: {}
- apiVersion: projectcalico.org/v3
  kind: Tier
  metadata: {name: t, uid: x}
  spec: {order: 1.5}
  status: {conditions: [{type: Ready}]}
kind: List
metadata: {resourceVersion: ""}
`, []string{"x/KubernetesNetworkPolicy/a", "Tier/t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, findings := load(t, tt.text)
			diff(t, "objects", tt.want, keysOf(resources))
			diff(t, "findings", []string(nil), texts(findings, ""))
		})
	}
}

// TestFindings checks what is said about manifests that are not right.
func TestFindings(t *testing.T) {
	gnp := func(spec string) string {
		return "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n  " + spec + "\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"unknown field", gnp("selectr: all()"), `5: GlobalNetworkPolicy p: spec.selectr: unknown field; did you mean "selector"?`},
		{"unknown field, case", gnp("ApplyonForward: true"), `5: GlobalNetworkPolicy p: spec.ApplyonForward: unknown field; did you mean "applyOnForward"?`},
		{"unknown field, all known ones", "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {priority: 1}\n", `4: Tier t: spec.priority: unknown field: expected defaultAction, order`},
		{"field of another place", gnp("ingress:\n  - action: Allow\n    ports: [80]"), `7: GlobalNetworkPolicy p: spec.ingress[0].ports: unknown field: ports belong to source or destination`},
		{"field of another API", gnp("podSelector: {}"), `5: GlobalNetworkPolicy p: spec.podSelector: unknown field: this API writes selector`},
		{"several at once", gnp("ordr: 1\n  tire: x"), "5: GlobalNetworkPolicy p: spec.ordr: unknown field; did you mean \"order\"?\n" +
			"6: GlobalNetworkPolicy p: spec.tire: unknown field; did you mean \"tier\"?"},
		{"twice the same key", gnp("order: 1\n  order: 2"), `6: GlobalNetworkPolicy p: spec.order: is written twice: the first is on line 5`},
		{"number for text", gnp("selector: 5"), `5: GlobalNetworkPolicy p: spec.selector: is the number 5: expected a text; write it in quotes: "5"`},
		{"old boolean for text", gnp("tier: on"), `5: GlobalNetworkPolicy p: spec.tier: is the boolean on: expected a text; write it in quotes: "on"`},
		{"text for number", gnp(`order: "5"`), `5: GlobalNetworkPolicy p: spec.order: is the text "5": expected a number`},
		{"no finite number", gnp(`order: .inf`), `5: GlobalNetworkPolicy p: spec.order: is the number .inf: expected a finite number`},
		{"text for a list", gnp("types: Ingress"), `5: GlobalNetworkPolicy p: spec.types: is the text "Ingress": expected a list (- value)`},
		{"list for fields", gnp("ingress: [[]]"), `5: GlobalNetworkPolicy p: spec.ingress[0]: holds a list: expected fields (name: value)`},
		{"fields for text", gnp("selector: {app: web}"), `5: GlobalNetworkPolicy p: spec.selector: holds fields: expected a text`},
		{"text for boolean", gnp("preDNAT: maybe"), `5: GlobalNetworkPolicy p: spec.preDNAT: is the text "maybe": expected true or false`},
		{"empty element", gnp("types:\n  -"), `6: GlobalNetworkPolicy p: spec.types[0]: is empty: expected a value`},
		{"fraction for a port", gnp("ingress: [{action: Allow, protocol: TCP, destination: {ports: [8.5]}}]"),
			`5: GlobalNetworkPolicy p: spec.ingress[0].destination.ports[0]: 8.5: expected a port number, a range such as "8000:8080", or a port's name`},
		{"a type that reads itself", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    resources: {limits: {cpu: many}}\n",
			`7: Pod default/p: spec.containers[0].resources.limits.cpu: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`},
		{"no name", "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: x\n", `3: metadata.name: is missing: a Pod needs a name`},
		{"no metadata", "\n\napiVersion: v1\nkind: Pod\n", `3: metadata.name: is missing: a Pod needs a name`},
		{"no YAML", "a: b\n  c: d\n---\n" + tier("a"), `2: is no YAML: mapping values are not allowed in this context`},
		{"a tab", "a:\n\tb: c\n", `2: is no YAML: found character that cannot start any token (a tab indents line 2: use spaces)`},
		{"no JSON", "{\"a\": 1,\n\n]", `3: is no JSON: invalid character ']' looking for beginning of object key string`},
		{"old version", "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
			`1: NetworkPolicy p: apiVersion: version extensions/v1beta1 of NetworkPolicy is not read: expected networking.k8s.io/v1 or projectcalico.org/v3`},
		{"another version of Calico's storage", "apiVersion: crd.projectcalico.org/v2\nkind: Tier\nmetadata: {name: p}\n",
			`1: Tier p: apiVersion: version crd.projectcalico.org/v2 of Tier is not read: expected projectcalico.org/v3`},
		{"no version", "kind: Pod\nmetadata: {name: p}\n", `1: Pod p: apiVersion: is missing: expected v1`},
		{"not yet supported", "apiVersion: crd.antrea.io/v1beta1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
			`1: NetworkPolicy p: apiVersion: NetworkPolicy is not supported yet by this version: leave it out, or write it as a policy of networking.k8s.io/v1 or projectcalico.org/v3`},
		{"of no concern", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\n",
			"note: 1: 2 objects of ConfigMap (v1) passed over: it decides nothing here\nnote: 9: 1 object of Service (serving.knative.dev/v1) passed over: it decides nothing here"},
		{"no manifest", "a: b\n---\n[1, 2]\n", "note: 1: passed over: it is no manifest, since it has no kind\nnote: 3: passed over: it is no manifest, since it has no kind"},
		{"namespace of what has none", "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata:\n  name: t\n  namespace: x\n", `note: 5: Tier t: metadata.namespace: has no effect: a Tier is in no namespace`},
		{"the same name twice", tier("a") + "---\n" + tier("b") + "---\n" + tier("a"), `14: Tier a: metadata.name: is already the name of the Tier at <stdin>:1: remove one of them, or rename it`},
		{"a list that is none", "apiVersion: v1\nkind: List\nitems: {}\n", `3: items: holds fields: expected a list`},
		{"a bomb", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n  b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n  nodeSelector: {x: *b}\n",
			"6: Pod default/p: spec.nodeSelector.x: holds a list: expected a text\nnote: 5: Pod default/p: spec.a: unknown field, passed over\nnote: 6: Pod default/p: spec.b: unknown field, passed over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, findings := load(t, tt.text)
			diff(t, "findings", strings.Split(tt.want, "\n"), texts(findings, ""))
		})
	}
}

// TestBombs checks that texts that stand for endless ones end, and say so.
func TestBombs(t *testing.T) {
	var aliases strings.Builder
	aliases.WriteString("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes:\n  - name: v\n    emptyDir: {sizeLimit: 1}\n  containers:\n")
	aliases.WriteString("  - &a {name: c, args: [x, x, x, x, x, x, x, x]}\n")
	aliases.WriteString("  - resources: {limits: &r0 {cpu: 1}}\n")
	for i := range 12 { // 10^12 in the end
		aliases.WriteString("  - env: " + strings.Repeat("[", 0) + "&e" + string(rune('a'+i)) + " [")
		for j := range 10 {
			if j > 0 {
				aliases.WriteString(",")
			}
			if i == 0 {
				aliases.WriteString("{name: x}")
			} else {
				aliases.WriteString("*e" + string(rune('a'+i-1)))
			}
		}
		aliases.WriteString("]\n")
	}
	for _, tt := range []struct{ name, text string }{
		{"aliases", aliases.String()},
		{"annotations of annotations", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations: &a\n    <<: *a\n"},
		{"deep YAML", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000)},
		{"deep JSON", `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, findings := load(t, tt.text)
			if len(resources) > 0 || len(findings) == 0 {
				t.Errorf("took %v with findings %v", keysOf(resources), texts(findings, ""))
			}
		})
	}
}

func TestDirectory(t *testing.T) {
	root := write(t, map[string]string{
		"b.yaml":           tier("b"),
		"a.yml":            tier("a"),
		"sub/c.json":       `{"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{"name":"c"}}`,
		"sub/bad.yaml":     tier("x") + "spec: {ordr: 1}\n---\n" + tier("d"),
		"sub/broken.yaml":  "-> nowhere",
		"sub/values.yaml":  "replicas: 1\n",
		"sub/README.md":    "# nothing",
		".git/hidden.yaml": tier("hidden"),
		".cache/f.yaml":    tier("f"),
		".g.yaml":          tier("g"),
		"b.yaml.new":       tier("h"),
		"b.yaml~":          tier("i"),
		"notes.txt":        "text",
		".b.yaml.swp":      "text",
		".gitignore":       "text",
		"away":             "-> nowhere",
		"up":               "-> .",
		"..data/e.yaml":    tier("e"),
		"e.yaml":           "-> ..data/e.yaml",
		"linked":           "-> sub",
		"dir.yaml":         "-> sub",
	})
	resources, findings := files.Load([]string{root, filepath.Join(root, "b.yaml"), filepath.Join(root, "missing.yaml")}, files.Options{})
	diff(t, "objects", []string{"Tier/a", "Tier/b", "Tier/e", "Tier/d", "Tier/c"}, keysOf(resources))
	diff(t, "findings", []string{
		"note: .b.yaml.swp: passed over: it is hidden, since its name begins with a dot",
		"note: .cache: passed over: it is hidden, since its name begins with a dot",
		"note: .g.yaml: passed over: it is hidden, since its name begins with a dot",
		"away: is a broken link: no such file or directory",
		"note: b.yaml.new: passed over: its name does not end in .yaml, .yml or .json",
		"note: b.yaml~: passed over: its name does not end in .yaml, .yml or .json",
		"sub/broken.yaml: is a broken link: no such file or directory",
		"note: dir.yaml: passed over: it is the directory that is read as sub",
		"note: linked: passed over: it is the directory that is read as sub",
		"note: up: passed over: it is the directory that is read as " + root,
		"missing.yaml: cannot be read: no such file or directory",
		`sub/bad.yaml:5: Tier x: spec.ordr: unknown field; did you mean "order"?`,
		"note: sub/values.yaml:1: passed over: it is no manifest, since it has no kind",
	}, texts(findings, root))

	_, findings = files.Load([]string{t.TempDir()}, files.Options{})
	if len(findings) != 1 || !findings[0].Note {
		t.Errorf("an empty directory gives %v, want a note", findings)
	}
}

func TestUnreadable(t *testing.T) {
	// Not even root can read the first page of a process's memory.
	root := write(t, map[string]string{"a.yaml": tier("a"), "b.yaml": "-> /proc/self/mem", "sub/c.yaml": tier("c")})
	resources, findings := files.Load([]string{root}, files.Options{})
	diff(t, "objects", []string{"Tier/a", "Tier/c"}, keysOf(resources))
	diff(t, "findings", []string{"b.yaml: cannot be read: input/output error"}, texts(findings, root))
}

func TestLimits(t *testing.T) {
	root := write(t, map[string]string{"a.yaml": tier("a"), "b.yaml": tier("b")})
	resources, findings := files.Load([]string{root}, files.Options{MaxBytes: int64(len(tier("a")) + 5)})
	diff(t, "objects", []string{"Tier/a"}, keysOf(resources))
	diff(t, "findings", []string{"b.yaml: cannot be read: the files are larger than 0 MiB together"}, texts(findings, root))

	_, findings = files.Load([]string{"-"}, files.Options{})
	diff(t, "no standard input", []string{" cannot be read: there is no standard input"}, texts(findings, ""))
	resources, _ = files.Load([]string{"-"}, files.Options{Namespace: "x", Stdin: strings.NewReader("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")})
	diff(t, "default namespace", []string{"x/Pod/a"}, keysOf(resources))
}

func TestPlaces(t *testing.T) {
	resources, _ := load(t, `---
apiVersion: v1
kind: Pod
metadata:
  name: a
  labels:
    app: a
    app.kubernetes.io/name: b
spec:
  containers:
  - name: c
    ports:
    - containerPort: 80
    -
      containerPort: 81
`)
	for field, want := range map[string]int{
		"":                                       2,
		"metadata.name":                          5,
		"metadata.labels.app":                    7,
		"metadata.labels.app.kubernetes.io/name": 8,
		"metadata.labels.missing":                6,
		"spec.containers[0]":                     11,
		"spec.containers[0].ports[1].containerPort": 15,
		"spec.containers[0].ports[1].hostPort":      15,
		"spec.containers[0].ports[7].containerPort": 12,
		"spec.containers[x]":                        10,
		"nothing.at.all":                            2,
	} {
		if file, line := resources[0].Origin.Position(field); line != want || file != "<stdin>" {
			t.Errorf("Position(%q) = %s:%d, want <stdin>:%d", field, file, line, want)
		}
	}
}
