package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// verdict is what is wrong with an object.
type verdict struct {
	reason  string // ReasonValid, ReasonInvalid or ReasonTierNotFound
	message string // empty if nothing is wrong
	closed  bool   // what is wrong fails closed: the object is in force
}

// maxFindings and maxMessage bound what is said of one object; an API server
// takes 32 KiB.
const (
	maxFindings = 10
	maxMessage  = 8 << 10
)

// judge makes a verdict of what package translate has found. What is only worth
// noting leaves an object valid, and is said all the same.
func judge(findings []store.Finding) verdict {
	v := verdict{reason: v3.ReasonInvalid}
	if !slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note }) {
		v.reason = v3.ReasonValid
	}
	v.closed = !slices.ContainsFunc(findings, func(f store.Finding) bool { return !f.Note && !f.Closed })
	if len(findings) == 0 {
		return v
	}
	if len(findings) == 1 && findings[0].Field == "spec.tier" {
		v.reason = v3.ReasonTierNotFound
	}
	lines := make([]string, 0, maxFindings+1)
	for i := range findings {
		if i == maxFindings {
			lines = append(lines, fmt.Sprintf("and %d more", len(findings)-maxFindings))
			break
		}
		f := &findings[i]
		if f.Field != "" {
			lines = append(lines, f.Field+": "+f.Message)
		} else {
			lines = append(lines, f.Message)
		}
	}
	v.message = shorten(strings.Join(lines, "; "), maxMessage)
	return v
}

// shorten cuts a text to a number of bytes, at the border of a character.
func shorten(text string, most int) string {
	const ellipsis = "..."
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(ellipsis)], "") + ellipsis
}

func (v verdict) valid() bool { return v.reason == v3.ReasonValid }

// accepted returns the condition Accepted.
func (v verdict) accepted() metav1.Condition {
	c := metav1.Condition{Type: v3.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v.reason, Message: "it is valid"}
	if v.valid() && v.message != "" {
		c.Message += "; " + v.message
	}
	if !v.valid() {
		c.Status, c.Message = metav1.ConditionFalse, v.message
	}
	return c
}

// status is what an object's status should say. Objects that are no policies have
// a part of it. The times of its conditions are not set.
func status(f policy.StatusKind, generation int64, v verdict, t tally) v3.PolicyStatus {
	s := v3.PolicyStatus{ObservedGeneration: generation, Conditions: []metav1.Condition{v.accepted()}}
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

// programmed returns the condition Programmed.
func programmed(v verdict, t tally) metav1.Condition {
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
	case t.trouble != trouble{}:
		others := ""
		if max(t.other, t.refusals) > 1 {
			others = " (and other nodes)"
		}
		return no(v3.ReasonNodeError, "node %s: %s%s", t.trouble.node, t.trouble.message, others)
	case t.other > 0:
		return no(v3.ReasonPending, "another generation of it is in force on %d of %s", t.other, count(t.other+t.nodes, "node"))
	case t.nodes > 0:
		c := no(v3.ReasonInForce, "in force for %s", onNodes(t.endpoints, t.nodes))
		c.Status = metav1.ConditionTrue
		return c
	}
	c := no(v3.ReasonNoEndpoints, "no node reports an endpoint that it applies to")
	if t.cut > 0 {
		c.Message += fmt.Sprintf(", but %s cannot report all policies", count(t.cut, "node"))
	}
	c.Status = metav1.ConditionUnknown
	return c
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
func renew(old, now *v3.PolicyStatus, at time.Time) bool {
	differs := old.ObservedGeneration != now.ObservedGeneration || old.Endpoints != now.Endpoints || old.Nodes != now.Nodes
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
