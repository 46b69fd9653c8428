package cli

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/tierwall/tierwall/policy"
)

// apiserver is the script command `apiserver FILE`: it serves the objects of a
// file as an API server would, and writes a kubeconfig for it: context "here" in
// namespace shop, context "nobody" of a user who may read nothing, context "part"
// of one who may read what is in shop, and what is in no namespace but nodes and what
// agents report of them, context "plain" of one who may read all but the latter.
func apiserver(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: apiserver FILE")
	}
	f := &fakeAPI{}
	for doc := range strings.SplitSeq(ts.ReadFile(args[0]), "\n---\n") {
		var object map[string]any
		ts.Check(yaml.Unmarshal([]byte(doc), &object))
		f.objects = append(f.objects, object)
	}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that go away
	server.StartTLS()                                   // without TLS, clients send no tokens
	ts.Defer(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
clusters: [{name: fake, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: me, user: {token: mine}}, {name: nobody, user: {token: none}}, {name: part, user: {token: part}}, {name: plain, user: {token: plain}}]
contexts:
- {name: here, context: {cluster: fake, user: me, namespace: shop}}
- {name: nobody, context: {cluster: fake, user: nobody}}
- {name: part, context: {cluster: fake, user: part}}
- {name: plain, context: {cluster: fake, user: plain, namespace: shop}}
`, server.URL, base64.StdEncoding.EncodeToString(authority))
	file := ts.MkAbs("kubeconfig")
	ts.Check(writeFile(file, config))
	ts.Setenv("KUBECONFIG", file)
}

// fakeAPI answers lists.
type fakeAPI struct{ objects []map[string]any }

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !mayRead(token, r.URL.Path) {
		answer(w, http.StatusForbidden, map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": http.StatusForbidden,
			"message": `User "` + cmp.Or(map[string]string{"part": "part", "plain": "plain"}[token], "nobody") + `" cannot list it`,
		})
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch r.URL.Path {
	case "/apis":
		answer(w, http.StatusOK, map[string]any{"kind": "APIGroupList", "groups": []any{map[string]any{"name": "projectcalico.org"}, map[string]any{"name": "policy.tierwall.dev"}}})
	case "/apis/projectcalico.org/v3":
		var resources []any
		for _, k := range policy.StoredKinds() {
			if k.Group == "projectcalico.org" {
				resources = append(resources, map[string]any{"name": k.Resource, "kind": k.Name, "namespaced": k.Namespaced, "verbs": []string{"list", "watch"}})
			}
		}
		answer(w, http.StatusOK, map[string]any{"kind": "APIResourceList", "groupVersion": "projectcalico.org/v3", "resources": resources})
	default:
		f.list(w, r, parts)
	}
}

// mayRead reports whether the user of a token may read what is at a path.
func mayRead(token, path string) bool {
	switch token {
	case "mine":
		return true
	case "plain":
		return !strings.HasSuffix(path, "/nodepolicyreports")
	case "part":
		return ofShop(path)
	}
	return false
}

// ofShop reports whether a path is of namespace shop, or of what is in none; nodes and reports aside.
func ofShop(path string) bool {
	return strings.Contains(path+"/", "/namespaces/shop/") || !slices.ContainsFunc(policy.Kinds(), func(k policy.KindInfo) bool {
		return (k.Namespaced || k.Name == "Namespace" || k.Name == "Node" || k.Name == "NodePolicyReport") && strings.HasSuffix(path, "/"+k.Resource)
	})
}

// list answers GET /api/v1/pods, /apis/GROUP/VERSION/namespaces/NS/KIND and the like.
func (f *fakeAPI) list(w http.ResponseWriter, r *http.Request, parts []string) {
	version := parts[1]
	rest := parts[2:]
	if parts[0] == "apis" {
		version, rest = parts[1]+"/"+parts[2], parts[3:]
	}
	namespace := ""
	if len(rest) == 3 && rest[0] == "namespaces" {
		namespace, rest = rest[1], rest[2:]
	}
	items := []any{}
	for _, o := range f.objects {
		meta := o["metadata"].(map[string]any)
		of := slices.IndexFunc(policy.Kinds(), func(k policy.KindInfo) bool {
			return k.APIVersion() == o["apiVersion"] && k.Name == o["kind"]
		})
		if o["apiVersion"] != version || policy.Kinds()[of].Resource != rest[0] || namespace != "" && meta["namespace"] != namespace {
			continue
		}
		if len(rest) == 2 && meta["name"] == rest[1] {
			answer(w, http.StatusOK, o)
			return
		}
		items = append(items, o)
	}
	if len(rest) == 2 {
		answer(w, http.StatusNotFound, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound})
		return
	}
	kind, apiVersion := "List", version
	if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
		kind, apiVersion = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	answer(w, http.StatusOK, map[string]any{"kind": kind, "apiVersion": apiVersion, "metadata": map[string]any{"resourceVersion": "7"}, "items": items})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
