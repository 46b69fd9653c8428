package translate_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// mirror holds what the changes of a translator add up to.
type mirror map[policy.Key]policy.Object

func (m mirror) apply(t testing.TB, changes []policy.Change) {
	t.Helper()
	for _, c := range changes {
		_, had := m[c.Key]
		switch {
		case c.Object == nil && !had:
			t.Fatalf("change deletes %v, which is not there", c.Key)
		case c.Object == nil:
			delete(m, c.Key)
		case c.Object.ObjectKey() != c.Key:
			t.Fatalf("change of %v holds %v", c.Key, c.Object.ObjectKey())
		default:
			m[c.Key] = c.Object
		}
	}
}

// ofModel returns the objects of a model that changes speak of.
func ofModel(m *policy.Model) mirror {
	out := mirror{}
	for _, o := range m.Tiers {
		out[o.ObjectKey()] = o
	}
	for _, o := range m.Policies {
		out[o.Key] = o
	}
	for _, o := range m.Endpoints {
		out[o.Key] = o
	}
	for _, o := range m.Sets {
		out[o.Key] = o
	}
	return out
}

// universe returns versions of few objects that depend on each other in all ways.
func universe(t testing.TB) map[policy.Key][]store.Resource {
	const template = `template: {metadata: {labels: {app: a}}, spec: {containers: []}}`
	const job = `, jobTemplate: {spec: {` + template + `}}`
	versions := []string{
		`{apiVersion: v1, kind: Namespace, metadata: {name: a}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {env: prod}}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {env: "not a value"}}}`,
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: a, labels: {role: x}}}`,
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: a}}`,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}}`,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: 1}}`,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {defaultAction: Alow}}`,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: default}, spec: {order: 1000000}}`,
		`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: default}, spec: {order: 1}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {tier: t}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {tier: u}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {tier: t, selector: "("}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: a}, spec: {tier: t, ingress: ` + tooManyRules + `}}`,
		`{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: g}, spec: {order: 1}}`,
		`{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: g}, spec: {ingress: ` + tooManyRules + `}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: s2, namespace: a}, spec: {egress: [{action: Allow, destination: {services: {name: w}}}], ingress: ` + tooManyRules + `}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: g}, spec: {tier: t}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s, namespace: a}, spec: {nets: [10.0.0.0/8]}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s, namespace: a, labels: {x: y}}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a, ownerReferences: [{apiVersion: x, kind: ReplicaSet, name: r-1, uid: u, controller: true}]}, spec: {serviceAccountName: sa, containers: []}, status: {podIP: 10.0.0.1}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a, ownerReferences: [{apiVersion: x, kind: ReplicaSet, name: r-1, uid: u, controller: true}], labels: {pod-template-hash: "1"}}, spec: {containers: []}, status: {podIP: 10.0.0.1, hostIP: 192.0.2.1}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a}, spec: {hostNetwork: true, nodeName: n, containers: []}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: p2, namespace: a, ownerReferences: [{apiVersion: x, kind: Job, name: c-1, uid: u, controller: true}]}, spec: {serviceAccountName: sa, containers: []}}`,
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r-1, namespace: a, ownerReferences: [{apiVersion: x, kind: Deployment, name: r, uid: u, controller: true}]}, spec: {selector: {}, ` + template + `}}`,
		`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r-1, namespace: a}, spec: {selector: {}, ` + template + `}}`,
		`{apiVersion: apps/v1, kind: Deployment, metadata: {name: r, namespace: a}, spec: {selector: {}, ` + template + `}}`,
		`{apiVersion: batch/v1, kind: Job, metadata: {name: c-1, namespace: a, ownerReferences: [{apiVersion: x, kind: CronJob, name: c, uid: u, controller: true}]}, spec: {` + template + `}}`,
		`{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, namespace: a}, spec: {schedule: x` + job + `}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a}, spec: {containers: []}, status: {podIPs: [{ip: "fd00::1"}, {ip: 10.0.0.1}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: r-1-x, namespace: a, labels: {pod-template-hash: "1"}, ownerReferences: [{apiVersion: x, kind: ReplicaSet, name: r-1, uid: u, controller: true}], deletionTimestamp: "2026-01-01T00:00:00Z"}, spec: {containers: [{ports: [{name: http, containerPort: 80}]}]}, status: {podIPs: [{ip: "fd00::1"}]}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: r-1-x, namespace: a, ownerReferences: [{apiVersion: x, kind: Other, name: r-1, uid: u, controller: true}]}, spec: {containers: []}, status: {phase: Failed, podIP: 10.0.0.1, startTime: "2026-01-01T00:00:00Z"}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: r-1-x, namespace: a, labels: {app: "not a value"}}, spec: {containers: []}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: a, labels: {statefulset.kubernetes.io/pod-name: db-0, apps.kubernetes.io/pod-index: "0", x: db-0}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}, spec: {containers: []}, status: {podIP: 10.0.0.3}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: a, labels: {statefulset.kubernetes.io/pod-name: other, apps.kubernetes.io/pod-index: "1"}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}, spec: {containers: []}, status: {podIP: 10.0.0.3}}`,
		`{apiVersion: v1, kind: Pod, metadata: {name: db-1, namespace: a, labels: {statefulset.kubernetes.io/pod-name: db-1, apps.kubernetes.io/pod-index: "1", x: db-0}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}]}, spec: {containers: []}, status: {podIP: 10.0.0.4}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm, namespace: a}, spec: {node: n, interfaceName: veth, ipNetworks: [10.0.0.1, 10.0.0.2, "fd00::2"], ports: [{name: sql, protocol: TCP, port: 5432}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm, namespace: a}, spec: {node: n, orchestrator: k8s, ipNetworks: [10.0.0.1, "fd00::2"], profiles: [kns.b]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm, namespace: a, labels: {role: own}}, spec: {node: n, ipNetworks: [10.0.0.1], profiles: [one, two, kns.a]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm2, namespace: a}, spec: {node: n, ipNetworks: [10.0.0.7], profiles: [two, one]}}`,
		`{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h}, spec: {node: n, interfaceName: "*", expectedIPs: [192.0.2.9], profiles: [one]}}`,
		`{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h}, spec: {node: n, interfaceName: "*", profiles: [two, one]}}`,
		`{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h}, spec: {node: n, interfaceName: "*", profiles: [kns.a, kns.b]}}`,
		`{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h2}, spec: {node: m, interfaceName: "*", profiles: [kns.aa]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm3, namespace: b}, spec: {node: n, ipNetworks: [10.0.0.8], profiles: [kns.b, kns.a]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm3, namespace: b}, spec: {node: n, ipNetworks: [10.0.0.300], profiles: [kns.a]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm4, namespace: c}, spec: {node: n, ipNetworks: [10.0.0.9], profiles: [kns.a, one, kns.b, kns.d]}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {env: test, b: b}}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: b}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: d, labels: {env: "not a value"}}}`,
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: d}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: b}, spec: {selector: "("}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: one}, spec: {ingress: [{action: Allow}], labelsToApply: {role: one, a: b}}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: one}, spec: {ingress: [{action: Deny}], labelsToApply: {role: one, a: b}}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: one}, spec: {ingress: [{action: Dney}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: two}, spec: {egress: [{action: Allow, destination: {services: {name: w, namespace: a}}}], labelsToApply: {role: two, c: d}}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: two}, spec: {egress: [{action: Allow, destination: {domains: [example.com]}}], labelsToApply: {role: two}}}`,
		`{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: kns.a}, spec: {ingress: [{action: Deny}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: vm, namespace: a}, spec: {node: n, ipNetworks: [10.0.0.300]}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: w, namespace: a}, spec: {selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}}`,
		`{apiVersion: v1, kind: Service, metadata: {name: w, namespace: a}, spec: {selector: {app: a}, ports: [{port: 80, targetPort: http}]}}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-1, namespace: a, labels: {kubernetes.io/service-name: w}}, addressType: IPv4, ports: [{port: 8080}], endpoints: [{addresses: [10.0.0.1]}]}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-1, namespace: a, labels: {kubernetes.io/service-name: w}}, addressType: IPv4, ports: [{port: 8080}], endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-1, namespace: a, labels: {kubernetes.io/service-name: v}}, addressType: IPv4, ports: [{port: 99999}], endpoints: []}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-2, namespace: a, labels: {kubernetes.io/service-name: w}}, addressType: IPv4, ports: [{port: 53, protocol: UDP}, {port: 53}], endpoints: [{addresses: [10.0.0.2]}]}`,
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-2, namespace: a, labels: {kubernetes.io/service-name: v}}, addressType: IPv6, ports: [{port: 53, protocol: UDP}], endpoints: [{addresses: ["fd00::1"]}]}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: s1, namespace: a}, spec: {tier: t, egress: [{action: Allow, destination: {services: {name: w}}}, {action: Deny, protocol: UDP, destination: {services: {name: w}}}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: s1, namespace: a}, spec: {egress: [{action: Allow, destination: {services: {name: w}}}, {action: Allow, destination: {services: {name: v}}}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: s2, namespace: a}, spec: {ingress: [{action: Allow, source: {services: {name: w}}}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: s2, namespace: a}, spec: {ingress: [{action: Allow}]}}`,
		`{apiVersion: projectcalico.org/v3, kind: StagedGlobalNetworkPolicy, metadata: {name: s3}, spec: {egress: [{action: Allow, destination: {services: {name: w, namespace: a}}}]}}`,
		`{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: 192.0.2.9}]}}`,
	}
	out := map[policy.Key][]store.Resource{}
	for _, v := range versions {
		r := read(t, v)[0]
		out[r.Key] = append(out[r.Key], r)
	}
	return out
}

// TestIncremental checks that after any sequence of steps the translator is as
// one that was given the last state at once, and that its changes add up to it.
func TestIncremental(t *testing.T) {
	objects := universe(t)
	var keys []policy.Key
	for k := range objects {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, policy.Key.Compare)
	rapid.Check(t, func(rt *rapid.T) {
		// Only offline is a state the result of the last versions alone.
		tr := translate.New(translate.Options{Offline: true})
		now := map[policy.Key]store.Resource{}
		built := mirror{}
		// An agent keeps what was valid, so only its own changes judge its model.
		agent, enforced := translate.New(translate.Options{}), mirror{}
		statuses := map[policy.Key]translate.Status{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			var b store.Batch
			for range rapid.IntRange(0, 4).Draw(rt, "objects") {
				key := rapid.SampledFrom(keys).Draw(rt, "key")
				inBatch := slices.Contains(b.Deleted, key) || slices.ContainsFunc(b.Updated, func(r store.Resource) bool { return r.Key == key })
				if inBatch {
					continue
				}
				if _, there := now[key]; there && rapid.Bool().Draw(rt, "delete") {
					b.Deleted = append(b.Deleted, key)
					delete(now, key)
					if !rapid.Bool().Draw(rt, "made anew at once") {
						continue
					}
				}
				now[key] = rapid.SampledFrom(objects[key]).Draw(rt, "version")
				b.Updated = append(b.Updated, now[key])
			}
			agent.Apply(b, translate.Sink{Change: func(c policy.Change) { enforced.apply(t, []policy.Change{c}) }})
			result := tr.ApplySorted(b)
			built.apply(t, result.Changes)
			for _, s := range result.Statuses {
				statuses[s.Key] = s
				if s.State == 0 {
					delete(statuses, s.Key)
				}
			}
		}

		var all []store.Resource
		for _, key := range keys {
			if r, there := now[key]; there {
				all = append(all, r)
			}
		}
		scratch := translate.New(translate.Options{Offline: true})
		once := mirror{}
		once.apply(t, scratch.ApplySorted(store.Batch{Updated: all}).Changes)
		inParts(rt, all, once)
		diff(rt, "changes added up", once, built)
		diff(rt, "the agent's changes added up", ofModel(agent.Model()), enforced)
		anew := mirror{}
		agent.Each(func(c policy.Change) { anew.apply(t, []policy.Change{c}) })
		diff(rt, "the agent's model, one by one", enforced, anew)
		wellCounted(rt, agent)
		diff(rt, "model", scratch.Model(), tr.Model())
		diff(rt, "staged", scratch.Staged(), tr.Staged())
		diff(rt, "statuses", scratch.Statuses(), tr.Statuses())
		for _, s := range tr.Statuses() {
			diff(rt, "status as reported", s, statuses[s.Key])
			delete(statuses, s.Key)
		}
		if len(statuses) > 0 {
			rt.Fatalf("statuses of objects that are gone: %v", statuses)
		}

		var gone store.Batch
		gone.Deleted = append(gone.Deleted, keys...)
		enforced.apply(t, agent.ApplySorted(gone).Changes)
		tr.ApplySorted(gone)
		diff(rt, "what is left when all is gone", ofModel(translate.New(translate.Options{}).Model()), withoutFixed(enforced))
		for _, t := range []*translate.Translator{agent, tr} {
			for what, n := range t.Sizes() {
				if n != 0 {
					rt.Fatalf("when all is gone, %d %s are left", n, what)
				}
			}
		}
	})
}

func withoutFixed(m mirror) mirror {
	for _, tier := range policy.FixedTiers() {
		delete(m, tier.ObjectKey())
	}
	return m
}

// inParts checks that a state may come in any number of parts, in any order.
func inParts(rt *rapid.T, all []store.Resource, want mirror) {
	tr, now := translate.New(translate.Options{Offline: true}), mirror{}
	sink := translate.Sink{Change: func(c policy.Change) {
		if c.Object == nil {
			delete(now, c.Key)
		} else {
			now[c.Key] = c.Object
		}
	}}
	if len(all) > 0 {
		all = rapid.Permutation(all).Draw(rt, "order of parts")
	}
	for len(all) > 0 {
		n := rapid.IntRange(1, len(all)).Draw(rt, "part")
		tr.Apply(store.Batch{Updated: all[:n], More: len(all) > n}, sink)
		all = all[n:]
	}
	tr.Apply(store.Batch{}, sink)
	diff(rt, "a state in parts", want, now)
}

// wellCounted checks what a translator says of statuses against all of them.
func wellCounted(rt *rapid.T, tr *translate.Translator) {
	counts := map[translate.KindState]int{}
	var invalid []translate.Status
	for _, s := range tr.Statuses() {
		counts[translate.KindState{Kind: s.Key.Kind, State: s.State}]++
		if s.State == translate.LastValid || s.State == translate.NotInForce || s.State == translate.Isolates || s.State == translate.InForce && s.IsWrong() {
			invalid = append(invalid, s)
		}
		diff(rt, "status of one object", s, tr.Status(s.Key))
	}
	diff(rt, "counts", counts, tr.Counts())
	diff(rt, "what is invalid", invalid, tr.Invalid())
}

func TestAgentKeepsLastValidVersion(t *testing.T) {
	policyOf := func(selector string) store.Resource {
		return read(t, fmt.Sprintf(`{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: p}, spec: {selector: "%s"}}`, selector))[0]
	}
	tr := translate.New(translate.Options{})
	key := policyOf("").Key
	state := func() (translate.State, string, int) {
		s := translate.Status{}
		for _, s = range tr.Statuses() {
			if s.Key == key {
				break
			}
		}
		in := ""
		for _, p := range tr.Model().Policies {
			in = p.Selector.String()
		}
		return s.State, in, len(s.Findings)
	}
	check := func(step string, wantState translate.State, wantSelector string, wantFindings int) {
		t.Helper()
		gotState, gotSelector, gotFindings := state()
		if gotState != wantState || gotSelector != wantSelector || gotFindings != wantFindings {
			t.Errorf("%s: %v, %q, %d findings; want %v, %q, %d", step, gotState, gotSelector, gotFindings, wantState, wantSelector, wantFindings)
		}
	}
	tr.Update(policyOf("a =="))
	check("invalid from the start", translate.NotInForce, "", 1)
	tr.Update(policyOf("a == 'b'"))
	check("valid", translate.InForce, "a == 'b'", 0)
	if r := tr.Update(policyOf("a ==")); len(r.Changes) > 0 || len(r.Statuses) != 1 {
		t.Errorf("an invalid version gives %+v, want no changes and one status", r)
	}
	check("invalid", translate.LastValid, "a == 'b'", 1)
	tr.ApplySorted(store.Batch{Findings: []store.Finding{{Key: key, Message: "does not parse"}}})
	check("rejected by the store as well", translate.LastValid, "a == 'b'", 2)
	tr.Update(policyOf("c == 'd'"))
	check("valid again", translate.InForce, "c == 'd'", 0)
	if r := tr.Delete(key); len(r.Changes) != 1 || r.Changes[0].Object != nil {
		t.Errorf("Delete gives %+v, want one deletion", r)
	}
	if r := tr.Delete(key); len(r.Changes)+len(r.Statuses) != 0 {
		t.Errorf("deleting again gives %+v", r)
	}
}

func TestRejectedByStore(t *testing.T) {
	tr := translate.New(translate.Options{})
	key := policy.Key{Kind: policy.KindTier, Name: "t"}
	bad := store.Batch{Findings: []store.Finding{
		{Key: key, Field: "spec.ordre", Message: "unknown field"},
		{File: "x.yaml", Message: "is no YAML"},
		{Key: policy.Key{Kind: "Pod", Name: "p"}, Message: "by the way", Note: true},
	}}
	want := []translate.Status{{Key: key, State: translate.NotInForce, Findings: bad.Findings[:1]}}
	diff(t, "status", want, tr.ApplySorted(bad).Statuses)
	diff(t, "status said again", []translate.Status(nil), tr.ApplySorted(bad).Statuses)
	diff(t, "object gone", []translate.Status{{Key: key}}, tr.ApplySorted(store.Batch{}).Statuses)
	diff(t, "statuses", []translate.Status(nil), tr.Statuses())
}

// TestDependents checks that a change reaches exactly what depends on it.
func TestDependents(t *testing.T) {
	tr := translate.New(translate.Options{})
	first := tr.ApplySorted(store.Batch{Updated: read(t, `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {serviceAccountName: sa, containers: []}, status: {podIP: 10.0.0.1}}
