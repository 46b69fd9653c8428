package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
)

func itoa(i int) string { return strconv.Itoa(i) }

// forbid lets the server refuse kinds, and all else be allowed.
func (a *fakeAPI) forbid(plurals ...string) {
	a.change(func() {
		a.epoch++
		a.refuse = func(plural, verb string, _ *http.Request) *metav1.Status {
			if !slices.Contains(plurals, plural) {
				return nil
			}
			return &metav1.Status{Status: "Failure", Code: 403, Reason: metav1.StatusReasonForbidden,
				Message: fmt.Sprintf("%s is forbidden: User %q cannot %s resource", plural, "agent", verb)}
		}
	})
}

// TestCut checks that what happened while the server was away is delivered when it
// is back, and that a cut is a finding while it lasts.
func TestCut(t *testing.T) {
	api := newFakeAPI(t)
	api.put(namespaces, namespace("web", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.put(pods, pod("web", "b", "1"))
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	api.change(func() { api.goneAway = true })
	r.says("cannot be reached since " + time.Now().Format("2006"))
	if r.staleSince.IsZero() {
		t.Error("what was read is not said to be stale")
	}
	api.put(pods, pod("web", "c", "1"))
	api.remove(pods, "web", "a")
	r.has("Namespace/web=1", "web/Pod/a=1", "web/Pod/b=1") // what was last read stays
	api.change(func() { api.goneAway = false })
	r.has("Namespace/web=1", "web/Pod/b=1", "web/Pod/c=1")
	r.says()
	if !r.staleSince.IsZero() {
		t.Error("what is read again is said to be stale")
	}
}

// TestNobodyThere checks that Watch waits for a server, and says so.
func TestNobodyThere(t *testing.T) {
	api := newFakeAPI(t)
	api.put(pods, pod("web", "a", "1"))
	api.change(func() { api.goneAway = true })
	r := watchStore(t, api.config(), Options{}, quick())
	r.waitsFor("API server " + api.server.URL + ": cannot be reached since")
	api.change(func() { api.goneAway = false })
	r.first()
	r.has("web/Pod/a=1")
	r.waitsFor()
}

// TestExpired checks that all is read anew when the server has forgotten where we
// were, that what is gone is found, and that this is one step.
func TestExpired(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprint("early ", early), func(t *testing.T) {
			api := newFakeAPI(t)
			api.expiredEarly = early
			api.put(namespaces, namespace("web", "1"))
			api.put(pods, pod("web", "a", "1"))
			api.put(pods, pod("web", "b", "1"))
			api.put(kubeNP, kubePolicy("web", "p", "1"))
			api.put(kubeNP, kubePolicy("web", "q", "1"))
			r := watchStore(t, api.config(), Options{}, quick())
			r.first()
			before := len(r.batches)
			api.change(func() { api.goneAway = true })
			r.says("cannot be reached")
			api.remove(pods, "web", "a")
			api.put(pods, pod("web", "c", "1"))
			api.put(pods, pod("web", "b", "2"))
			api.remove(kubeNP, "web", "p")
			api.put(kubeNP, kubePolicy("web", "q", "2"))
			api.expire()
			api.change(func() { api.goneAway = false })
			r.has("Namespace/web=1", "web/Pod/b=2", "web/Pod/c=1", "web/KubernetesNetworkPolicy/q=2")
			r.says()
			for _, b := range r.batches[before:] {
				n := 0
				for _, u := range b.Updated {
					if u.Key.Name == "q" {
						n++
					}
				}
				for _, k := range b.Deleted {
					if k.Name == "p" {
						n++
					}
				}
				if n == 1 {
					t.Error("what was read anew came in two steps")
				}
			}
		})
	}
}

