package kube

import (
	"context"
	"io"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	eventstream "k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	restwatch "k8s.io/client-go/rest/watch"
	"k8s.io/client-go/tools/cache"
)

// trimmingStore is what a store for client-go's Reflector would be like that keeps as
// little as ours: of what it is given in the first state it keeps who it is, and
// afterwards a stamp of each object.
type trimmingStore struct {
	index   *objectIndex
	objects int
	// replacing is called while the Reflector holds all of the first state, synced when
	// it has been taken over.
	replacing, synced func()
}

// Transformer is applied to each object as it comes, which is delivered there.
func (s *trimmingStore) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		p, ok := object.(*corev1.Pod)
		if !ok {
			return object, nil
		}
		s.objects++
		trimPod(p)
		return &metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, nil
	}
}

func (s *trimmingStore) Add(any) error    { return nil }
func (s *trimmingStore) Update(any) error { return nil }
func (s *trimmingStore) Delete(any) error { return nil }
func (s *trimmingStore) Resync() error    { return nil }

func (s *trimmingStore) Replace(objects []any, _ string) error {
	s.replacing()
	for i, object := range objects {
		m := object.(*metav1.ObjectMeta)
		s.index.set(m.Namespace, m.Name, stamp(i))
	}
	s.synced()
	runtime.KeepAlive(objects)
	return nil
}

// watcherOf decodes a recording as client-go does.
func watcherOf(r io.Reader) watch.Interface {
	scheme := apiruntime.NewScheme()
	must(true, corev1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	codecs := serializer.NewCodecFactory(scheme)
	for _, info := range codecs.SupportedMediaTypes() {
		if info.MediaType == apiruntime.ContentTypeProtobuf {
			frames := info.StreamSerializer.NewFrameReader(io.NopCloser(r))
			events := eventstream.NewDecoder(frames, info.StreamSerializer.Serializer)
			objects := codecs.WithoutConversion().DecoderToVersion(info.Serializer, corev1.SchemeGroupVersion)
			return watch.NewStreamWatcher(restwatch.NewDecoder(events, objects), nil)
		}
	}
	panic("client-go speaks protobuf")
}

// BenchmarkClientGoReflector is BenchmarkFirstState with client-go's Reflector in the
// place of ours: why there is one of our own is said in docs/architecture.md.
func BenchmarkClientGoReflector(b *testing.B) {
	const pods = 100_000
	b.ReportAllocs()
	var kept, held uint64
	for b.Loop() {
		b.StopTimer()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		b.StartTimer()
		ctx, cancel := context.WithCancel(b.Context())
		s := &trimmingStore{index: newObjectIndex()}
		s.synced = cancel
		s.replacing = func() {
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			held = after.HeapAlloc - before.HeapAlloc
			b.StartTimer()
		}
		lw := &cache.ListWatch{WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) {
			return watcherOf(newRecording(pods)), nil
		}}
		r := cache.NewReflectorWithOptions(lw, &corev1.Pod{}, s, cache.ReflectorOptions{Name: "pods"})
		_ = r.ListAndWatchWithContext(ctx)
		if s.objects != pods {
			b.Fatalf("%d objects", s.objects)
		}
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept = after.HeapAlloc - before.HeapAlloc
		runtime.KeepAlive(s)
		b.StartTimer()
	}
	b.ReportMetric(float64(kept)/pods, "B-kept/pod")
	b.ReportMetric(float64(held)/pods, "B-held-meanwhile/pod")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pods, "ns/pod")
}
