package manifest_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/manifest"
	"github.com/tierwall/tierwall/policy"
)

// objects are what a model holds, by their keys.
func objects(m *policy.Model) []string {
	var out []string
	for _, p := range m.Policies {
		out = append(out, p.Key.String())
	}
	for _, e := range m.Endpoints {
		out = append(out, e.Key.String())
	}
	for _, s := range m.Sets {
		out = append(out, s.Key.String())
	}
	return out
}

const (
	pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\nstatus: {podIPs: [{ip: 10.0.0.1}]}\n"
	// Its peer is nobody, as one is to an older version that does not know it.
	emptyPeer = `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: future}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{name: a, action: Accept, from: [{}]}]
`
	ciliumPolicy = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nodes}
spec:
  endpointSelector: {}
  ingress: [{fromEntities: [remote-node, host]}]
`
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		opts             manifest.Options
		want             []string // objects of the model
		notes            []string
	}{
		{name: "nothing"},
		{name: "one object, of the default namespace", text: pod, want: []string{"default/Pod/a"}},
		{name: "a namespace for what names none", text: pod, opts: manifest.Options{Namespace: "shop"}, want: []string{"shop/Pod/a"}},
		{
			name: "what kubectl get prints",
			text: `{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [{"apiVersion": "v1", "kind": "Pod",
				"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": []}}]}`,
			want: []string{"shop/Pod/a"},
		},
		{
			name: "other kinds are passed over", file: "m.yaml", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n" + pod,
			want:  []string{"default/Pod/a"},
			notes: []string{"m.yaml:1: 1 object of ConfigMap (v1) passed over: it decides nothing here"},
		},
		{
			name: "Cilium's policies are converted", text: pod + "---\n" + ciliumPolicy,
			opts: manifest.Options{NodeCIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}},
			want: []string{"GlobalNetworkPolicy/default.cnp-default-nodes", "default/Pod/a", "GlobalNetworkSet/cilium-node"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := manifest.Parse(c.file, []byte(c.text), c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, objects(m.Model)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			var notes []string
			for _, f := range m.Findings {
				if f.Severity == manifest.Note {
					notes = append(notes, f.String())
				}
			}
			if c.notes != nil && !cmp.Equal(c.notes, notes) {
				t.Errorf("notes (-want +got):\n%s", cmp.Diff(c.notes, notes))
			}
			if len(m.LeftOut()) > 0 {
				t.Errorf("left out: %v", m.LeftOut())
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	const other = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {v: '2'}}\nspec: {containers: []}\n"
	podKey := policy.Key{Kind: policy.KindPod, Namespace: "default", Name: "a"}
	clusterKey := policy.Key{Kind: policy.KindClusterNetworkPolicy, Name: "future"}
	for _, c := range []struct {
		name, text string
		want       []manifest.Finding // errors
		model      []string           // with SkipInvalid
		leftOut    []policy.Key
	}{
		{
			name: "no YAML", text: pod + "---\n{{ template\n",
			want: []manifest.Finding{{Severity: manifest.Invalid, File: "m.yaml", Line: 6,
				Message: "is no YAML: did not find expected ',' or '}' (line 7 looks like a template: render it first)"}},
			model: []string{"default/Pod/a"},
		},
		{
			name: "an unknown field", text: "apiVersion: projectcalico.org/v3\nkind: Tier\nmetdata: {}\nmetadata: {name: a}\n",
			want:    []manifest.Finding{{Severity: manifest.Invalid, File: "m.yaml", Line: 3, Object: policy.Key{Kind: policy.KindTier, Name: "a"}, Field: "metdata", Message: `unknown field; did you mean "metadata"?`}},
			leftOut: []policy.Key{{Kind: policy.KindTier, Name: "a"}},
		},
		{
			name: "a second object of a name", text: pod + "---\n" + other,
			want:    []manifest.Finding{{Severity: manifest.Invalid, File: "m.yaml", Line: 9, Object: podKey, Field: "metadata.name", Message: "is already the name of the Pod at m.yaml:1: remove one of them, or rename it"}},
			model:   []string{"default/Pod/a"},
			leftOut: []policy.Key{podKey},
		},
		{
			name: "what fails closed is in the model", text: emptyPeer,
			want:  []manifest.Finding{{Severity: manifest.FailsClosed, File: "m.yaml", Line: 8, Object: clusterKey, Field: "spec.ingress[0].from[0]", Message: "is empty: expected namespaces or pods; until then it accepts nothing"}},
			model: []string{"ClusterNetworkPolicy/future"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := manifest.Parse("m.yaml", []byte(c.text), manifest.Options{})
			invalid, ok := errors.AsType[*manifest.InvalidError](err)
			if !ok {
				t.Fatalf("the error is %v", err)
			}
			m, err := manifest.Parse("m.yaml", []byte(c.text), manifest.Options{SkipInvalid: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(invalid.Findings, m.Findings); diff != "" {
				t.Errorf("other findings where invalid objects are skipped (-error +skipped):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, invalid.Findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.model, objects(m.Model)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.leftOut, m.LeftOut()); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths []string
		want  []string
		err   string
	}{
		{name: "a directory", paths: []string{"testdata"}, want: []string{"shop/KubernetesNetworkPolicy/db", "shop/Deployment/web", "shop/Pod/db-0"}},
		{name: "a file", paths: []string{"testdata/shop/policies.yaml"}, want: []string{"shop/KubernetesNetworkPolicy/db"}},
		{name: "no path", err: "manifest: no files or directories are named"},
		{name: "no such file", paths: []string{"testdata/shop", "nowhere.yaml"}, err: "nowhere.yaml: cannot be read: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := manifest.Load(c.paths, manifest.Options{})
			if err != nil || c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, objects(m.Model)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEndpoint(t *testing.T) {
	const owned = `apiVersion: v1
kind: Pod
metadata: {name: db-%s, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}
spec: {containers: []}
---
`
	text := strings.Replace(owned, "%s", "1", 1) + strings.Replace(owned, "%s", "0", 1)
	m, err := manifest.Parse("", []byte(text), manifest.Options{IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, name, want string }{
		{"StatefulSet", "db", "shop/Pod/db-0"},
		{"Pod", "db-1", "shop/Pod/db-1"},
		{"Deployment", "db", ""},
	} {
		got := ""
		if e := m.Endpoint(policy.Key{Kind: c.kind, Namespace: "shop", Name: c.name}); e != nil {
			got = e.Key.String()
			if !e.PlaceholderAddrs || len(e.Addrs) != 2 || !e.Addrs[0].Is4() || !e.Addrs[1].Is6() {
				t.Errorf("%s has the addresses %v, placeholders: %t", got, e.Addrs, e.PlaceholderAddrs)
			}
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.kind, c.name, got, c.want)
		}
	}
}

func TestErrorListsTheFirst(t *testing.T) {
	e := &manifest.InvalidError{}
	for range 12 {
		e.Findings = append(e.Findings, manifest.Finding{Severity: manifest.Note, Message: "a note"},
			manifest.Finding{Severity: manifest.Invalid, File: "a.yaml", Line: 2, Message: "is wrong"})
	}
	want := strings.Repeat("a.yaml:2: is wrong\n", 10) + "and 2 more"
	if got := e.Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
