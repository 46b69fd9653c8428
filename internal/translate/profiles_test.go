package translate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

const (
	vmNaming = `
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm, namespace: web, labels: {own: vm}}
spec: {node: n1, ipNetworks: [10.0.0.3], profiles: [one, two]}`
	hostNaming = `
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: host, labels: {own: host}}
spec: {node: n1, interfaceName: "*", profiles: [two, one]}`
	profileOne = `
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: one}
spec:
  labelsToApply: {own: one, both: one, only-one: a, projectcalico.org/namespace: forged}
  ingress: [{action: Allow, protocol: TCP}]`
	profileTwo = `
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: two}
spec: {labelsToApply: {both: two}}`
)

const policyInShop = `{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: shop}}`

// The profile of another namespace allows everything, and gives its labels but for those that
// say in which namespace the endpoint is; the endpoint's own namespace comes first.
func TestProfilesOfOtherNamespaces(t *testing.T) {
	const namespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {team: web}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop, zone: dmz}}`
	m := load(t, strings.Join([]string{
		namespaces, strings.Replace(vmNaming, "[one, two]", "[kns.shop]", 1), strings.Replace(hostNaming, "[two, one]", "[kns.shop, kns.web]", 1),
		`{apiVersion: v1, kind: Pod, metadata: {name: pod, namespace: shop}, spec: {containers: []}, status: {podIP: 10.0.0.9}}`,
	}, "\n---\n"))
	for _, tt := range []struct {
		kind string
		want map[string]string
	}{
		{policy.KindWorkloadEndpoint, map[string]string{"projectcalico.org/namespace": "web", "pcns.team": "web", "pcns.zone": "dmz", "pcns.projectcalico.org/name": "web"}},
		{policy.KindHostEndpoint, map[string]string{"projectcalico.org/namespace": "", "pcns.team": "shop", "pcns.zone": "dmz", "pcns.projectcalico.org/name": "shop"}},
		{policy.KindPod, map[string]string{"projectcalico.org/namespace": "shop", "pcns.team": "shop", "pcns.zone": "dmz"}},
	} {
		i := slices.IndexFunc(m.Endpoints, func(ep *policy.Endpoint) bool { return ep.Key.Kind == tt.kind })
		for key, want := range tt.want {
			if got, _ := m.Endpoints[i].Labels.Get(key); got != want {
				t.Errorf("%s: label %s is %q, want %q", tt.kind, key, got, want)
			}
		}
	}
	var names []string
	for _, p := range m.Policies {
		names = append(names, p.Key.String())
		for _, dir := range policy.Directions {
			if rules := p.Rules[dir]; len(rules) != 1 || rules[0].Action != policy.Allow {
				t.Errorf("%v has the rules %v", p.Key, rules)
			}
		}
	}
	diff(t, "profiles in the model", []string{"Profile/kns.shop", "Profile/kns.web"}, names)
}

// An endpoint's own labels come before those of its profiles, and of these the first
// profile's. No label of theirs is taken for that of a namespace.
func TestLabelsOfProfiles(t *testing.T) {
	m := load(t, strings.Join([]string{vmNaming, hostNaming, profileOne, profileTwo}, "\n---"))
	for _, tt := range []struct {
		endpoint policy.Key
		want     map[string]string
	}{
		{policy.Key{Kind: policy.KindWorkloadEndpoint, Namespace: "web", Name: "vm"},
			map[string]string{"own": "vm", "both": "one", "only-one": "a", "projectcalico.org/namespace": "web", "own:projectcalico.org/namespace": "forged"}},
		{policy.Key{Kind: policy.KindHostEndpoint, Name: "host"},
			map[string]string{"own": "host", "both": "two", "only-one": "a", "projectcalico.org/namespace": "", "own:projectcalico.org/namespace": "forged"}},
	} {
		i := slices.IndexFunc(m.Endpoints, func(ep *policy.Endpoint) bool { return ep.Key == tt.endpoint })
		if i < 0 {
			t.Fatalf("%v is not in the model", tt.endpoint)
		}
		for key, want := range tt.want {
			if got, _ := m.Endpoints[i].Labels.Get(key); got != want {
				t.Errorf("%v: label %s is %q, want %q", tt.endpoint, key, got, want)
			}
		}
	}
}

// What names a profile that there is not stays in force, where it denies, and says so.
func TestMissingProfiles(t *testing.T) {
	for _, tt := range []struct{ name, manifests, want string }{
		{"none of the name", vmNaming + "\n---" + profileOne,
			`5: spec.profiles: profile "two" does not exist, so that what no policy decides is denied: create the profile, or name one that does, such as projectcalico-default-allow or kns.web`},
		{"nearly of the name", strings.Replace(hostNaming, "[two, one]", "[one2]", 1) + "\n---" + profileOne,
			`5: spec.profiles: profile "one2" does not exist, so that what no policy decides is denied: create the profile, or name one that does, such as projectcalico-default-allow; did you mean "one"?`},
		{"that of a namespace that there is not", strings.Replace(vmNaming, "[one, two]", "[kns.wbe]", 1),
			`5: spec.profiles: profile "kns.wbe" is that of namespace wbe, which does not exist, so that what no policy decides is denied: create the namespace, or name one that does, such as projectcalico-default-allow or kns.web; did you mean "kns.web"?`},
		{"of a host, that of a namespace that there is not", strings.Replace(hostNaming, "[two, one]", "[kns.shpo]", 1) + "\n---\n" + policyInShop,
			`5: spec.profiles: profile "kns.shpo" is that of namespace shpo, which does not exist, so that what no policy decides is denied: create the namespace, or name one that does, such as projectcalico-default-allow; did you mean "kns.shop"?`},
		{"that of pods elsewhere", strings.Replace(vmNaming, "[one, two]", "[ksa.shop.default]", 1) + "\n---\n" + policyInShop,
			`5: spec.profiles: profile "ksa.shop.default" is that of pods elsewhere, and none of this endpoint, so that what no policy decides is denied: name one that does, such as projectcalico-default-allow or kns.web`},
		{"that of a namespace that something is in", strings.Replace(vmNaming, "[one, two]", "[kns.shop]", 1) + "\n---\n" + policyInShop, ""},
		{"its own namespace's", strings.Replace(vmNaming, "[one, two]", "[kns.web, ksa.web.default, projectcalico-default-allow]", 1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			loaded := translate.Load(read(t, tt.manifests), nil, translate.Options{Offline: true})
			diff(t, "findings", tt.want, strings.Join(lines(loaded.Findings), "\n"))
			if len(loaded.Model.Endpoints) != 1 {
				t.Errorf("%d endpoints in the model, want 1", len(loaded.Model.Endpoints))
			}
		})
	}
}

// Objects of the names of profiles that are there by themselves say what these mean, or are
// said to have no effect.
func TestReservedProfiles(t *testing.T) {
	const named = `
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: NAME}
spec: SPEC`
	for _, tt := range []struct{ profile, spec, want string }{
		{"kns.web", "{ingress: [{action: Allow}], egress: [{action: Allow}], labelsToApply: {pcns.team: a, projectcalico.org/name: web}}", ""},
		{"ksa.web.default", "{labelsToApply: {pcsa.team: a}}", ""},
		{"projectcalico-default-allow", "{ingress: [{action: Allow}], egress: [{action: Allow}]}", ""},
		{"kns.web", "{ingress: [{action: Deny}], egress: [{action: Allow}]}", "5: spec: a profile of this name is there by itself, so that what the object says has no effect: give it another name"},
		{"projectcalico-default-allow", "{ingress: [{action: Allow}]}", "5: spec: a profile of this name is there by itself, so that what the object says has no effect: give it another name"},
	} {
		manifest := strings.NewReplacer("NAME", tt.profile, "SPEC", tt.spec).Replace(named)
		loaded := translate.Load(read(t, manifest), nil, translate.Options{Offline: true})
		diff(t, tt.profile, tt.want, strings.Join(lines(loaded.Findings), "\n"))
		for _, f := range loaded.Findings {
			if !f.Note {
				t.Errorf("%v is no note", f)
			}
		}
		if len(loaded.Model.Policies) > 0 {
			t.Errorf("%s is in the model", tt.profile)
		}
	}
}

// Rules of a profile change nothing but the profile; labels change those who name it; and
// the statuses of these say whether it is there.
func TestProfilesThatChange(t *testing.T) {
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: read(t, vmNaming+"\n---"+hostNaming+"\n---"+profileTwo)})
	step := func(name, manifest string, changed, reported []string) {
		t.Helper()
		result := tr.Update(read(t, manifest)[0])
		var keys, statuses []string
		for _, c := range result.Changes {
			keys = append(keys, c.Key.String())
		}
		for _, s := range result.Statuses {
			statuses = append(statuses, s.Key.String())
		}
		diff(t, name+": changes", changed, keys)
		diff(t, name+": statuses", reported, statuses)
	}
	vm := policy.Key{Kind: policy.KindWorkloadEndpoint, Namespace: "web", Name: "vm"}
	host := policy.Key{Kind: policy.KindHostEndpoint, Name: "host"}
	for _, key := range []policy.Key{vm, host} {
		if s := tr.Status(key); s.State != translate.InForce || len(s.Findings) != 1 || !s.Findings[0].FailClosed {
			t.Errorf("%v without a profile that it names: %v", key, s)
		}
	}
	all := []string{host.String(), "Profile/one", vm.String()}
	step("it comes", profileOne, all, all)
	for _, key := range []policy.Key{vm, host} {
		if s := tr.Status(key); s.State != translate.InForce || len(s.Findings) != 0 {
			t.Errorf("%v with all profiles: %v", key, s)
		}
	}
	step("its rules change", strings.Replace(profileOne, "TCP", "UDP", 1), []string{"Profile/one"}, nil)
	step("its labels change", strings.NewReplacer("TCP", "UDP", "only-one: a", "only-one: b").Replace(profileOne), []string{host.String(), vm.String()}, nil)
	step("it becomes invalid", strings.Replace(profileOne, "Allow", "Alow", 1), nil, []string{"Profile/one"})
	step("again as it was", strings.NewReplacer("TCP", "UDP", "only-one: a", "only-one: b").Replace(profileOne), nil, []string{"Profile/one"})
	result := tr.Delete(policy.ProfileKey("one"))
	if len(result.Changes) != 3 || len(result.Statuses) != 3 {
		t.Errorf("it goes: %d changes and %d statuses, want 3 of each", len(result.Changes), len(result.Statuses))
	}
}

// A namespace that comes, changes its labels or goes changes those elsewhere that name its
// profile.
func TestNamespacesOfProfilesThatChange(t *testing.T) {
	tr := translate.New(translate.Options{})
	tr.ApplySorted(store.Batch{Updated: read(t, strings.Replace(vmNaming, "[one, two]", "[kns.shop]", 1))})
	vm, profile := policy.Key{Kind: policy.KindWorkloadEndpoint, Namespace: "web", Name: "vm"}, policy.ProfileKey("kns.shop")
	step := func(name string, b store.Batch, missing bool, changed ...policy.Key) {
		t.Helper()
		var keys []policy.Key
		for _, c := range tr.ApplySorted(b).Changes {
			if c.Key.Kind != policy.KindPod {
				keys = append(keys, c.Key)
			}
		}
		diff(t, name+": changes", changed, keys)
		if s := tr.Status(vm); s.State != translate.InForce || (len(s.Findings) > 0) != missing {
			t.Errorf("%s: %v", name, s)
		}
	}
	const namespace = `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}`
	pod := read(t, `{apiVersion: v1, kind: Pod, metadata: {name: pod, namespace: shop}, spec: {containers: []}, status: {podIP: 10.0.0.9}}`)
	step("it is not there", store.Batch{}, true)
	step("it comes", store.Batch{Updated: read(t, namespace)}, false, profile, vm)
	step("its labels change", store.Batch{Updated: read(t, strings.Replace(namespace, "team: a", "team: b", 1))}, false, vm)
	step("a pod comes", store.Batch{Updated: pod}, false)
	step("it goes, but for the pod", store.Batch{Deleted: []policy.Key{{Kind: "Namespace", Name: "shop"}}}, false, vm)
	step("it goes", store.Batch{Deleted: []policy.Key{pod[0].Key}}, true, profile, vm)
	step("a pod brings it", store.Batch{Updated: pod}, false, profile, vm)
	step("nobody names it any more", store.Batch{Updated: read(t, strings.Replace(vmNaming, "[one, two]", "[kns.web]", 1))}, false, profile, vm)
}
