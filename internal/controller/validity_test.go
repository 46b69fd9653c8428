package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// TestStatus checks what a status says, condition by condition:
// "Type=Status Reason: message".
func TestStatus(t *testing.T) {
	valid := validate(nil)
	invalid := validate([]store.Finding{{Field: "spec.selector", Message: "is wrong"}})
	closed := validate([]store.Finding{{Field: "spec.egress[0].to[0]", Message: "is wrong", FailClosed: true}})
	for _, tt := range []struct {
		name     string
		kind     policy.StatusKind
		validity validity
		rollout  rollout
		want     string
	}{
		{"an object", policy.ObjectStatus, valid, rollout{}, "Accepted=True Valid: it is valid"},
		{"a staged policy", policy.StagedStatus, invalid, rollout{endpoints: 3}, "Accepted=False Invalid: spec.selector: is wrong"},
		{"in force", policy.PolicyStatus, valid, rollout{endpoints: 5, nodes: 2}, "5 on 2\nAccepted=True Valid: it is valid\nProgrammed=True InForce: in force for 5 endpoints on 2 nodes"},
		{"for one", policy.PolicyStatus, valid, rollout{endpoints: 1, nodes: 1}, "1 on 1\nAccepted=True Valid: it is valid\nProgrammed=True InForce: in force for 1 endpoint on 1 node"},
		{"for none", policy.PolicyStatus, valid, rollout{}, "Accepted=True Valid: it is valid\nProgrammed=Unknown NoEndpoints: no node reports an endpoint that it applies to"},
		{"for none, perhaps", policy.PolicyStatus, valid, rollout{cut: 2}, "Accepted=True Valid: it is valid\nProgrammed=Unknown NoEndpoints: no node reports an endpoint that it applies to, but 2 nodes cannot report all policies"},
		{"spreading", policy.PolicyStatus, valid, rollout{endpoints: 5, nodes: 2, other: 1, otherEndpoints: 7}, "5 on 2\nAccepted=True Valid: it is valid\nProgrammed=False Pending: another generation of it is in force on 1 of 3 nodes"},
		{"stuck", policy.PolicyStatus, valid, rollout{endpoints: 5, nodes: 2, other: 1, nodeError: nodeError{"n1", "no memory"}}, "5 on 2\nAccepted=True Valid: it is valid\nProgrammed=False NodeError: node n1: no memory"},
		{"stuck on many", policy.PolicyStatus, valid, rollout{other: 2, nodeError: nodeError{"n1", "no memory"}}, "Accepted=True Valid: it is valid\nProgrammed=False NodeError: node n1: no memory (and other nodes)"},
		{"refused by a node", policy.PolicyStatus, valid, rollout{invalidOn: 1, nodeError: nodeError{"n1", "spec.x: unknown"}}, "Accepted=True Valid: it is valid\nProgrammed=False NodeError: node n1: spec.x: unknown"},
		{"invalid", policy.PolicyStatus, invalid, rollout{}, "Accepted=False Invalid: spec.selector: is wrong\nProgrammed=False NotAccepted: it is not accepted, and no version of it is in force"},
		{"failing closed", policy.ConditionsStatus, closed, rollout{endpoints: 5, nodes: 2}, "Accepted=False Invalid: spec.egress[0].to[0]: is wrong\nProgrammed=True InForce: in force for 5 endpoints on 2 nodes"},
		{"invalid now", policy.PolicyStatus, invalid, rollout{other: 2, otherEndpoints: 3}, "Accepted=False Invalid: spec.selector: is wrong\nProgrammed=False NotAccepted: it is not accepted; its last valid version stays in force for 3 endpoints on 2 nodes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := status(tt.kind, 7, tt.validity, tt.rollout)
			var b strings.Builder
			if s.Nodes > 0 {
				fmt.Fprintf(&b, "%d on %d\n", s.Endpoints, s.Nodes)
			}
			for _, c := range s.Conditions {
				b.WriteString(c.Type + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message + "\n")
				if c.ObservedGeneration != 7 {
					t.Errorf("%s is about generation %d", c.Type, c.ObservedGeneration)
				}
			}
			generation := int64(7)
			if tt.kind == policy.ConditionsStatus { // it is in the conditions only
				generation = 0
			}
			if d := cmp.Diff(tt.want+"\n", b.String()); d != "" || s.ObservedGeneration != generation {
				t.Errorf("generation %d (-want +got):\n%s", s.ObservedGeneration, d)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	tier := store.Finding{Field: "spec.tier", Message: "does not exist"}
	if got := validate([]store.Finding{tier}); got.reason != v3.ReasonTierNotFound {
		t.Errorf("a missing tier: %+v", got)
	}
	if got := validate([]store.Finding{tier, {Message: "too large"}}); got.reason != v3.ReasonInvalid || got.message != "spec.tier: does not exist; too large" {
		t.Errorf("a missing tier and more: %+v", got)
	}
	many := make([]store.Finding, 50)
	for i := range many {
		many[i] = store.Finding{Field: "f", Message: strings.Repeat("ä", 1000)}
	}
	got := validate(many)
	if len(got.message) > maxMessage || !utf8.ValidString(got.message) {
		t.Errorf("the message has %d bytes", len(got.message))
	}
	if got := validate(many[:11]); strings.HasSuffix(got.message, "and 1 more") == (len(got.message) == maxMessage) {
		t.Errorf("the end of the message is %q", got.message[len(got.message)-20:])
	}
}

// TestRenew checks when a condition's time is kept, and when there is news.
func TestRenew(t *testing.T) {
	then, now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 9, 0, 0, 5, time.UTC)
	v := validate(nil)
	old := status(policy.PolicyStatus, 1, v, rollout{endpoints: 1, nodes: 1})
	if !renew(&objectStatus{}, &old, then) {
		t.Error("a first status is no news")
	}
	for _, tt := range []struct {
		name    string
		status  objectStatus
		news    bool
		changed time.Time // of Programmed
	}{
		{"the same", status(policy.PolicyStatus, 1, v, rollout{endpoints: 1, nodes: 1}), false, then},
		{"another number", status(policy.PolicyStatus, 1, v, rollout{endpoints: 2, nodes: 1}), true, then},
		{"another generation", status(policy.PolicyStatus, 2, v, rollout{endpoints: 1, nodes: 1}), true, then},
		{"no longer in force", status(policy.PolicyStatus, 1, v, rollout{endpoints: 1, nodes: 1, other: 1}), true, now.Truncate(time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := renew(&old, &tt.status, now); got != tt.news {
				t.Errorf("news: %v", got)
			}
			c := find(tt.status.Conditions, v3.ConditionProgrammed)
			if !c.LastTransitionTime.Equal(new(metav1.NewTime(tt.changed))) {
				t.Errorf("it changed at %v, want %v", c.LastTransitionTime, tt.changed)
			}
		})
	}
}
