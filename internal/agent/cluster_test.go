package agent

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tierwall/tierwall/internal/agent/agenttest"
	"github.com/tierwall/tierwall/internal/agent/podstart"
	"github.com/tierwall/tierwall/internal/cni"
	"github.com/tierwall/tierwall/internal/cni/wire"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/policy"
)

// cluster is a store that gives what a test puts in.
type cluster chan store.Batch

func (cluster) String() string                              { return "kube" }
func (cluster) List(context.Context) (store.Listing, error) { return store.Listing{}, nil }

func (c cluster) Watch(ctx context.Context, deliver func(store.Batch) error) error {
	for {
		select {
		case b := <-c:
			if err := deliver(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// newClusterRig starts an agent on a cluster.
func newClusterRig(t *testing.T, tweak func(*Config, *faults)) (*rig, cluster) {
	t.Helper()
	c := make(cluster)
	r := &rig{t: t, k: &faults{}, logs: &syncBuffer{}}
	r.start(c, tweak)
	return r, c
}

// objects reads manifests.
func objects(t *testing.T, manifests ...string) []store.Resource {
	t.Helper()
	all, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(strings.Join(manifests, "\n---\n"))})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	for i := range all {
		all[i].Origin = nil
	}
	return all
}

// podOf returns a pod of the node, without an address.
func podOf(name, uid, node string, addrs ...string) store.Resource {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid), Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node},
	}
	for _, a := range addrs {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
		p.Status.PodIP = p.Status.PodIPs[0].IP
	}
	return store.Resource{Key: policy.Key{Kind: "Pod", Namespace: "shop", Name: name}, Object: p}
}

func attached(name, uid, container string, addrs ...string) cni.Pod {
	p := cni.Pod{PodID: cni.PodID{Attachment: wire.Attachment{Container: container, Interface: "eth0"}, Namespace: "shop", Name: name, UID: uid}, Network: "net"}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, netip.MustParseAddr(a))
	}
	return p
}

// TestFirstStateInParts: nothing happens in the kernel before the last part, and
// then all of it in one step.
func TestFirstStateInParts(t *testing.T) {
	waiting := &Waiting{}
	waiting.Set([]store.Finding{{Message: "pods: the API server cannot be reached"}})
	r, c := newClusterRig(t, func(cfg *Config, _ *faults) { cfg.Waiting = waiting })
	r.eventually("it says what it waits for", func() bool {
		code, body := r.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "cannot be reached")
	})
	all := objects(t, agenttest.Cluster, agenttest.AllowPort("5432"))
	for i := range all {
		c <- store.Batch{Updated: all[i : i+1], More: true}
	}
	r.k.mu.Lock()
	opens := r.k.opens
	r.k.mu.Unlock()
	if opens != 0 {
		t.Error("the kernel was opened before the first state was complete")
	}
	c <- store.Batch{Received: time.Now()}
	r.eventually("in force", func() bool { return r.status().Ready })
	if len(r.k.steps) != 1 || r.k.allows("10.0.0.2", "10.0.0.1", 80) || !r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Errorf("%d steps, or not what policy says", len(r.k.steps))
	}
	if n := r.status().Counts["Pod"]["in force"]; n != 2 {
		t.Errorf("%d pods", n)
	}
	// Later steps come in parts as well.
	next := objects(t, agenttest.AllowPort("3306"))
	c <- store.Batch{More: true, Received: time.Now(), Updated: []store.Resource{podOf("extra", "", "there", "10.0.0.9")}}
	c <- store.Batch{Updated: next}
	r.eventually("the next step", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 3306) })
	r.eventually("its delay is measured", func() bool { _, m := r.get("/metrics"); return strings.Contains(m, "tierwall_change_seconds_count 1") })
}

// TestEmptyCluster: an empty cluster is one, and what an earlier agent left in the kernel goes.
func TestEmptyCluster(t *testing.T) {
	r, c := newClusterRig(t, nil)
	c <- store.Batch{}
	r.eventually("in force", func() bool { return r.status().Ready })
	if len(r.k.steps) != 1 {
		t.Errorf("%d steps", len(r.k.steps))
	}
	r.eventually("the missing node is named", func() bool { return strings.Contains(r.logs.String(), "the cluster has no such node") })
}

