package kube

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// quick are the times of tests, in which nothing is waited for but what happens.
func quick() timing {
	return timing{
		retryMin: time.Millisecond, retryMax: 5 * time.Millisecond, grace: time.Millisecond, settle: 10 * time.Millisecond,
		open: time.Minute, lasting: time.Hour, idle: 200 * time.Millisecond, dependency: 20 * time.Millisecond,
		pollMin: time.Millisecond, pollMax: 5 * time.Millisecond, pollRare: 5 * time.Millisecond, vanish: 20 * time.Millisecond,
	}
}

// patience bounds what a test waits for.
const patience = 30 * time.Second

// reader reads a store as an agent does, and holds it to its contract.
type reader struct {
	t     testing.TB
	steps chan struct{} // something was delivered or said

	mu         sync.Mutex
	objects    map[policy.Key]store.Resource
	findings   []store.Finding
	staleSince time.Time
	waiting    []store.Finding
	batches    []store.Batch
	complete   int // steps whose last part came
	problems   []string
	ended      chan error
}

// watchStore begins to read, until the test ends.
func watchStore(t testing.TB, cfg *rest.Config, opts Options, times timing) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := startReader(ctx, t, cfg, opts, times)
	t.Cleanup(func() {
		cancel()
		if err := <-r.ended; err != nil {
			t.Errorf("Watch gave %v", err)
		}
	})
	return r
}

func startReader(ctx context.Context, t testing.TB, cfg *rest.Config, opts Options, times timing) *reader {
	r := &reader{t: t, steps: make(chan struct{}, 1), objects: map[policy.Key]store.Resource{}, ended: make(chan error, 1)}
	opts.Waiting = r.wait
	opts.Log = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := must(newSource(cfg, opts, times))
	go func() { r.ended <- s.Watch(ctx, r.deliver) }()
	return r
}

// testWriter writes to the log of a test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	if testing.Verbose() {
		fmt.Print(string(p))
	}
	return len(p), nil
}

func (r *reader) wait(findings []store.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = findings
	r.tell()
}

func (r *reader) tell() {
	select {
	case r.steps <- struct{}{}:
	default:
	}
}

// deliver takes a batch in.
func (r *reader) deliver(b store.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	once := map[policy.Key]bool{}
	note := func(k policy.Key) {
		if once[k] {
			r.problems = append(r.problems, "twice in one batch: "+k.String())
		}
		once[k] = true
	}
	if b.Received.IsZero() {
		r.problems = append(r.problems, "a batch without the time it was received")
	}
	for _, k := range b.Deleted {
		note(k)
		if _, found := r.objects[k]; !found {
			r.problems = append(r.problems, "deleted, and was never delivered: "+k.String())
		}
		delete(r.objects, k)
	}
	for _, u := range b.Updated {
		note(u.Key)
		r.objects[u.Key] = u
	}
	r.findings, r.staleSince = b.Findings, b.StaleSince
	r.batches = append(r.batches, b)
	if !b.More {
		r.complete++
	}
	r.tell()
	return nil
}

// until waits for a condition, under the lock.
func (r *reader) until(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		if len(r.problems) > 0 {
			r.mu.Unlock()
			r.t.Fatalf("against the contract: %s", strings.Join(r.problems, "; "))
		}
		if condition() {
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		select {
		case <-r.steps:
		case err := <-r.ended:
			r.ended <- err
			r.t.Fatalf("Watch ended while waiting for: %s", what)
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited in vain for: %s\nobjects: %v\nfindings: %v\nwaiting: %v", what, slices.Collect(maps.Keys(r.objects)), r.findings, r.waiting)
		}
	}
}

// first waits for the first state.
func (r *reader) first() {
	r.t.Helper()
	r.until("the first state", func() bool { return r.complete > 0 })
}

// has waits until exactly these objects are there, as "namespace/Kind/name=version",
// where version is the label v; beside those of nodes' own.
func (r *reader) has(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	r.until(strings.Join(want, " "), func() bool { return slices.Equal(want, r.contents()) })
}

// contents lists what is there as has wants it.
func (r *reader) contents() []string {
	var out []string
	for k, o := range r.objects {
		s := k.String()
		if v := o.Object.(metav1.Object).GetLabels()["v"]; v != "" {
			s += "=" + v
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// says waits until the findings hold exactly these texts, each in one finding.
func (r *reader) says(want ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("findings with %q", want), func() bool { return matches(r.findings, want) })
}

// waitsFor waits until the store waits for something that is said with these texts.
func (r *reader) waitsFor(want ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("to be told to wait for %q", want), func() bool { return matches(r.waiting, want) })
}

func matches(findings []store.Finding, want []string) bool {
	if len(findings) != len(want) {
		return false
	}
	for _, w := range want {
		if !slices.ContainsFunc(findings, func(f store.Finding) bool { return strings.Contains(f.Error(), w) }) {
			return false
		}
	}
	return true
}

// kindNamed returns a kind by its plural name.
func kindNamed(plural string) *kind {
	for _, k := range kindsOf(&Options{Services: true}) {
		if k.FullResource() == plural {
			return k
		}
	}
	panic(plural)
}

var (
	namespaces = kindNamed("namespaces")
	pods       = kindNamed("pods")
	nodes      = kindNamed("nodes")
	accounts   = kindNamed("serviceaccounts")
	tiers      = kindNamed("tiers.projectcalico.org")
	global     = kindNamed("globalnetworkpolicies.projectcalico.org")
	calicoNP   = kindNamed("networkpolicies.projectcalico.org")
	kubeNP     = kindNamed("networkpolicies.networking.k8s.io")
	globalSets = kindNamed("globalnetworksets.projectcalico.org")
)

func meta(namespace, name, version string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"v": version}}
}

func namespace(name, version string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: meta("", name, version)}
}

func pod(ns, name, version string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(ns, name, version), Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{PodIP: "10.0.0.1"}}
}

func tier(name, version string) *v3.Tier { return &v3.Tier{ObjectMeta: meta("", name, version)} }

func globalPolicy(tier, name, version string) *v3.GlobalNetworkPolicy {
	return &v3.GlobalNetworkPolicy{ObjectMeta: meta("", name, version), Spec: v3.GlobalNetworkPolicySpec{Tier: tier}}
}

func kubePolicy(ns, name, version string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: meta(ns, name, version)}
}
