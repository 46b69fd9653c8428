package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/kube"
	"github.com/tierwall/tierwall/test/e2e/cluster"
)

// storeReader takes what a store delivers, as an agent does.
type storeReader struct {
	t    *testing.T
	news chan struct{}

	mu       sync.Mutex
	objects  map[string]any // by key
	findings []store.Finding
	waiting  []store.Finding
	steps    int
	updates  map[string]int // by key
}

// readStore reads a cluster until the test ends.
func readStore(t *testing.T, cfg *rest.Config) *storeReader {
	t.Helper()
	r := &storeReader{t: t, news: make(chan struct{}, 1), objects: map[string]any{}, updates: map[string]int{}}
	source, err := kube.New(cfg, kube.Options{Waiting: r.wait})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Watch(ctx, r.deliver) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *storeReader) wait(findings []store.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = findings
	r.wake()
}

func (r *storeReader) wake() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *storeReader) deliver(b store.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range b.Deleted {
		delete(r.objects, k.String())
	}
	for _, u := range b.Updated {
		r.objects[u.Key.String()] = u.Object
		r.updates[u.Key.String()]++
	}
	r.findings = b.Findings
	if !b.More {
		r.steps++
	}
	r.wake()
	return nil
}

// until waits for something, under the lock.
func (r *storeReader) until(what string, condition func() bool) {
	r.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		r.mu.Lock()
		done := condition()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.news:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited in vain for %s\n%d objects, findings %v, waiting for %v", what, len(r.objects), r.findings, r.waiting)
		}
	}
}

func (r *storeReader) first() {
	r.t.Helper()
	r.until("the first state", func() bool { return r.steps > 0 })
}
func (r *storeReader) has(key string) {
	r.t.Helper()
	r.until(key, func() bool { return r.objects[key] != nil })
}
func (r *storeReader) hasNot(key string) {
	r.t.Helper()
	r.until("the end of "+key, func() bool { return r.objects[key] == nil })
}
func (r *storeReader) says(text string) {
	r.t.Helper()
	r.until("finding "+text, func() bool { return said(r.findings, text) })
}
func (r *storeReader) saysNot(text string) {
	r.t.Helper()
	r.until("no finding "+text, func() bool { return !said(r.findings, text) })
}

func said(findings []store.Finding, text string) bool {
	return slices.ContainsFunc(findings, func(f store.Finding) bool { return strings.Contains(f.Error(), text) })
}

// customResources installs all that are shipped, and waits for them.
func customResources(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, c, string(text))
	}
	if _, err := c.Kubectl(t.Context(), "wait", "--for=condition=Established", "crd", "--all"); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, c *cluster.Cluster, manifests string) {
	t.Helper()
	if err := c.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
}

// boundPod makes a pod that no kubelet runs, with an address.
func boundPod(t *testing.T, client kubernetes.Interface, namespace, name, ip string) {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			NodeName: "n1", Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}}},
		},
	}
	if _, err := client.CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	podStatus(t, client, namespace, name, `{"status":{"phase":"Running","podIP":"`+ip+`","podIPs":[{"ip":"`+ip+`"}]}}`)
}

func podStatus(t *testing.T, client kubernetes.Interface, namespace, name, patch string) {
	t.Helper()
	_, err := client.CoreV1().Pods(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}