// TestClusterRestart: a policy of the cluster is invalid, in the ways that an API
// server lets pass, when an agent starts.
func TestClusterRestart(t *testing.T) {
	good := objects(t, agenttest.Cluster, agenttest.AllowPort("5432"))
	bad := objects(t, agenttest.AllowPort("5432")+"  serviceAccountSelector: a ==\n")
	rejected := store.Finding{Key: bad[0].Key, Message: "no longer what it was"}
	for name, first := range map[string][]store.Batch{
		"invalid":  {{Updated: good[:2], More: true}, {Updated: bad}},
		"rejected": {{Updated: good[:2], More: true}, {Findings: []store.Finding{rejected}}},
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			r, c := newClusterRig(t, keepsIn(run))
			c <- store.Batch{Updated: good}
			r.eventually("in force", func() bool { return !r.k.allows("10.0.0.2", "10.0.0.1", 80) })
			r.stop()
			r, c = newClusterRig(t, keepsIn(run))
			for _, b := range first {
				c <- b
			}
			r.eventually("in force again", func() bool { return r.status().Ready })
			if r.k.allows("10.0.0.2", "10.0.0.1", 80) || !r.k.allows("10.0.0.2", "10.0.0.1", 5432) || len(r.k.steps) != 1 {
				t.Error("the last valid version is not in force")
			}
			c <- store.Batch{Deleted: []policy.Key{bad[0].Key}}
			r.eventually("gone", func() bool { return r.k.allows("10.0.0.2", "10.0.0.1", 80) })
		})
	}
}

// pods returns the component that answers the CNI plugin.
func (a *agent) pods() *podstart.Component {
	for _, c := range a.components {
		if p, ok := c.(*podstart.Component); ok {
			return p
		}
	}
	return nil
}

// ensure calls Ensure and gives its end.
func ensure(ctx context.Context, a *agent, p cni.Pod) chan error {
	done := make(chan error, 1)
	go func() { done <- a.pods().Ensure(ctx, p) }()
	return done
}

func (r *rig) returns(what string, done chan error) error {
	r.t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatalf("does not return: %s", what)
		return nil
	}
}

// waitsFor has a pod wait in vain, beside others that ask for the same one, and
// checks what it says that it waited for.
func (r *rig) waitsFor(why string, pod cni.Pod, others int) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := ensure(ctx, r.a, pod)
	r.eventually("it waits for: "+why, func() bool {
		found := make(chan int, 1)
		if err := r.a.Call(ctx, func() {
			n := 0
			for _, w := range r.a.pods().WaitsFor(pod.PodID) {
				if strings.Contains(w, why) {
					n++
				}
			}
			found <- n
		}); err != nil {
			r.t.Fatal(err)
		}
		return <-found == others+1
	})
	cancel()
	if err := r.returns(pod.Name, done); err == nil || !strings.Contains(err.Error(), why) {
		r.t.Errorf("got %v, want an error with %q", err, why)
	}
}

