package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tierwall/tierwall/internal/modeltest"
)

// placeholder stands for the number of a pod.
const placeholder = "0000000"

// realPod is a pod as a Deployment's, after it has been running for a while.
func realPod() *corev1.Pod {
	yes := true
	now := metav1.Unix(1_800_000_000, 0)
	p := pod("web", "frontend-7d4b9c6f5b-"+placeholder, "1")
	p.UID = "6f9d2f0e-9d1c-4a6e-8d43-0a4c0" + placeholder
	p.CreationTimestamp = now
	p.Labels = map[string]string{"app.kubernetes.io/name": "frontend", "app.kubernetes.io/instance": "frontend-web", "pod-template-hash": "7d4b9c6f5b", "tier": "front"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "frontend-7d4b9c6f5b", UID: "6f9d2f0e-9d1c-4a6e-8d43-0a4c0f7f3b52", Controller: &yes}}
	fields := &metav1.FieldsV1{}
	fields.SetRawBytes(bytes.Repeat([]byte(`{"f:metadata":{"f:labels":{}}}`), 30))
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager", FieldsV1: fields, Time: &now}, {Manager: "kubelet", FieldsV1: fields, Time: &now}}
	p.Spec.ServiceAccountName = "frontend"
	p.Spec.Volumes = []corev1.Volume{{Name: "kube-api-access-x2x4z"}}
	p.Spec.Containers = []corev1.Container{{
		Name: "main", Image: "registry.example.com/frontend:1.2.3", Args: []string{"--config=/etc/app/config.yaml"},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}, Env: []corev1.EnvVar{{Name: "LOG", Value: "info"}},
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}},
		VolumeMounts:   []corev1.VolumeMount{{Name: "kube-api-access-x2x4z", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
	}}
	p.Status.Phase = corev1.PodRunning
	p.Status.StartTime = &now
	p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
	for _, c := range []corev1.PodConditionType{"Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: "True", LastTransitionTime: now})
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Image: "registry.example.com/frontend:1.2.3", ImageID: "sha256:0123456789abcdef", ContainerID: "containerd://0123456789abcdef"}}
	return p
}

func encoded(p *corev1.Pod) []byte {
	raw := make([]byte, p.Size())
	must(p.MarshalToSizedBuffer(raw))
	return raw
}

// recording is a stream of the first state with many pods, made as it is read.
type recording struct {
	pods, next int
	frame      []byte
	at         []int // of placeholders in the frame
	rest       []byte
}

func newRecording(pods int) *recording {
	r := &recording{pods: pods, frame: frame("ADDED", encoded(realPod()), "v1", "Pod")}
	for from := 0; ; {
		i := bytes.Index(r.frame[from:], []byte(placeholder))
		if i < 0 {
			return r
		}
		r.at = append(r.at, from+i)
		from += i + len(placeholder)
	}
}

func (r *recording) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		switch {
		case r.next < r.pods:
			number := fmt.Appendf(nil, "%07d", r.next)
			for _, at := range r.at {
				copy(r.frame[at:], number)
			}
			r.rest = r.frame
		case r.next == r.pods:
			end := metav1.PartialObjectMetadata{}
			end.ResourceVersion, end.Annotations = "7", map[string]string{metav1.InitialEventsAnnotationKey: "true"}
			r.rest = frame("BOOKMARK", must(end.Marshal()), "v1", "Pod")
		default:
			return 0, io.EOF
		}
		r.next++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// synced is a coalescer without a server, all of whose kinds but pods have been read.
func synced() (*coalescer, *state) {
	co := newCoalescer(kindsOf(&Options{}), "", defaultTiming())
	co.discovered = true
	for _, st := range co.states {
		st.synced = !st.kind.late()
	}
	st := co.state("Pod")
	co.state("Namespace").index.set("", "web", delivered)
	return co, st
}

