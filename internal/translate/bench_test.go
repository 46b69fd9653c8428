package translate_test

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

func podOf(i int) store.Resource {
	ns, name := fmt.Sprintf("ns-%d", i/4), fmt.Sprintf("pod-%d", i)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: map[string]string{"app": fmt.Sprint("app-", i/2), "tier": "front"}},
		Spec:       corev1.PodSpec{NodeName: fmt.Sprint("node-", i%100), Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}}}},
		Status:     corev1.PodStatus{PodIP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)},
	}
	return store.Resource{Key: policy.Key{Kind: policy.KindPod, Namespace: ns, Name: name}, Object: pod}
}

// cluster returns a cluster of so many namespaces, with four pods and three
// Kubernetes policies each.
func cluster(namespaces int) []store.Resource {
	var out []store.Resource
	for n := range namespaces {
		ns := fmt.Sprintf("ns-%d", n)
		out = append(out, store.Resource{
			Key:    policy.Key{Kind: "Namespace", Name: ns},
			Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{"team": fmt.Sprint(n % 50)}}},
		})
		for p := range 3 {
			name := fmt.Sprintf("policy-%d", p)
			spec := networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("app-", 2*n+p)}},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "front"}}},
				}}},
			}
			key := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: ns, Name: name}
			out = append(out, store.Resource{Key: key, Object: &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: spec}})
		}
	}
	for i := range 4 * namespaces {
		out = append(out, podOf(i))
	}
	return out
}

// BenchmarkCluster takes in a cluster of 25,000 namespaces, 75,000 policies and
// 100,000 pods.
func BenchmarkCluster(b *testing.B) {
	resources := cluster(25_000)
	b.ReportAllocs()
	for b.Loop() {
		tr := translate.New(translate.Options{})
		if got := len(tr.ApplySorted(store.Batch{Updated: resources}).Changes); got < 175_000 {
			b.Fatal(got)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: resources})
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/(1<<20), "MB-held")
	runtime.KeepAlive(tr)
	runtime.KeepAlive(resources)
}

// BenchmarkUpdate changes one object among those of BenchmarkCluster.
func BenchmarkUpdate(b *testing.B) {
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: cluster(25_000)})
	b.Run("pod", func(b *testing.B) {
		versions := [2]store.Resource{podOf(17), podOf(17)}
		versions[1].Object.(*corev1.Pod).Labels = map[string]string{"app": "other"}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if got := len(tr.Update(versions[(i+1)%2]).Changes); got != 1 {
				b.Fatal(got)
			}
		}
	})
	b.Run("namespace", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns-4", Labels: map[string]string{"v": fmt.Sprint(i)}}}
			if got := len(tr.Update(store.Resource{Key: policy.Key{Kind: "Namespace", Name: "ns-4"}, Object: ns}).Changes); got != 4 {
				b.Fatal(got)
			}
		}
	})
}