// TestPodStart is the life of a pod that the CNI plugin starts.
func TestPodStart(t *testing.T) {
	ctx := context.Background()
	r, c := newClusterRig(t, nil)
	db := attached("db", "u1", "c1", "10.0.0.1")
	early := ensure(ctx, r.a, db) // before the first state

	c <- store.Batch{Updated: append(objects(t, agenttest.AllowPort("5432")), podOf("web", "w", "there", "10.0.0.2"))}
	r.eventually("ready", func() bool { return r.status().Ready })
	r.waitsFor("does not have pod shop/db on node here yet", db, 1)
	// The store tells of the pod, and of no address.
	c <- store.Batch{Updated: []store.Resource{podOf("db", "u1", "here")}}
	if err := r.returns("a pod that becomes known", early); err != nil {
		t.Error(err)
	}
	if r.k.allows("10.0.0.2", "10.0.0.1", 80) || !r.k.allows("10.0.0.2", "10.0.0.1", 5432) {
		t.Error("the pod's policy was not in force when it might start")
	}
	if err := r.returns("again", ensure(ctx, r.a, db)); err != nil {
		t.Error(err)
	}
	// The store's address, of an earlier sandbox, is not the pod's.
	c <- store.Batch{Updated: []store.Resource{podOf("db", "u1", "here", "10.0.0.99")}}
	c <- store.Batch{} // the one before was taken in
	if r.k.allows("10.0.0.2", "10.0.0.1", 80) || !r.k.allows("10.0.0.2", "10.0.0.99", 80) {
		t.Error("what the plugin said does not hold")
	}
	// Deleted by force: policy holds until the pod has ended.
	c <- store.Batch{Deleted: []policy.Key{podOf("db", "", "").Key}}
	c <- store.Batch{}
	if r.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("the policy of a pod that runs on is gone")
	}
	// The next pod of that name has another address; the old one has not ended yet.
	next := attached("db", "u2", "c2", "10.0.0.5")
	waits := ensure(ctx, r.a, next)
	c <- store.Batch{Updated: []store.Resource{podOf("db", "u2", "here")}}
	if err := r.returns("the next pod", waits); err != nil {
		t.Error(err)
	}
	if r.k.allows("10.0.0.2", "10.0.0.5", 80) {
		t.Error("the next pod's policy is not in force")
	}
	r.a.pods().Forget(ctx, db.PodID)
	r.a.pods().Forget(ctx, attached("none", "", "c9").PodID)
	c <- store.Batch{Updated: []store.Resource{podOf("db", "u2", "here", "10.0.0.5")}}
	c <- store.Batch{}
	if r.k.allows("10.0.0.2", "10.0.0.5", 80) {
		t.Error("forgetting the old pod took the new one's policy away")
	}
	c <- store.Batch{Deleted: []policy.Key{podOf("db", "", "").Key}}
	r.a.pods().Forget(ctx, next.PodID)
	r.eventually("all is gone", func() bool { return r.status().LocalEndpoints == 0 })
}

// TestPodStartOfOthers: static pods have another UID in the API, and a pod of
// another node is none of ours.
func TestPodStartOfOthers(t *testing.T) {
	ctx := context.Background()
	r, c := newClusterRig(t, nil)
	static := podOf("db", "mirror", "here")
	yes := true
	static.Object.(*corev1.Pod).OwnerReferences = []metav1.OwnerReference{{Kind: "Node", Name: "here", Controller: &yes}}
	c <- store.Batch{Updated: append(objects(t, agenttest.AllowPort("5432")), static, podOf("web", "w", "there", "10.0.0.2"))}
	if err := r.returns("a static pod", ensure(ctx, r.a, attached("db", "config-hash", "c1", "10.0.0.1"))); err != nil {
		t.Error(err)
	}
	if r.k.allows("10.0.0.2", "10.0.0.1", 80) {
		t.Error("its policy is not in force")
	}
	r.waitsFor("does not have pod shop/web on node here yet", attached("web", "w", "c2", "10.0.0.2"), 0)
}

// TestPodStartWhileTheKernelFails: a pod does not start before a step succeeds.
func TestPodStartWhileTheKernelFails(t *testing.T) {
	r, c := newClusterRig(t, func(cfg *Config, _ *faults) { cfg.retryPause = time.Millisecond })
	c <- store.Batch{Updated: append(objects(t, agenttest.AllowPort("5432")), podOf("db", "u", "here"))}
	r.eventually("ready", func() bool { return r.status().Ready })
	r.k.mu.Lock()
	r.k.fail = 3
	r.k.mu.Unlock()
	if err := r.returns("a pod", ensure(context.Background(), r.a, attached("db", "u", "c", "10.0.0.1"))); err != nil {
		t.Error(err)
	}
	if r.k.allows("10.0.0.2", "10.0.0.1", 80) || r.k.fail != 0 {
		t.Error("it started before its policy was in force")
	}
	r.stop()
	if err := r.a.pods().Ensure(context.Background(), attached("db", "u", "c", "10.0.0.1")); !errors.Is(err, cni.ErrStopping) {
		t.Errorf("after the end: %v", err)
	}
}
