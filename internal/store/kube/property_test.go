package kube

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
)

// TestAnySequence checks that whatever happens, in whatever order, the reader has
// in the end what the server has, and never anything against the contract.
func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		api := newFakeAPI(t)
		api.noWatchList = rapid.IntRange(0, 3).Draw(rt, "noWatchList") == 0
		api.expiredEarly = rapid.Bool().Draw(rt, "expiredEarly")
		version := 0
		some := rapid.SampledFrom([]string{"a", "b", "c"})
		act := func(step string) {
			switch name := some.Draw(rt, "name"); step {
			case "namespace":
				api.put(namespaces, namespace(name, itoa(version)))
			case "no namespace":
				api.remove(namespaces, "", name)
			case "pod":
				api.put(pods, pod(some.Draw(rt, "namespace"), name, itoa(version)))
			case "no pod":
				api.remove(pods, some.Draw(rt, "namespace"), name)
			case "tier":
				api.put(tiers, tier(name, itoa(version)))
			case "no tier":
				api.remove(tiers, "", name)
			case "policy":
				api.put(global, globalPolicy(some.Draw(rt, "tier"), name, itoa(version)))
			case "no policy":
				api.remove(global, "", name)
			case "unserved":
				api.change(func() { api.served = slices.DeleteFunc(api.served, func(s string) bool { return s == "networksets" }) })
			case "served":
				api.change(func() { api.served = append(api.served, "networksets") })
			case "cut":
				api.cut()
			case "away":
				api.change(func() { api.goneAway = true })
			case "back":
				api.change(func() { api.goneAway = false })
			case "expire":
				api.expire()
			case "garbage":
				api.garbage(pods, "?")
			case "forbid":
				api.forbid("pods", "tiers.projectcalico.org")
			case "allow":
				api.forbid()
			}
		}
		steps := func(label string) {
			for _, step := range rapid.SliceOfN(rapid.SampledFrom([]string{
				"namespace", "no namespace", "pod", "pod", "no pod", "tier", "no tier", "policy", "policy", "no policy",
				"cut", "away", "back", "expire", "garbage", "forbid", "allow", "unserved", "served",
			}), 0, 30).Draw(rt, label) {
				version++
				act(step)
			}
		}
		steps("before")
		ctx, cancel := context.WithCancel(context.Background())
		r := startReader(ctx, t, api.config(), Options{}, quick())
		defer func() {
			cancel()
			if err := <-r.ended; err != nil {
				rt.Errorf("Watch gave %v", err)
			}
			api.cut()
			api.server.Close()
		}()
		steps("while it is read")
		act("back")
		act("allow")
		api.change(func() {
			api.log = slices.DeleteFunc(api.log, func(l logged) bool { return l.kind == "garbage" })
		})
		r.first()
		steps("after")
		act("back")
		act("allow")
		api.change(func() {
			api.log = slices.DeleteFunc(api.log, func(l logged) bool { return l.kind == "garbage" })
		})
		r.has(api.contents()...)
		r.until("no finding", func() bool {
			return !slices.ContainsFunc(r.findings, func(f store.Finding) bool { return !f.Note })
		})
	})
}

// contents lists what the server has, as reader.contents does.
func (a *fakeAPI) contents() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for plural, objects := range a.objects {
		for _, s := range objects {
			d := newDecoder(kindNamed(plural))
			o := must(d.decode(s.json, jsonText)).build().object
			labels := ""
			switch o := o.(type) {
			case *corev1.Pod:
				labels = o.Labels["v"]
			case *corev1.Namespace:
				labels = o.Labels["v"]
			case *v3.Tier:
				labels = o.Labels["v"]
			case *v3.GlobalNetworkPolicy:
				labels = o.Labels["v"]
			}
			key := d.kind.keyOf(identity{namespace: s.namespace, name: s.name})
			out = append(out, fmt.Sprintf("%s=%s", key, labels))
		}
	}
	return out
}
