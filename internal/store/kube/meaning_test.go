package kube

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/selector"
)

// TestTrimKeepsMeaning checks that translate makes the same of what is left of
// objects as of the whole ones.
func TestTrimKeepsMeaning(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var whole, trimmed []store.Resource
		add := func(k *kind, o protoObject) {
			raw := make([]byte, o.Size())
			must(o.MarshalToSizedBuffer(raw))
			decoded := must(newDecoder(k).decode(raw, protobuf))
			key := k.keyOf(identity{namespace: o.GetNamespace(), name: o.GetName()})
			whole = append(whole, store.Resource{Key: key, Object: o})
			trimmed = append(trimmed, store.Resource{Key: key, Object: decoded.build().object})
		}
		add(namespaces, &corev1.Namespace{ObjectMeta: drawMeta(rt, "", "web"), Status: corev1.NamespaceStatus{Phase: "Active"}})
		add(accounts, &corev1.ServiceAccount{ObjectMeta: drawMeta(rt, "web", "app")})
		add(nodes, &corev1.Node{ObjectMeta: drawMeta(rt, "", "n1"), Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeHostName, Address: "n1"}}}})
		for _, name := range []string{"a", "b", "c"} {
			add(pods, drawPod(rt, name))
		}
		options := translate.Options{Offline: rapid.Bool().Draw(rt, "offline")}
		want, got := translate.Load(whole, nil, options), translate.Load(trimmed, nil, options)
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmp.Comparer(func(a, b *selector.Selector) bool { return a == b })); d != "" {
			rt.Errorf("what is left means something else (-whole +trimmed):\n%s", d)
		}
	})
}

func drawMeta(rt *rapid.T, namespace, name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "uid")),
		ResourceVersion: "5", Annotations: map[string]string{"a": "b"},
		Labels:            rapid.MapOf(rapid.SampledFrom([]string{"app", "tier", "pod-template-hash"}), rapid.SampledFrom([]string{"x", "y"})).Draw(rt, "labels"),
		CreationTimestamp: drawTime(rt), ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}
	for range rapid.IntRange(0, 2).Draw(rt, "owners") {
		controls := rapid.Bool().Draw(rt, "controls")
		m.OwnerReferences = append(m.OwnerReferences, metav1.OwnerReference{
			APIVersion: "apps/v1", Kind: rapid.SampledFrom([]string{"ReplicaSet", "Node", "StatefulSet"}).Draw(rt, "owner"), Name: "app-x", Controller: &controls,
		})
		if controls {
			break // there is one at most
		}
	}
	return m
}

func drawTime(rt *rapid.T) metav1.Time {
	return metav1.NewTime(time.Unix(1_800_000_000+rapid.Int64Range(0, 3).Draw(rt, "time"), 0))
}

func drawPod(rt *rapid.T, name string) *corev1.Pod {
	ip := rapid.SampledFrom([]string{"", "10.0.0.1", "10.0.0.2", "fd00::1", "not an address"})
	always := corev1.ContainerRestartPolicyAlways
	containers := func(label string) []corev1.Container {
		return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) corev1.Container {
			c := corev1.Container{Name: "c", Image: "i"}
			if rapid.Bool().Draw(rt, "sidecar") {
				c.RestartPolicy = &always
			}
			c.Ports = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) corev1.ContainerPort {
				return corev1.ContainerPort{
					Name: rapid.SampledFrom([]string{"", "http", "dns"}).Draw(rt, "name"), ContainerPort: rapid.Int32Range(0, 70000).Draw(rt, "port"),
					Protocol: rapid.SampledFrom([]corev1.Protocol{"", "TCP", "UDP", "odd"}).Draw(rt, "protocol"),
				}
			}), 0, 2).Draw(rt, "ports")
			return c
		}), 0, 2).Draw(rt, label)
	}
	p := &corev1.Pod{ObjectMeta: drawMeta(rt, "web", name)}
	if rapid.Bool().Draw(rt, "being deleted") {
		when := drawTime(rt)
		p.DeletionTimestamp = &when
	}
	p.Spec = corev1.PodSpec{
		NodeName: rapid.SampledFrom([]string{"", "n1"}).Draw(rt, "node"), HostNetwork: rapid.Bool().Draw(rt, "host"),
		ServiceAccountName: rapid.SampledFrom([]string{"", "app"}).Draw(rt, "account"), DeprecatedServiceAccount: rapid.SampledFrom([]string{"", "app"}).Draw(rt, "old account"),
		InitContainers: containers("init"), Containers: containers("containers"), PriorityClassName: "high",
	}
	p.Status = corev1.PodStatus{
		Phase: rapid.SampledFrom([]corev1.PodPhase{"", corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown}).Draw(rt, "phase"),
		PodIP: ip.Draw(rt, "ip"), HostIP: ip.Draw(rt, "host ip"),
	}
	if rapid.Bool().Draw(rt, "started") {
		when := drawTime(rt)
		p.Status.StartTime = &when
	}
	for _, a := range rapid.SliceOfN(ip, 0, 2).Draw(rt, "ips") {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: a})
	}
	return p
}
