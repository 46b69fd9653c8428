package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/hostlink"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// reports collects what is written, and may refuse it.
type reports struct {
	mu   sync.Mutex
	fail error
	list []*v1alpha1.NodePolicyReport
}

func (w *reports) write(_ context.Context, r *v1alpha1.NodePolicyReport) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	w.list = append(w.list, r)
	return nil
}

func (w *reports) last() *v1alpha1.NodePolicyReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.list) == 0 {
		return &v1alpha1.NodePolicyReport{}
	}
	return w.list[len(w.list)-1]
}

func TestReports(t *testing.T) {
	w := &reports{fail: errors.New("nodepolicyreports is forbidden")}
	r, c := newClusterRig(t, func(cfg *Config, _ *faults) { cfg.Report = w.write })
	all := objects(t, agenttest.Cluster, agenttest.AllowPort("5432"), strings.Replace(strings.Replace(agenttest.AllowPort("1"), "name: db", "name: lost", 1), "spec:", "spec:\n  tier: missing", 1))
	for i := range all {
		if o, ok := all[i].Object.(metav1.Object); ok {
			o.SetGeneration(7)
		}
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "here", UID: "node-uid"}}
	c <- store.Batch{Updated: append(all, store.Resource{Key: policy.Key{Kind: "Node", Name: "here"}, Object: node})}
	r.eventually("the refusal shows", func() bool {
		st := r.status()
		return st.Ready && st.Report != nil && strings.Contains(st.Report.Error, "forbidden")
	})
	if _, m := r.get("/metrics"); !strings.Contains(m, "tierwall_report_current 0") {
		t.Error("no metric says so")
	}
	w.mu.Lock()
	w.fail = nil
	w.mu.Unlock()
	r.eventually("a report", func() bool { return len(w.last().Report.Policies) > 0 })
	got := w.last()
	want := &v1alpha1.NodePolicyReport{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy.tierwall.dev/v1alpha1", Kind: "NodePolicyReport"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "here", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "here", UID: "node-uid"}},
		},
		Report: v1alpha1.Report{
			AgentVersion: "test", Applied: got.Report.Applied, Renewed: got.Report.Renewed, Endpoints: 1,
			Policies: []v1alpha1.ReportedPolicy{{Kind: "NetworkPolicy", Namespace: "shop", Name: "db", Generation: 7, Endpoints: 1}},
			Invalid:  []v1alpha1.InvalidObject{{Kind: "NetworkPolicy", Namespace: "shop", Name: "lost", Message: got.Report.Invalid[0].Message}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if !strings.Contains(got.Report.Invalid[0].Message, `tier "missing" does not exist`) || got.Report.Applied.IsZero() || got.Report.Renewed.IsZero() {
		t.Errorf("report: %+v", got.Report)
	}
	// Nothing that a report says: no report. Then something.
	w.mu.Lock()
	n := len(w.list)
	w.mu.Unlock()
	c <- store.Batch{Updated: []store.Resource{podOf("far", "f", "there", "10.0.0.77")}}
	invalid := objects(t, strings.Replace(agenttest.AllowPort("5432"), "spec:", "spec:\n  tier: missing", 1))
	invalid[0].Object.(metav1.Object).SetGeneration(8)
	c <- store.Batch{Updated: invalid}
	r.eventually("the next report", func() bool { return len(w.last().Report.Invalid) == 2 })
	w.mu.Lock()
	if len(w.list) != n+1 {
		t.Errorf("%d reports, want one", len(w.list)-n)
	}
	w.mu.Unlock()
	r.eventually("written", func() bool { return r.status().Report.Error == "" })
}

// TestReportOfTheHost: the report has the node's addresses and ports of tunnels, and is written again when these
// have changed, not each time that they are looked at.
func TestReportOfTheHost(t *testing.T) {
	w, written := &wires{}, &reports{}
	r, c := newClusterRig(t, func(cfg *Config, _ *faults) {
		cfg.Links, cfg.Report, cfg.CheckInterval = w, written.write, 10*time.Millisecond
	})
	found := hostlink.Result{
		LocalAddrs: []netip.Addr{netip.MustParseAddr("10.244.1.1"), netip.MustParseAddr("169.254.20.10")},
		Tunnels:    []hostlink.Tunnel{{Name: "overlay", Protocol: policy.UDP, Port: 7777}, {Name: "vxlan", Protocol: policy.UDP, Port: 4789}},
	}
	w.result = found
	c <- store.Batch{Updated: objects(t, agenttest.Cluster, agenttest.AllowPort("5432"))}
	r.eventually("a report", func() bool { return len(written.last().Report.LocalAddresses) > 0 })
	got := written.last().Report
	if !slices.Equal(got.LocalAddresses, []string{"10.244.1.1", "169.254.20.10"}) || !slices.Equal(got.TunnelPorts, []int32{7777}) || got.LocalTruncated {
		t.Errorf("report: %+v", got)
	}
	reported := func() int {
		written.mu.Lock()
		defer written.mu.Unlock()
		return len(written.list)
	}
	n := reported()
	for range 3 {
		w.set(t, r, found, nil) // nothing new
	}
	found.LocalAddrs = found.LocalAddrs[1:]
	w.set(t, r, found, nil)
	r.eventually("the next report", func() bool { return len(written.last().Report.LocalAddresses) == 1 })
	if more := reported() - n; more != 1 {
		t.Errorf("%d reports, want one", more)
	}
}
