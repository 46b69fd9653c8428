package main

import (
	"context"
	"fmt"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type measure struct {
	agent   *agent
	client  kubernetes.Interface
	dynamic *rest.Config
	size    size
}

// rest reports what the agent uses while nothing changes.
func (m *measure) rest(ctx context.Context, span time.Duration) error {
	before := m.agent.cpu()
	select {
	case <-time.After(span): // the measured time itself
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Printf("at rest: %.2f %% of a core over %s; %s\n", percent(m.agent.cpu()-before, span), span, m.agent.memory())
	return nil
}

// busy reports what the agent uses while pods change.
func (m *measure) busy(ctx context.Context, span time.Duration, rate int) error {
	before, start, n := m.agent.cpu(), time.Now(), 0
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	errs := make(chan error, 1)
	for slots := make(chan struct{}, writers); time.Since(start) < span; n++ {
		select {
		case <-tick.C:
		case err := <-errs:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if err := m.relabel(ctx, n); err != nil {
				select {
				case errs <- err:
				default:
				}
			}
		}()
	}
	took := time.Since(start)
	fmt.Printf("at %.0f pod changes/s: %.2f %% of a core over %.0f s; %s\n",
		float64(n)/took.Seconds(), percent(m.agent.cpu()-before, took), took.Seconds(), m.agent.memory())
	return nil
}

func percent(used, of time.Duration) float64 { return 100 * used.Seconds() / of.Seconds() }

// relabel returns another app to a pod elsewhere, in a namespace that has a pod of this node.
func (m *measure) relabel(ctx context.Context, n int) error {
	here := min(m.size.local, m.size.namespaces)
	rows := max(m.size.pods/m.size.namespaces-1, 1)
	ns, name := m.size.place(m.size.namespaces*(1+n/here%rows) + n%here)
	patch := fmt.Sprintf(`{"metadata":{"labels":{"app":"app-%d"}}}`, (n/here+n/here/rows+1+n)%20)
	_, err := m.client.CoreV1().Pods(ns).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// latencies makes changes one after another, and reports how long each kind took.
func (m *measure) latencies(ctx context.Context, n int) error {
	cfg := rest.CopyConfig(m.dynamic)
	cfg.ContentType, cfg.AcceptContentTypes = "", ""
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return err
	}
	sets := dyn.Resource(schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: "globalnetworksets"})
	policies := dyn.Resource(schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: "globalnetworkpolicies"})
	for _, o := range []struct {
		to   dynamic.NamespaceableResourceInterface
		kind string
		meta map[string]any
		spec map[string]any
	}{
		{sets, "GlobalNetworkSet", map[string]any{"name": "figures", "labels": map[string]any{"set": "figures"}}, map[string]any{"nets": []any{"198.51.100.0/24"}}},
		{policies, "GlobalNetworkPolicy", map[string]any{"name": "figures"}, globalPolicy(0)},
	} {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "projectcalico.org/v3", "kind": o.kind, "metadata": o.meta, "spec": o.spec,
		}}
		if _, err := o.to.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	patch := func(to dynamic.NamespaceableResourceInterface, p map[string]any) error {
		b, err := (&unstructured.Unstructured{Object: p}).MarshalJSON()
		if err != nil {
			return err
		}
		_, err = to.Patch(ctx, "figures", types.MergePatchType, b, metav1.PatchOptions{})
		return err
	}
	for _, kind := range []struct {
		name string
		do   func(i int) error
	}{
		{"pod label", func(i int) error { return m.relabel(ctx, i) }},
		{"set", func(i int) error {
			return patch(sets, map[string]any{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet",
				"spec": map[string]any{"nets": []any{fmt.Sprintf("198.51.%d.%d/32", 100+i>>8, i&255)}}})
		}},
		{"policy", func(i int) error {
			return patch(policies, map[string]any{"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "spec": globalPolicy(i + 1)})
		}},
	} {
		if err := m.one(ctx, kind.name, n, kind.do); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return nil
}

func globalPolicy(i int) map[string]any {
	return map[string]any{
		"order": 10, "selector": "tier == 'front'", "types": []any{"Ingress"},
		"ingress": []any{map[string]any{"action": "Allow", "protocol": "TCP",
			"source": map[string]any{"selector": "set == 'figures'"}, "destination": map[string]any{"ports": []any{int64(1000 + i)}}}},
	}
}

// one makes n changes of a kind, each when the one before is in the kernel.
func (m *measure) one(ctx context.Context, name string, n int, do func(int) error) error {
	before, err := m.agent.delays(ctx)
	if err != nil {
		return err
	}
	at := before.GetSampleCount()
	unseen := 0
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
		err := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 2*time.Second, true, func(ctx context.Context) (bool, error) {
			h, err := m.agent.delays(ctx)
			if err != nil || h.GetSampleCount() == at {
				return false, err
			}
			at = h.GetSampleCount()
			return true, nil
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wait.Interrupted(err) { // a label that was there already, or one that no policy here asks about
			unseen++
		} else if err != nil {
			return err
		}
	}
	after, err := m.agent.delays(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("watch event to kernel, %s: p50 %s, p99 %s, mean %.2f ms (%d changes; %d more changed nothing here)\n", name,
		quantile(before, after, 0.5), quantile(before, after, 0.99),
		1000*(after.GetSampleSum()-before.GetSampleSum())/float64(after.GetSampleCount()-before.GetSampleCount()),
		after.GetSampleCount()-before.GetSampleCount(), unseen)
	return nil
}

// quantile returns the limit of the bucket that holds the quantile of what came between two readings.
func quantile(before, after *dto.Histogram, q float64) string {
	total := after.GetSampleCount() - before.GetSampleCount()
	want := uint64(math.Ceil(q * float64(total)))
	for i, b := range after.GetBucket() {
		if b.GetCumulativeCount()-before.GetBucket()[i].GetCumulativeCount() >= want {
			return fmt.Sprintf("<= %g ms", 1000*b.GetUpperBound())
		}
	}
	return "more than the histogram holds"
}
