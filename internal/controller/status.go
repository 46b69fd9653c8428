package controller

import (
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// objectStatus is the status of an object of any kind, which has a part of it.
type objectStatus struct {
	v3.PolicyStatus
	DefaultAction v3.Action `json:"defaultAction,omitempty"` // of a tier
}

// status is what an object's status should say. Objects that are no policies have
// a part of it. The times of its conditions are not set.
func status(f policy.StatusKind, generation int64, v validity, t rollout) objectStatus {
	s := objectStatus{PolicyStatus: v3.PolicyStatus{ObservedGeneration: generation, Conditions: []metav1.Condition{v.accepted()}}}
	if f.CountsNodes() {
		s.Endpoints, s.Nodes = clamp(t.endpoints), clamp(t.nodes)
		s.Conditions = append(s.Conditions, programmed(v, t))
	}
	for i := range s.Conditions {
		s.Conditions[i].ObservedGeneration = generation
	}
	if f == policy.ConditionsStatus { // what it cannot hold cannot differ from what it holds
		s.ObservedGeneration, s.Endpoints, s.Nodes = 0, 0, 0
	}
	return s
}

func clamp(n int) int32 { return int32(min(n, math.MaxInt32)) }

// accepted returns the condition Accepted.
func (v validity) accepted() metav1.Condition {
	c := metav1.Condition{Type: v3.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v.reason, Message: "it is valid"}
	if v.valid() && v.message != "" {
		c.Message += "; " + v.message
	}
	if !v.valid() {
		c.Status, c.Message = metav1.ConditionFalse, v.message
	}
	return c
}

// programmed returns the condition Programmed.
func programmed(v validity, t rollout) metav1.Condition {
	no := func(reason, format string, args ...any) metav1.Condition {
		return metav1.Condition{
			Type: v3.ConditionProgrammed, Status: metav1.ConditionFalse, Reason: reason,
			Message: shorten(fmt.Sprintf(format, args...), maxMessage),
		}
	}
	switch {
	case !v.closed && t.other+t.nodes > 0:
		return no(v3.ReasonNotAccepted, "it is not accepted; its last valid version stays in force for %s", onNodes(t.endpoints+t.otherEndpoints, t.other+t.nodes))
	case !v.closed:
		return no(v3.ReasonNotAccepted, "it is not accepted, and no version of it is in force")
	case t.other == 0 && t.invalidOn == 0 && t.notEnforceable > 0:
		return no(v3.ReasonNotEnforceable, "in force for %s; not for %s: node %s: %s",
			onNodes(t.endpoints, t.nodes), count(t.notEnforceable, "endpoint"), t.nodeError.node, t.nodeError.message)
	case t.nodeError != nodeError{}:
		others := ""
		if max(t.other, t.invalidOn) > 1 {
			others = " (and other nodes)"
		}
		return no(v3.ReasonNodeError, "node %s: %s%s", t.nodeError.node, t.nodeError.message, others)
	case t.other > 0:
		return no(v3.ReasonPending, "another generation of it is in force on %d of %s%s", t.other, count(t.other+t.nodes, "node"), t.overdueText())
	case t.nodes > 0:
		c := no(v3.ReasonInForce, "in force for %s", onNodes(t.endpoints, t.nodes))
		c.Status = metav1.ConditionTrue
		return c
	}
	c := no(v3.ReasonNoEndpoints, "no node reports an endpoint that it applies to")
	if t.cut > 0 {
		c.Message += fmt.Sprintf(", but %s cannot report all policies", count(t.cut, "node"))
	}
	c.Message += t.overdueText()
	c.Status = metav1.ConditionUnknown
	return c
}

// overdueText says that some of what nodes report may no longer be so. Which ones is said in Events of
// the nodes: it must not be written to each policy anew.
func (t rollout) overdueText() string {
	if !t.overdue {
		return ""
	}
	return "; some nodes have not renewed their report: see their Events, and kubectl get nodepolicyreports"
}

func onNodes(endpoints, nodes int) string {
	return count(endpoints, "endpoint") + " on " + count(nodes, "node")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// renew returns the conditions their times: that of the old one where the status of
// the condition is the same. It reports whether anything differs.
func renew(old, now *objectStatus, at time.Time) bool {
	differs := old.ObservedGeneration != now.ObservedGeneration || old.Endpoints != now.Endpoints || old.Nodes != now.Nodes || old.DefaultAction != now.DefaultAction
	for i := range now.Conditions {
		c := &now.Conditions[i]
		c.LastTransitionTime = metav1.NewTime(at.Truncate(time.Second))
		was := find(old.Conditions, c.Type)
		if was == nil {
			differs = true
			continue
		}
		if was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
		differs = differs || was.Status != c.Status || was.Reason != c.Reason || was.Message != c.Message || was.ObservedGeneration != c.ObservedGeneration
	}
	return differs
}

func find(conditions []metav1.Condition, name string) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == name {
			return &conditions[i]
		}
	}
	return nil
}
