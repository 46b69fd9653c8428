package controller

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/api/v1alpha1"
	"github.com/tierwall/tierwall/policy"
)

// TestOverdueReports: a report that is not renewed says nothing of the present. It is judged by the
// controller's clock, and whatever the agent's says.
func TestOverdueReports(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	limit := v1alpha1.OverdueAfter(4)
	report := func(renewed time.Time) *v1alpha1.Report {
		r := &v1alpha1.Report{Policies: []v1alpha1.ReportedPolicy{{Kind: policy.KindGlobalNetworkPolicy, Name: "a", Generation: 1, Endpoints: 1}}}
		if !renewed.IsZero() {
			r.Renewed = metav1.NewTime(renewed)
		}
		return r
	}
	l := &leader{state: newState(), queue: newQueue(), nodes: newNodes()}
	s := l.state.rollups
	s.set("renews", "1", report(now), now)
	s.set("silent", "1", report(now), now)
	s.set("clock", "1", report(now.Add(-1000*time.Hour)), now) // the agent's clock is wrong
	s.set("older", "1", report(time.Time{}), now)              // of a version that does not renew
	stale := func() (nodes []string) {
		for _, p := range l.nodeProblems(now) {
			if p.reason == reasonStale {
				nodes = append(nodes, p.about.Name)
			}
		}
		return nodes
	}
	look := func(at time.Time, want string) {
		t.Helper()
		l.state.lookForOverdue(at)
		if got := strings.Join(stale(), " "); got != want {
			t.Errorf("after %s: the reports of %q are overdue, want %q", at.Sub(now), got, want)
		}
	}
	unknown := func() string {
		return find(status(policy.PolicyStatus, 1, validate(nil), s.rollout(gnpKey("new"), 1)).Conditions, "Programmed").Message
	}
	look(now.Add(limit), "")
	if strings.Contains(unknown(), "renewed") {
		t.Errorf("a new policy's status says %q", unknown())
	}
	s.set("renews", "2", report(now.Add(limit)), now.Add(limit))
	s.set("clock", "2", report(now.Add(-999*time.Hour)), now.Add(limit))
	s.set("silent", "1", report(now), now.Add(limit)) // the controller has read all reports anew
	look(now.Add(limit+time.Second), "silent")
	if !strings.Contains(unknown(), "some nodes have not renewed their report") {
		t.Errorf("a new policy's status says %q", unknown())
	}
	if n := l.state.overdue(); n != 1 {
		t.Errorf("%d nodes are stale, want 1", n)
	}
	s.set("silent", "2", report(now.Add(2*limit)), now.Add(limit+2*time.Second))
	look(now.Add(limit+3*time.Second), "")
}

// TestRenewInterval: a report is renewed in time, and a large cluster writes no more than it bears.
func TestRenewInterval(t *testing.T) {
	for _, nodes := range []int{0, 1, 100, 1000, 5000, 15000} {
		interval := v1alpha1.RenewInterval(nodes)
		if perSecond := float64(nodes) / interval.Seconds(); perSecond > 25 || interval < 2*time.Minute || v1alpha1.OverdueAfter(nodes) < 2*interval {
			t.Errorf("%d nodes: every %s, overdue after %s", nodes, interval, v1alpha1.OverdueAfter(nodes))
		}
	}
}
