package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
)

// refresh brings the findings up to date and gives the time after which they may
// change even if nothing arrives; 0: never.
func (co *coalescer) refresh(now time.Time) (again time.Duration) {
	if !co.dirty {
		return 0
	}
	out, again := co.failures(now)
	co.staleSince = co.firstFailure(now)
	out = append(out, co.notes...)
	for _, st := range co.states {
		for _, findings := range st.findings {
			out = append(out, findings...)
		}
	}
	slices.SortFunc(out, store.Finding.Compare)
	co.findings = slices.Compact(out)
	co.dirty = again != 0
	return again
}

// failures returns what is wrong with what cannot be read, and the time after which
// that may change even if nothing arrives; 0: never.
func (co *coalescer) failures(now time.Time) (out []store.Finding, again time.Duration) {
	var cut, refused *failure // of all kinds, the first
	add := func(t *failure, message func() string) {
		switch wait := co.due(t, now); {
		case t == nil:
		case wait > 0:
			again = sooner(again, wait)
		case code(t.err) == http.StatusUnauthorized:
			refused = earlier(refused, t)
		case isUnreachable(t.err):
			cut = earlier(cut, t)
		default:
			out = append(out, store.Finding{Message: message() + co.meanwhile()})
		}
	}
	for _, st := range co.states {
		add(st.failure, func() string { return st.kind.failureText(st.failure) })
	}
	add(co.discoveryFailure, func() string {
		return fmt.Sprintf("which kinds of %s and %s are served cannot be read since %s: %v", v3.GroupName, clusterPolicy, clock(co.discoveryFailure.since), co.discoveryFailure.err)
	})
	if cut != nil {
		out = append(out, store.Finding{Message: fmt.Sprintf("API server %s: cannot be reached since %s: %s%s",
			co.host, clock(cut.since), reason(cut.err), co.meanwhile())})
	}
	if refused != nil {
		out = append(out, store.Finding{Message: fmt.Sprintf("API server %s: does not accept our credentials since %s: check the kubeconfig file, or the token of the service account%s",
			co.host, clock(refused.since), co.meanwhile())})
	}
	return out, again
}

// firstFailure returns since when some kind cannot be read, or the server cannot be reached, as far as
// that is said; zero: all can.
func (co *coalescer) firstFailure(now time.Time) time.Time {
	var first *failure
	note := func(t *failure) {
		if t != nil && co.due(t, now) == 0 {
			first = earlier(first, t)
		}
	}
	for _, st := range co.states {
		note(st.failure)
	}
	if t := co.discoveryFailure; t != nil && isUnreachable(t.err) {
		note(t)
	}
	if first == nil {
		return time.Time{}
	}
	return first.since
}

// waits returns what the first state waits for, and the time after which that may
// change even if nothing arrives; done says that it waits no more.
func (co *coalescer) waits(now time.Time) (findings []store.Finding, again time.Duration, done bool) {
	co.mu.Lock()
	defer co.mu.Unlock()
	if co.phase == streaming {
		return nil, 0, true
	}
	findings, again = co.failures(now)
	return findings, again, false
}

// due says how long a failure may still pass by itself. What the server denies
// does not.
func (co *coalescer) due(t *failure, now time.Time) time.Duration {
	if t == nil {
		return 0
	}
	if c := code(t.err); c == http.StatusForbidden || c == http.StatusUnauthorized {
		return 0
	}
	return max(0, co.timing.grace-now.Sub(t.since))
}

func earlier(a, b *failure) *failure {
	if a == nil || b.since.Before(a.since) {
		return b
	}
	return a
}

// meanwhile says what is in force while something cannot be read.
func (co *coalescer) meanwhile() string {
	if co.phase == streaming {
		return "; what was last read stays in force"
	}
	return "; nothing changes until it can be read"
}

// failureText says why the kind cannot be read, and what would help.
func (k *kind) failureText(t *failure) string {
	switch code(t.err) {
	case http.StatusForbidden:
		return fmt.Sprintf("%s cannot be read: %v: a ClusterRole of the user needs the rule %s", k.FullResource(), t.err, k.rule())
	case http.StatusNotFound:
		return fmt.Sprintf("%s are no longer served since %s", k.FullResource(), clock(t.since))
	}
	return fmt.Sprintf("%s cannot be read since %s: %v", k.FullResource(), clock(t.since), t.err)
}

// rule is what a role needs to read a kind.
func (k *kind) rule() string {
	return fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [\"list\", \"watch\"]}", k.Group, k.Resource)
}

func clock(t time.Time) string { return t.Format(time.DateTime) }

// isUnreachable reports whether no server answered, or not to the end.
func isUnreachable(err error) bool {
	_, isMalformed := errors.AsType[*malformed](err)
	return code(err) == 0 && !isMalformed
}

// reason returns the cause of a cut, without what differs from one try to the next:
// a finding that says the same must be the same.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return cmp.Or(e.Err, "no such host") + " (" + e.Name + ")"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		for inner := e.Err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner
		}
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends connections"
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer"
	}
	return err.Error()
}
