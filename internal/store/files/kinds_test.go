package files_test

import (
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store/files"
)

// TestKinds checks which kinds are passed over and which are errors.
func TestKinds(t *testing.T) {
	for _, tt := range []struct{ apiVersion, kind, want string }{
		{"projectcalico.org/v3", "NetworkPolicyy", `2: NetworkPolicyy x: kind: NetworkPolicyy is no kind of projectcalico.org/v3; did you mean "NetworkPolicy"?`},
		{"projectcalico.org/v3", "networkpolicy", `2: networkpolicy x: kind: networkpolicy is no kind of projectcalico.org/v3; did you mean "NetworkPolicy"?`},
		{"projectcalico.org/v3", "GlobalNetworkPolice", `2: GlobalNetworkPolice x: kind: GlobalNetworkPolice is no kind of projectcalico.org/v3; did you mean "GlobalNetworkPolicy"?`},
		{"projectcalico.org/v3", "Firewall", `2: Firewall x: kind: Firewall is no kind of projectcalico.org/v3`},
		{"networking.k8s.io/v1", "NetworkPolcy", `2: NetworkPolcy x: kind: NetworkPolcy is no kind of networking.k8s.io/v1; did you mean "NetworkPolicy"?`},
		{"networking.k8s.io/v1", "GlobalNetworkPolicy", `2: GlobalNetworkPolicy x: kind: GlobalNetworkPolicy is no kind of networking.k8s.io/v1: it is one of projectcalico.org/v3`},
		{"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolcy", `2: ClusterNetworkPolcy x: kind: ClusterNetworkPolcy is no kind of policy.networking.k8s.io/v1alpha2; did you mean "ClusterNetworkPolicy"?`},
		{"v1", "Podd", `2: Podd x: kind: Podd is no kind of v1; did you mean "Pod"?`},
		{"v1", "Deployment", `2: Deployment x: kind: Deployment is no kind of v1: it is one of apps/v1`},
		{"v1", "Ingress", `2: Ingress x: kind: Ingress is no kind of v1: it is one of networking.k8s.io`},
		{"apps/v1", "Deploymnt", `2: Deploymnt x: kind: Deploymnt is no kind of apps/v1; did you mean "Deployment"?`},
		{"batch/v1", "Jobb", `2: Jobb x: kind: Jobb is no kind of batch/v1; did you mean "Job"?`},

		{"projectcalico.com/v3", "NetworkPolicy", `1: NetworkPolicy x: apiVersion: projectcalico.com/v3 is not read: did you mean projectcalico.org/v3?`},
		{"projectcalico/v3", "Tier", `1: Tier x: apiVersion: projectcalico/v3 is not read: did you mean projectcalico.org/v3?`},
		{"networking.k8s/v1", "NetworkPolicy", `1: NetworkPolicy x: apiVersion: networking.k8s/v1 is not read: did you mean networking.k8s.io/v1?`},
		{"app/v1", "Deployment", `1: Deployment x: apiVersion: app/v1 is not read: did you mean apps/v1?`},
		{"example.com/v1", "NetworkPolicyy", `2: NetworkPolicyy x: kind: NetworkPolicyy is no kind that is read; did you mean NetworkPolicy of networking.k8s.io/v1 or projectcalico.org/v3?`},

		{"cilium.io/v2alpha1", "CiliumNetworkPolicy", `1: CiliumNetworkPolicy x: apiVersion: cilium.io/v2alpha1 is not read: did you mean cilium.io/v2?`},
		{"cilium.io/v2", "CiliumClusterwideNetworkPolcy", `2: CiliumClusterwideNetworkPolcy x: kind: CiliumClusterwideNetworkPolcy is no kind that is read; did you mean CiliumClusterwideNetworkPolicy of cilium.io/v2?`},
		{"policy.networking.k8s.io/v1alpha1", "ClusterNetworkPolicy", `1: ClusterNetworkPolicy x: apiVersion: version policy.networking.k8s.io/v1alpha1 of ClusterNetworkPolicy is not read: expected policy.networking.k8s.io/v1alpha2`},
		{"policy.networking.k8s.io/v1", "AdminNetworkPolicy", `1: AdminNetworkPolicy x: apiVersion: version policy.networking.k8s.io/v1 of AdminNetworkPolicy is not read: expected policy.networking.k8s.io/v1alpha1`},
		{"crd.antrea.io/v1beta1", "NetworkPolicy", `1: NetworkPolicy x: apiVersion: NetworkPolicy is not supported yet by this version: leave it out, or write it as a policy of networking.k8s.io/v1 or projectcalico.org/v3`},
		{"k8s.cni.cncf.io/v1beta1", "MultiNetworkPolicy", `1: MultiNetworkPolicy x: apiVersion: MultiNetworkPolicy of k8s.cni.cncf.io/v1beta1 is not supported: leave it out, or write it in networking.k8s.io/v1 or projectcalico.org/v3`},

		{"projectcalico.org/v3", "IPPool", `note: 1: 1 object of IPPool (projectcalico.org/v3) passed over: it decides nothing here`},
		{"projectcalico.org/v3", "Node", `note: 1: 1 object of Node (projectcalico.org/v3) passed over: it decides nothing here`},
		{"crd.projectcalico.org/v1", "BlockAffinity", `note: 1: 1 object of BlockAffinity (crd.projectcalico.org/v1) passed over: it decides nothing here`},
		{"networking.k8s.io/v1", "Ingress", `note: 1: 1 object of Ingress (networking.k8s.io/v1) passed over: it decides nothing here`},
		{"policy/v1", "PodDisruptionBudget", `note: 1: 1 object of PodDisruptionBudget (policy/v1) passed over: it decides nothing here`},
		{"v1", "Secret", `note: 1: 1 object of Secret (v1) passed over: it decides nothing here`},
		{"batch.volcano.sh/v1alpha1", "Job", `note: 1: 1 object of Job (batch.volcano.sh/v1alpha1) passed over: it decides nothing here`},
		{"security.istio.io/v1", "AuthorizationPolicy", `note: 1: 1 object of AuthorizationPolicy (security.istio.io/v1) passed over: it decides nothing here`},
	} {
		t.Run(tt.apiVersion+" "+tt.kind, func(t *testing.T) {
			text := "apiVersion: " + tt.apiVersion + "\nkind: " + tt.kind + "\nmetadata: {name: x}\n"
			resources, findings := load(t, text)
			diff(t, "findings", []string{tt.want}, texts(findings, ""))
			if len(resources) > 0 {
				t.Errorf("read %v", keysOf(resources))
			}
			// No less in a list.
			_, findings = load(t, "apiVersion: v1\nkind: List\nitems:\n- "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "))
			if len(findings) != 1 || findings[0].Note != strings.HasPrefix(tt.want, "note: ") {
				t.Errorf("in a list: %v", texts(findings, ""))
			}
		})
	}
	_, findings := load(t, "kind: Kustomization\n---\nkind: NetworkPolicyy\n")
	diff(t, "without a version", []string{
		"3: NetworkPolicyy : kind: NetworkPolicyy is no kind that is read; did you mean NetworkPolicy? Then it needs apiVersion: networking.k8s.io/v1 or projectcalico.org/v3",
		"note: 1: 1 object of Kustomization passed over: it decides nothing here",
	}, texts(findings, ""))
}

// TestWhatFollows checks that nothing after the first value of a text is lost,
// whatever separates them.
func TestWhatFollows(t *testing.T) {
	json := func(name string) string {
		return `{"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{"name":"` + name + `"}}`
	}
	utf16 := func(text string) string {
		out := "\xff\xfe"
		for _, c := range text {
			out += string([]byte{byte(c), 0})
		}
		return out
	}
	two := tier("a") + "---\n" + tier("b")
	for _, tt := range []struct {
		name, file, text string
		objects          []string
		findings         string
	}{
		{"values of JSON", "a.yaml", json("a") + "\n" + json("b"), []string{"Tier/a", "Tier/b"}, ""},
		{"values of JSON on one line, piped", "-", json("a") + json("b"), []string{"Tier/a", "Tier/b"}, ""},
		{"JSON and YAML", "a.yml", tier("a") + "---\n" + json("b") + "\n" + json("c") + "\n--- # more\n" + tier("d"), []string{"Tier/a", "Tier/b", "Tier/c", "Tier/d"}, ""},
		{"JSON after a mark", "a.yaml", "---\n" + json("a") + "\n" + json("b"), []string{"Tier/a", "Tier/b"}, ""},
		{"JSON that ends badly", "a.yaml", json("a") + "\n" + json("b") + "\n]", []string{"Tier/a", "Tier/b"}, `a.yaml:3: is no JSON: invalid character ']' looking for beginning of value`},
		{"text after a flow mapping", "a.yaml", "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}\ngarbage: [", []string{"Tier/a"},
			"a.yaml:2: holds something after the end of a document: put --- between documents, on a line of its own (did not find expected <document start>)"},
		{"old line ends", "a.yaml", strings.ReplaceAll(two, "\n", "\r"), []string{"Tier/a", "Tier/b"}, ""},
		{"UTF-16", "a.yaml", utf16(two), []string{"Tier/a", "Tier/b"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, root, opts := tt.file, "", files.Options{Stdin: strings.NewReader(tt.text)}
			if path != "-" {
				root = write(t, map[string]string{tt.file: tt.text})
				path = root + "/" + tt.file
			}
			resources, findings := files.Load([]string{path}, opts)
			diff(t, "objects", tt.objects, keysOf(resources))
			diff(t, "findings", tt.findings, strings.Join(texts(findings, root), "\n"))
		})
	}
}

// TestLists checks lists in lists, and what is no list or no manifest.
func TestLists(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		objects    []string
		findings   string
	}{
		{"a list in a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}\n- apiVersion: projectcalico.org/v3\n  kind: TierList\n  items: [{metadata: {name: b}}]\n",
			[]string{"Tier/a", "Tier/b"}, ""},
		{"a list in itself", "apiVersion: v1\nkind: List\nitems: &a\n- {apiVersion: v1, kind: List, items: *a}\n", nil, "3: items: holds lists in more than 10 lists"},
		{"items misspelt", "apiVersion: v1\nkind: List\nitmes: []\n", nil, `3: itmes: is no field of a list; did you mean "items"?` + "\nnote: 1: is a list without items"},
		{"a typed list, misspelt", "apiVersion: projectcalico.org/v3\nkind: TierList\nitem: []\n", nil, `3: item: is no field of a list; did you mean "items"?` + "\nnote: 1: is a list without items"},
		{"items that are none", "apiVersion: v1\nkind: List\nitems:\n- null\n- 5\n- {}\n- {apiVersion: v1, Kind: Pod}\n", nil,
			"4: items: is empty: expected an object\n5: items: is the number 5: expected an object\n6: kind: is missing, so that it is unknown what this is\n" + `7: Kind: unknown field; did you mean "kind"?`},
		{"kind misspelt", "apiVersion: v1\nKind: Pod\nmetadata: {name: a}\n", nil, `2: Kind: unknown field; did you mean "kind"?`},
		{"no kind", "apiVersion: v1\nmetadata: {name: a}\n", nil, `1: kind: is missing, so that it is unknown what this is`},
		{"a kind that is none", "apiVersion: v1\nkind:\n", nil, `2: kind: is missing, so that it is unknown what this is`},
		{"objects in a list without a name", "- apiVersion: projectcalico.org/v3\n  kind: Tier\n  metadata: {name: a}\n- {apiVersion: v1, kind: List, items: [{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: b}}]}\n", []string{"Tier/a", "Tier/b"}, ""},
		{"and what is none among them", "- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}\n- 5\n- {apiVersion: v1, Kind: Pod}\n", []string{"Tier/a"},
			"2: is the number 5: expected an object\n" + `3: Kind: unknown field; did you mean "kind"?`},
		{"a chart", "apiVersion: v2\nname: x\nversion: 1.0.0\n", nil, "note: 1: passed over: it is no manifest, since it has no kind"},
		{"a kind of another group that is called a list", "apiVersion: example.com/v1\nkind: AllowList\nitems: [a, b]\n", nil, "note: 1: 1 object of AllowList (example.com/v1) passed over: it decides nothing here"},
		{"policies of another group in a list of theirs", "apiVersion: crd.antrea.io/v1beta1\nkind: NetworkPolicyList\nitems: [{metadata: {name: a}}]\n", nil,
			"3: NetworkPolicy a: apiVersion: NetworkPolicy is not supported yet by this version: leave it out, or write it as a policy of networking.k8s.io/v1 or projectcalico.org/v3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resources, findings := load(t, tt.text)
			diff(t, "objects", tt.objects, keysOf(resources))
			diff(t, "findings", tt.findings, strings.Join(texts(findings, ""), "\n"))
		})
	}
}
