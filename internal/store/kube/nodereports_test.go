package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/policy"
)

// TestListNodeReports: who asks for what agents report gets addresses and ports; who does not is not kept waiting, and
// nothing that goes wrong with it keeps the rest from being listed.
func TestListNodeReports(t *testing.T) {
	api := newFakeAPI(t)
	info, _ := policy.LookupKind(policy.KindNodePolicyReport)
	reports, plural := &kind{KindInfo: info}, info.FullResource()
	api.put(pods, pod("web", "a", "1"))
	n := pageSize + 10
	for i := range n {
		api.put(reports, map[string]any{"metadata": map[string]any{"name": fmt.Sprintf("n%05d", i)}, "report": map[string]any{
			"localAddresses": []string{"192.0.2.1", "fd00::1"}, "tunnelPorts": []int{7777}, "localTruncated": i == 0,
			"policies": []any{map[string]any{"kind": "GlobalNetworkPolicy", "name": "p", "endpoints": 7}}, "newer": []any{1},
		}})
	}
	var unreported []string
	asked := 0
	refuse := func(status *metav1.Status, times int) {
		api.refuse = func(p, _ string, _ *http.Request) *metav1.Status {
			if p != plural {
				return nil
			}
			if asked++; asked > times {
				return nil
			}
			return status
		}
		unreported, asked = nil, 0
	}
	opts := Options{NodeReports: true, Unreported: func(err error) { unreported = append(unreported, err.Error()) }}
	check := func(what string, want int, why ...string) {
		t.Helper()
		l, keys, err := list(t, api, opts)
		if err != nil || len(l.Findings) > 0 || len(keys) != want+1 || !slices.Contains(keys, "web/Pod/a") || !matches(l.Findings, nil) {
			t.Errorf("%s: %v; %d objects, want %d; %v", what, err, len(keys), want+1, l.Findings)
		}
		if len(unreported) != len(why) || len(why) == 1 && !strings.Contains(unreported[0], why[0]) {
			t.Errorf("%s: %q, want %q", what, unreported, why)
		}
		for _, r := range l.Resources {
			if r.Key != (policy.Key{Kind: policy.KindNodePolicyReport, Name: "n00000"}) {
				continue
			}
			w := &v1alpha1.NodePolicyReport{ObjectMeta: metav1.ObjectMeta{Name: "n00000"}, Report: v1alpha1.Report{
				LocalAddresses: []string{"192.0.2.1", "fd00::1"}, TunnelPorts: []int32{7777}, LocalTruncated: true,
			}}
			if diff := cmp.Diff(w, r.Object); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
	}
	refuse(nil, 0)
	check("a server without the group", 0)
	if asked != 0 {
		t.Error("a server without the group is asked for reports")
	}
	api.groups = []string{info.Group}
	check("reports", n)
	refuse(notFound(), 1)
	check("a server without the kind", 0)
	refuse(gone(), listTries-1)
	check("after expiries", n)
	refuse(gone(), listTries)
	check("expired for good", 0, "too old resource version")
	refuse(&metav1.Status{Status: "Failure", Code: 403, Reason: metav1.StatusReasonForbidden, Message: "forbidden"}, 1<<20)
	check("forbidden", 0, `nodepolicyreports.policy.tierwall.dev cannot be read: forbidden: a role of the user needs the rule {apiGroups: ["policy.tierwall.dev"], resources: ["nodepolicyreports"], verbs: ["list", "watch"]}`)
	refuse(nil, 0)
	api.put(reports, map[string]any{"metadata": map[string]any{"name": "odd"}, "report": map[string]any{"localAddresses": 7}})
	check("garbage", 0, "the answer cannot be read: a report: json: ")
	opts.NodeReports = false
	refuse(nil, 0)
	if check("nobody asks", 0); asked != 0 {
		t.Error("reports are listed for nobody")
	}
}