// play reads a recording, while batches are taken as a reader would.
func play(tb testing.TB, co *coalescer, st *state, r *recording) (objects int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := &reflector{coalescer: co, state: st, log: slog.New(slog.DiscardHandler)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.events(ctx, newFrames(r), func(error) {})
	}()
	for !st.done(co) {
		b, ok, _ := co.take(time.Now())
		if !ok {
			<-co.wake
			continue
		}
		objects += len(b.Updated)
	}
	<-done
	return objects
}

// done reports whether the first state was delivered.
func (st *state) done(co *coalescer) bool {
	co.mu.Lock()
	defer co.mu.Unlock()
	return co.phase == streaming
}

// BenchmarkFirstState reads 100,000 pods. What is kept of each is reported, with the
// memory of its name, which the reader shares.
func BenchmarkFirstState(b *testing.B) {
	const pods = 100_000
	b.ReportAllocs()
	var kept uint64
	for b.Loop() {
		b.StopTimer()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		co, st := synced()
		b.StartTimer()
		if n := play(b, co, st, newRecording(pods)); n != pods {
			b.Fatalf("%d objects", n)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept = after.HeapAlloc - before.HeapAlloc
		runtime.KeepAlive(co)
		b.StartTimer()
	}
	b.ReportMetric(float64(kept)/pods, "B-kept/pod")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pods, "ns/pod")
}

// BenchmarkObjectIndex reports what is kept of each of 100,000 pods of 10,000 workloads.
func BenchmarkObjectIndex(b *testing.B) {
	const pods = 100_000
	var names []identity
	for i := range pods {
		key := modeltest.PodResource(modeltest.ResourceSize{Namespaces: 500, Pods: pods}, i).Key
		names = append(names, identity{namespace: key.Namespace, name: key.Name})
	}
	var kept uint64
	for b.Loop() {
		b.StopTimer()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		k := newObjectIndex()
		for i, id := range names {
			k.set(id.namespace, id.name, stamp(i))
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept = after.HeapAlloc - before.HeapAlloc
		runtime.KeepAlive(k)
		b.StartTimer()
	}
	runtime.KeepAlive(names)
	b.ReportMetric(float64(kept)/pods, "B-kept/pod")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pods, "ns/pod")
}

// BenchmarkEvent takes one event of a pod through to a batch: one that changes
// its address, and one that changes nothing we read.
func BenchmarkEvent(b *testing.B) {
	for _, name := range []string{"change", "heartbeat"} {
		b.Run(name, func(b *testing.B) {
			co, st := synced()
			play(b, co, st, newRecording(1000))
			f := &reflector{coalescer: co, state: st, log: slog.New(slog.DiscardHandler)}
			p := realPod()
			var events [2][]byte
			for i := range events {
				if name == "change" {
					p.Status.PodIP = fmt.Sprintf("10.0.0.%d", i)
				}
				p.ResourceVersion = itoa(i)
				events[i] = envelope(encoded(p), "v1", "Pod")
			}
			must(f.event(context.Background(), "MODIFIED", events[1], enveloped, time.Now()))
			co.take(time.Now())
			b.SetBytes(int64(len(events[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now := time.Now()
				must(f.event(context.Background(), "MODIFIED", events[i%2], enveloped, now))
				if batch, ok, _ := co.take(now); ok != (name == "change") || ok && len(batch.Updated) != 1 {
					b.Fatalf("batch %v: %v", ok, batch)
				}
			}
		})
	}
}

// BenchmarkPolicy reads one new version of a policy, strictly.
func BenchmarkPolicy(b *testing.B) {
	text := []byte(`{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"p","namespace":"web","resourceVersion":"5","generation":2,"labels":{"a":"b"}},` +
		`"spec":{"tier":"default","order":10,"selector":"app == 'x'","types":["Ingress"],"ingress":[{"action":"Allow","protocol":"TCP",` +
		`"source":{"selector":"tier == 'front'","namespaceSelector":"team == 'a'"},"destination":{"ports":[8080,"9000:9010"]}}]}}`)
	d := newDecoder(calicoNP)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		o := must(d.decode(text, jsonText))
		if built := o.build(); !built.valid() {
			b.Fatal(built.findings)
		}
	}
}
