package kube

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
)

func list(t *testing.T, api *fakeAPI, opts Options) (store.Listing, []string, error) {
	t.Helper()
	s := must(newSource(api.config(), opts, quick()))
	l, err := s.List(context.Background())
	var keys []string
	for _, r := range l.Resources {
		keys = append(keys, r.Key.String())
	}
	return l, keys, err
}

func TestList(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	var want []string
	for i := range 2*pageSize + 10 {
		api.put(pods, pod("web", fmt.Sprintf("p%05d", i), "1"))
		want = append(want, fmt.Sprintf("web/Pod/p%05d", i))
	}
	api.put(pods, pod("db", "a", "1"))
	api.put(kubeNP, kubePolicy("web", "p", "1"))
	api.put(global, globalPolicy("default", "p", "1"))
	api.put(global, map[string]any{"metadata": map[string]any{"name": "bad"}, "spec": map[string]any{"tierr": 1, "selector": "all()"}})
	l, keys, err := list(t, api, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want = slices.Concat([]string{"GlobalNetworkPolicy/p", "Namespace/web", "db/Pod/a", "web/KubernetesNetworkPolicy/p"}, want)
	if d := cmp.Diff(want, keys); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	if len(l.Rejected) != 1 || !slices.Contains(l.Rejected[0].Unread, "spec.tierr") {
		t.Errorf("rejected: %v", l.Rejected)
	}
	if !matches(l.Findings, []string{"GlobalNetworkPolicy bad: spec.tierr: unknown field"}) {
		t.Errorf("findings: %v", l.Findings)
	}
}

// TestListNamespace checks what a user gets who may read one namespace only.
func TestListNamespace(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(namespaces, namespace("db", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(pods, pod("db", "a", "1"))
	api.put(kubeNP, kubePolicy("web", "p", "1"))
	api.put(global, globalPolicy("default", "p", "1"))
	api.refuse = func(plural, verb string, r *http.Request) *metav1.Status {
		if !strings.Contains(r.URL.Path, "/namespaces/web") && plural != "apis" && plural != "projectcalico.org" {
			return &metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: plural + " is forbidden: cannot " + verb}
		}
		return nil
	}
	l, keys, err := list(t, api, Options{Namespace: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Namespace/web", "web/KubernetesNetworkPolicy/p", "web/Pod/a"}, keys); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	want := []string{"nodes", "tiers", "globalnetworksets", "profiles", "hostendpoints", "globalnetworkpolicies", "stagedglobalnetworkpolicies"}
	for i, w := range want {
		want[i] = w + ".projectcalico.org cannot be read, so that none of them are seen here"
		if w == "nodes" {
			want[i] = "nodes cannot be read, so that none of them are seen here"
		}
	}
	if !matches(l.Findings, want) || slices.ContainsFunc(l.Findings, func(f store.Finding) bool { return !f.Note }) {
		t.Errorf("findings: %v", l.Findings)
	}
	if _, _, err := list(t, api, Options{Namespace: "none"}); err != nil {
		t.Errorf("a namespace that may not be read: %v", err)
	}
	api.refuse = nil
	if _, _, err := list(t, api, Options{Namespace: "none"}); err == nil || err.Error() != `namespace "none" does not exist` {
		t.Errorf("a namespace that is none: %v", err)
	}
	l, _, err = list(t, api, Options{})
	if err != nil || len(l.Findings) > 0 {
		t.Errorf("%v, findings: %v", err, l.Findings)
	}
	api.forbid("pods")
	l, keys, err = list(t, api, Options{})
	if err != nil || len(keys) != 4 || !matches(l.Findings, []string{`pods cannot be read, so that none of them`}) || l.Findings[0].Note {
		t.Errorf("%v, %v, findings: %v", err, keys, l.Findings)
	}
}

// TestListFails checks what keeps a listing from being given.
func TestListFails(t *testing.T) {
	api := newFakeAPI(t)
	api.put(pods, pod("web", "a", "1"))
	expiries := 0
	api.refuse = func(plural, verb string, _ *http.Request) *metav1.Status {
		if plural == "pods" && verb == "list" && expiries > 0 {
			expiries--
			return gone()
		}
		return nil
	}
	expiries = listTries - 1
	if _, keys, err := list(t, api, Options{}); err != nil || len(keys) != 1 {
		t.Errorf("after expiries: %v, %v", keys, err)
	}
	expiries = listTries
	if _, _, err := list(t, api, Options{}); err == nil || !strings.Contains(err.Error(), "pods: too old resource version") {
		t.Errorf("expired for good: %v", err)
	}
	api.change(func() { api.goneAway = true })
	if _, _, err := list(t, api, Options{}); err == nil || !strings.Contains(err.Error(), "cannot be reached: it ends connections") {
		t.Errorf("without a server: %v", err)
	}
}

// TestListFallback checks what a user gets who may read one namespace, and all that
// is in none but namespaces and nodes.
func TestListFallback(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(pods, pod("db", "a", "1"))
	api.put(kubeNP, kubePolicy("web", "p", "1"))
	api.put(global, globalPolicy("default", "p", "1"))
	api.refuse = func(plural, verb string, r *http.Request) *metav1.Status {
		cluster := []string{"apis", "projectcalico.org", "tiers", "globalnetworksets", "profiles", "hostendpoints", "globalnetworkpolicies", "stagedglobalnetworkpolicies"}
		if !strings.Contains(r.URL.Path, "/namespaces/web") && !slices.ContainsFunc(cluster, func(c string) bool { return strings.HasPrefix(plural, c) }) {
			return &metav1.Status{Code: 403, Reason: metav1.StatusReasonForbidden, Message: plural + " is forbidden: cannot " + verb}
		}
		return nil
	}
	var mu sync.Mutex
	var narrowed []string
	opts := Options{Fallback: "web", Narrowed: func(kind string) {
		mu.Lock()
		defer mu.Unlock()
		narrowed = append(narrowed, kind)
	}}
	l, keys, err := list(t, api, opts)
	if err != nil || len(l.Findings) > 0 {
		t.Fatalf("%v, %v", err, l.Findings)
	}
	if d := cmp.Diff([]string{"GlobalNetworkPolicy/p", "Namespace/web", "web/KubernetesNetworkPolicy/p", "web/Pod/a"}, keys); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	for _, kind := range []string{"pods", "nodes", "namespaces", "networkpolicies.networking.k8s.io", "networkpolicies.projectcalico.org"} {
		if !slices.Contains(narrowed, kind) {
			t.Errorf("%s are not among what was narrowed: %v", kind, narrowed)
		}
	}
	if slices.Contains(narrowed, "tiers.projectcalico.org") {
		t.Errorf("tiers are: %v", narrowed)
	}
	opts.Fallback = "db"
	if l, _, err = list(t, api, opts); err != nil || !slices.ContainsFunc(l.Findings, func(f store.Finding) bool {
		return !f.Note && strings.HasPrefix(f.Message, "pods cannot be read, so that none of them are seen here")
	}) {
		t.Errorf("a namespace that may not be read: %v, %v", err, l.Findings)
	}
}
