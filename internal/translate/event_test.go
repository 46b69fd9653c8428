package translate_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/tierwall/tierwall/internal/engine"
	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// BenchmarkEvent is one event of a cluster of 100,000 pods and 10,000 policies,
// from the store's object to the change of the tables of one node.
func BenchmarkEvent(b *testing.B) {
	tr, e := translate.New(translate.Options{}), engine.New(modeltest.IsLocal)
	var network *networkingv1.NetworkPolicy
	for page := range modeltest.Pages(modeltest.Resources(production), 500) {
		tr.Apply(page, translate.Sink{Change: func(c policy.Change) { e.Apply(c) }})
		for _, r := range page.Updated {
			if p, ok := r.Object.(*networkingv1.NetworkPolicy); ok && network == nil && len(p.Spec.Ingress) > 0 {
				network = p
			}
		}
	}
	e.Flush()
	event := func(name string, versions ...store.Batch) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tr.Apply(versions[i%len(versions)], translate.Sink{Change: func(c policy.Change) { e.Apply(c) }})
				e.Flush()
				i++
			}
		})
	}
	set := func(r store.Resource) store.Batch { return store.Batch{Updated: []store.Resource{r}} }

	pod := modeltest.PodResource(production, 12_345)
	relabelled := modeltest.PodResource(production, 12_345)
	relabelled.Object.(*corev1.Pod).Labels["tier"] = "other"
	event("pod relabelled", set(relabelled), set(pod))
	event("pod again, the same", set(pod))

	added := modeltest.PodResource(production, 12_345)
	added.Key.Name += "x"
	added.Object.(*corev1.Pod).Name += "x"
	added.Object.(*corev1.Pod).Status.PodIPs[0].IP = "10.99.0.1"
	added.Object.(*corev1.Pod).Status.PodIP = "10.99.0.1"
	event("pod comes, and goes", set(added), store.Batch{Deleted: []policy.Key{added.Key}})

	key := policy.Key{Kind: policy.KindKubernetesNetworkPolicy, Namespace: network.Namespace, Name: network.Name}
	other := network.DeepCopy()
	other.Spec.Ingress = nil
	event("policy changed", set(store.Resource{Key: key, Object: other}), set(store.Resource{Key: key, Object: network}))

	var versions []store.Batch
	for i := range 2 {
		ns := &corev1.Namespace{}
		ns.Name, ns.Labels = network.Namespace, map[string]string{"version": fmt.Sprint(i)}
		versions = append(versions, set(store.Resource{Key: policy.Key{Kind: "Namespace", Name: ns.Name}, Object: ns}))
	}
	event("namespace of 200 pods relabelled", versions...)
}