// TestForbidden checks that a kind that may not be read holds up the first state,
// and later keeps what it had, while others go on; and what is said of it.
func TestForbidden(t *testing.T) {
	api := newFakeAPI(t)
	api.put(tiers, tier("t", "1"))
	api.put(pods, pod("web", "a", "1"))
	api.forbid("tiers.projectcalico.org")
	r := watchStore(t, api.config(), Options{}, quick())
	r.waitsFor(`tiers.projectcalico.org cannot be read: tiers.projectcalico.org is forbidden: User "agent" cannot watch resource: a ClusterRole of the user needs the rule ` +
		`{apiGroups: ["projectcalico.org"], resources: ["tiers"], verbs: ["list", "watch"]}; nothing changes until it can be read`)
	r.mu.Lock()
	if len(r.batches) > 0 {
		t.Error("a state without tiers was delivered")
	}
	r.mu.Unlock()
	api.forbid()
	r.first()
	r.has("Tier/t=1", "web/Pod/a=1")
	api.forbid("tiers.projectcalico.org", "pods")
	r.says("tiers.projectcalico.org cannot be read", `resources: ["pods"], verbs: ["list", "watch"]}; what was last read stays in force`)
	api.put(pods, pod("web", "b", "1"))
	api.put(namespaces, namespace("web", "1"))
	r.has("Tier/t=1", "web/Pod/a=1", "Namespace/web=1")
	api.forbid()
	r.has("Tier/t=1", "web/Pod/a=1", "web/Pod/b=1", "Namespace/web=1")
	r.says()
}

// TestRefused checks what is said of other refusals.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		status metav1.Status
		want   string
	}{
		{metav1.Status{Code: 401, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized"}, "does not accept our credentials since"},
		{metav1.Status{Code: 500, Reason: metav1.StatusReasonInternalError, Message: "etcd is unwell"}, "pods cannot be read since"},
		{metav1.Status{Code: 429, Reason: metav1.StatusReasonTooManyRequests, Message: "too many requests"}, "asked us to try again later; what was last read stays in force"},
	} {
		t.Run(tt.status.Message, func(t *testing.T) {
			api := newFakeAPI(t)
			r := watchStore(t, api.config(), Options{}, quick())
			r.first()
			api.change(func() {
				api.epoch++
				api.refuse = func(plural, _ string, _ *http.Request) *metav1.Status {
					if plural != "pods" {
						return nil
					}
					return tt.status.DeepCopy()
				}
			})
			r.says(tt.want)
			api.put(pods, pod("web", "a", "1"))
			api.change(func() { api.refuse = nil })
			r.has("web/Pod/a=1")
			r.says()
		})
	}
}

// TestGarbage checks that a stream that says what cannot be read is opened again
// where it was, and that it is said if that goes on.
func TestGarbage(t *testing.T) {
	for _, text := range []string{
		"", "{", `{"type":"ADDED"}`, `{"type":"NEWS","object":{"metadata":{"name":"x"}}}`, `{"type":"ADDED","object":{"metadata":{}}}`, "}{",
		"\x00\x00\x00\x05abcde", "\x00\x00\x00\x05abc", "\xff\xff\xff\xffabc", "\x00\x00\x00\x00",
		string(frame("ADDED", []byte("no message"), "v1", "Pod")), string(frame("ADDED", nil, "v1", "Pod")), string(frame("ERROR", []byte{0xff}, "v1", "Status")),
		`{"type":"ERROR","object":{"code":"x"}}`,
	} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			api := newFakeAPI(t)
			api.put(namespaces, namespace("web", "1"))
			r := watchStore(t, api.config(), Options{}, quick())
			r.first()
			for _, k := range []*kind{pods, global} {
				api.garbage(k, text)
			}
			api.change(func() { // after that, it is well again
				api.log = slices.DeleteFunc(api.log, func(l logged) bool { return l.kind == "garbage" })
			})
			api.put(pods, pod("web", "a", "1"))
			api.put(global, globalPolicy("default", "p", "1"))
			r.has("Namespace/web=1", "web/Pod/a=1", "GlobalNetworkPolicy/p=1")
			r.says()
		})
	}
}

func TestGarbageThatStays(t *testing.T) {
	api := newFakeAPI(t)
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	api.garbage(global, "{]")
	r.says("globalnetworkpolicies.projectcalico.org cannot be read since")
	api.put(pods, pod("web", "a", "1"))
	r.has("web/Pod/a=1")
}

