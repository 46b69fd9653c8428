package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
)

// stageable is a kind of policy that can be staged, with what it may say.
type stageable struct {
	api, kind, staged, scope string
	specs                    []string
}

var stageables = []stageable{
	{"projectcalico.org/v3", "NetworkPolicy", "StagedNetworkPolicy", "namespace: a", []string{
		``, `tier: t, order: 5`, `tier: t, ingress: [{action: Allow, source: {selector: "x == 'y'"}}, {action: Pass}]`,
		`selector: "has(x)", types: [Egress], egress: [{action: Allow, destination: {services: {name: w}}}]`,
		`egress: [{action: Allow, destination: {domains: [www.example.com]}}, {action: Deny}]`,
	}},
	{"projectcalico.org/v3", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy", "", []string{
		``, `tier: kube-admin, order: 1, ingress: [{action: Deny, source: {nets: [192.0.2.0/24]}}]`,
		`tier: t, order: 9, types: [Ingress, Egress], namespaceSelector: "env == 'prod'"`,
		`egress: [{action: Allow, destination: {services: {name: w, namespace: a}}}]`,
	}},
	{"networking.k8s.io/v1", "NetworkPolicy", "StagedKubernetesNetworkPolicy", "namespace: a", []string{
		`podSelector: {}`, `podSelector: {matchLabels: {x: "y"}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]`,
		`podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]`,
	}},
}

const stagedWorld = `
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: a, labels: {x: "y"}}, spec: {containers: []}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: a}, spec: {containers: []}}
---
{apiVersion: v1, kind: Service, metadata: {name: w, namespace: a}, spec: {selector: {x: "y"}, ports: [{port: 80}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: w-1, namespace: a, labels: {kubernetes.io/service-name: w}}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.0.0.1]}]}
---
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: 7}}
`

// TestPending checks that what is pending is what the staged policies would be as
// policies, and that nothing of them is in the model that is enforced.
func TestPending(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var real, staged, meant strings.Builder // what is, what is staged, and what it comes to
		draw := func(s *stageable, what string) string { return rapid.SampledFrom(s.specs).Draw(rt, what) }
		for i := range stageables {
			s := &stageables[i]
			for _, name := range []string{"a", "t.b"} {
				write := func(to *strings.Builder, kind, api, spec string) {
					fmt.Fprintf(to, "---\n{apiVersion: %s, kind: %s, metadata: {name: %s, %s}, spec: {%s}}\n", api, kind, name, s.scope, spec)
				}
				spec, is := draw(s, "spec"), rapid.Bool().Draw(rt, "is there")
				if is {
					write(&real, s.kind, s.api, spec)
				}
				action := rapid.SampledFrom([]string{"", "Set", "Delete", "Learn", "Ignore", "none"}).Draw(rt, "action")
				now := draw(s, "staged spec")
				switch action {
				case "none":
				case "Delete": // beside which nothing else may stand
					write(&staged, s.staged, "projectcalico.org/v3", "stagedAction: Delete")
				case "":
					write(&staged, s.staged, "projectcalico.org/v3", now)
				default:
					write(&staged, s.staged, "projectcalico.org/v3", strings.TrimSuffix("stagedAction: "+action+", "+now, ", "))
				}
				switch {
				case action == "" || action == "Set":
					write(&meant, s.kind, s.api, now)
				case is && action != "Delete":
					write(&meant, s.kind, s.api, spec)
				}
			}
		}
		opts := translate.Options{Offline: true}
		resources := read(t, stagedWorld+real.String()+staged.String())
		loaded := translate.Load(resources, nil, opts)
		for _, f := range loaded.Findings {
			if !f.Note {
				rt.Fatal(f)
			}
		}
		pending, _ := translate.LoadPending(resources, &loaded, opts)
		wanted := translate.Load(read(t, stagedWorld+meant.String()), nil, opts).Model
		wanted.Endpoints = loaded.Model.Endpoints // but for placeholders they are the same
		diff(rt, "pending", wanted, pending)
		diff(rt, "enforced", translate.Load(read(t, stagedWorld+real.String()), nil, opts).Model, loaded.Model)

		// What an agent's engine is told does not depend on what is staged.
		told := func(manifests string) any {
			return translate.New(translate.Options{}).ApplySorted(store.Batch{Updated: read(t, manifests)}).Changes
		}
		diff(rt, "changes", told(stagedWorld+real.String()), told(stagedWorld+real.String()+staged.String()))
	})
}

// TestPendingInvalid checks that an invalid staged policy is reported as any other,
// and changes nothing.
func TestPendingInvalid(t *testing.T) {
	resources := read(t, `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: g}
spec: {order: 1}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: g}
spec: {selector: "("}
---
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: h}
spec: {tier: nowhere}
`)
	loaded := translate.Load(resources, nil, translate.Options{Offline: true})
	diff(t, "findings", []string{
		"10: spec.selector: column 2: found the end of the selector, expected a label, \"has(\", \"all()\", \"global()\", \"!\" or \"(\"",
		`15: spec.tier: tier "nowhere" does not exist, so the policy is not enforced: create the tier, or name one that exists (default, kube-admin, kube-baseline)`,
	}, lines(loaded.Findings))
	pending, _ := translate.LoadPending(resources, &loaded, translate.Options{Offline: true})
	diff(t, "pending", loaded.Model, pending)
}