- {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x}, spec: {containers: []}, status: {podIP: 10.0.0.2}}
- {apiVersion: v1, kind: Pod, metadata: {name: c, namespace: y}, spec: {serviceAccountName: sa, containers: []}, status: {podIP: 10.0.0.3}}
- {apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s, namespace: x}}
- {apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: p}, spec: {tier: t}}
- {apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: q}}
- {apiVersion: v1, kind: Service, metadata: {name: svc, namespace: x}}
`)})
	changed := func(r translate.Result) []string {
		var out []string
		for _, c := range r.Changes {
			s := c.Key.String()
			if c.Object == nil {
				s = "-" + s
			}
			out = append(out, s)
		}
		return out
	}
	update := func(manifest string) []string { return changed(tr.Update(read(t, manifest)[0])) }
	diff(t, "at first", []string{"GlobalNetworkPolicy/q", "Tier/default", "Tier/kube-admin", "Tier/kube-baseline",
		"x/NetworkSet/s", "x/Pod/a", "x/Pod/b", "y/Pod/c"}, changed(first))
	diff(t, "namespace", []string{"x/NetworkSet/s", "x/Pod/a", "x/Pod/b"}, update(`{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {env: prod}}}`))
	diff(t, "namespace, the same", []string(nil), update(`{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {env: prod}, annotations: {a: b}}}`))
	diff(t, "service account", []string{"x/Pod/a"}, update(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: x, labels: {role: y}}}`))
	diff(t, "service account without labels", []string{"x/Pod/a"}, update(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: x}}`))
	diff(t, "tier", []string{"GlobalNetworkPolicy/p", "Tier/t"}, update(`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}}`))
	diff(t, "tier's order", []string{"Tier/t"}, update(`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: 1}}`))
	held := tr.Delete(policy.Key{Kind: policy.KindTier, Name: "t"})
	diff(t, "tier gone under its policy", []string(nil), changed(held))
	diff(t, "its policy gone, too", []string{"-GlobalNetworkPolicy/p", "-Tier/t"}, changed(tr.Delete(policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "p"})))
	diff(t, "tier default, written", []string(nil), update(`{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: default}, spec: {defaultAction: Deny}}`))
	back := tr.Delete(policy.Key{Kind: policy.KindTier, Name: "default"})
	diff(t, "tier default, no longer written", []string(nil), changed(back))
	diff(t, "namespace gone", []string{"x/NetworkSet/s", "x/Pod/a", "x/Pod/b"}, changed(tr.Delete(policy.Key{Kind: "Namespace", Name: "x"})))
	diff(t, "finished pod", []string{"-y/Pod/c"}, update(`{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: y}, spec: {containers: []}, status: {phase: Failed, podIP: 10.0.0.3}}`))
}