// TestOldServer checks servers that cannot begin a stream with all objects.
func TestOldServer(t *testing.T) {
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprint("mute ", mute), func(t *testing.T) {
			api := newFakeAPI(t)
			api.noWatchList, api.mute = !mute, mute
			api.put(namespaces, namespace("web", "1"))
			api.change(func() {
				for i := range pageSize + 10 {
					api.putLocked(pods, pod("web", "p"+itoa(i), "1"))
					api.putLocked(kubeNP, kubePolicy("web", "n"+itoa(i), "1"))
				}
			})
			r := watchStore(t, api.config(), Options{}, quick())
			r.first()
			if n := len(r.objects); n != 1+2*(pageSize+10) {
				t.Fatalf("%d objects", n)
			}
			api.remove(pods, "web", "p3")
			r.until("the end of a pod", func() bool { return len(r.objects) == 2*(pageSize+10) })
			api.change(func() { api.goneAway = true })
			r.says("cannot be reached")
			api.remove(pods, "web", "p4")
			api.expire()
			api.change(func() { api.goneAway = false })
			r.until("the end of a pod", func() bool { return len(r.objects) == 2*(pageSize+10)-1 })
			if api.listed < 4 {
				t.Errorf("%d pages", api.listed)
			}
		})
	}
}

// TestServedLater checks kinds that are installed while we watch, and removed.
func TestServedLater(t *testing.T) {
	api := newFakeAPI(t)
	all := api.served
	api.served, api.groups = nil, []string{calicoStorage}
	api.cluster = map[string][]string{"v1": {"clusternetworkpolicies"}}
	r := watchStore(t, api.config(), Options{}, quick())
	r.first()
	r.says("install Calico's API server", "policy.networking.k8s.io is served here as v1, which is not read: its policies are not in force")
	api.change(func() { api.groups, api.cluster = nil, nil })
	r.says("projectcalico.org/v3 is not served here, so there are none of its tiers and policies; once")
	api.put(tiers, tier("t", "1"))
	api.put(global, globalPolicy("t", "p", "1"))
	api.change(func() { api.served = []string{"tiers", "globalnetworkpolicies"} })
	r.has("Tier/t=1", "GlobalNetworkPolicy/p=1")
	r.says("projectcalico.org/v3 is served here without networksets,")
	api.change(func() { api.served = all })
	r.says()
	api.change(func() { api.served = []string{"tiers"}; api.epoch++ })
	r.has("Tier/t=1")
	api.change(func() { api.served = all })
	r.has("Tier/t=1", "GlobalNetworkPolicy/p=1")
	r.says()
}

// TestVanishing checks that objects of a kind that is not served for a moment stay.
func TestVanishing(t *testing.T) {
	api := newFakeAPI(t)
	times := quick()
	times.vanish = time.Hour
	api.put(tiers, tier("t", "1"))
	r := watchStore(t, api.config(), Options{}, times)
	r.first()
	all := api.served
	api.change(func() { api.served = nil; api.epoch++ })
	r.until("a finding", func() bool {
		return slices.ContainsFunc(r.findings, func(f store.Finding) bool { return !f.Note })
	})
	r.has("Tier/t=1")
	api.change(func() { api.served = all })
	r.says()
	r.has("Tier/t=1")
}

// TestUndiscovered checks that it is not taken for "nothing is served" if the
// server cannot say what is.
func TestUndiscovered(t *testing.T) {
	api := newFakeAPI(t)
	api.refuse = func(plural, _ string, _ *http.Request) *metav1.Status {
		if plural != v3.GroupName {
			return nil
		}
		return &metav1.Status{Code: 503, Reason: metav1.StatusReasonServiceUnavailable, Message: "its own server is away"}
	}
	r := watchStore(t, api.config(), Options{}, quick())
	r.waitsFor("which kinds of projectcalico.org and policy.networking.k8s.io are served cannot be read since")
	api.change(func() { api.refuse = nil })
	r.first()
	r.waitsFor()
}
