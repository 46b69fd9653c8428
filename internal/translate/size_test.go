package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/internal/hostile"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// tooManyRules are rules of projectcalico.org/v3 whose ports cannot be in force: those of the first by those of the others.
var tooManyRules = func() string {
	var ports, rules []string
	for i := range 500 {
		ports = append(ports, fmt.Sprint(2*i+1))
		rules = append(rules, fmt.Sprintf("{action: Allow, protocol: TCP, destination: {ports: [%d]}}", i+1))
	}
	return "[{action: Deny, protocol: TCP, source: {ports: [" + strings.Join(ports, ", ") + "]}}, " + strings.Join(rules, ", ") + "]"
}()

const (
	whyTooMany = "too large: 503010 combinations of source and destination ports, of at most 250000, most of them because of rule ingress[0]: use ranges of ports"
	isolating  = "; until then it isolates what it selects, as if it had no rules"
)

// TestTooLarge checks what becomes of a policy that is refused for its size, by its kind and by whether a version
// of it was valid before.
func TestTooLarge(t *testing.T) {
	calico := func(kind, meta string) func(rules string) string {
		return func(rules string) string {
			return fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: %s\nmetadata: {name: p%s}\nspec: {tier: t, selector: \"app == 'x'\", types: [Ingress], ingress: %s}", kind, meta, rules)
		}
	}
	const small = "[{action: Allow}]"
	kubernetes := func(rules string) string {
		if rules == small {
			return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: exceptions, namespace: evil}\nspec: {podSelector: {}, ingress: [{}]}"
		}
		_, text, _ := strings.Cut(hostile.Exceptions(3000).Manifests[1:], "---\n") // without the pod
		return text
	}
	// A ClusterNetworkPolicy may not have so many rules and peers that it could be too large.
	admin := func(rules string) string {
		rest, times := "{namespaces: {}}]", 1
		if rules != small {
			rest, times = strings.Repeat("{namespaces: {}}, ", 70)+"], ports: [{namedPort: x}]", 100
		}
		return "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: p}\nspec: {priority: 1, subject: {namespaces: {}}, ingress: [" +
			strings.Repeat("{action: Allow, from: ["+rest+"}, ", times) + "]}"
	}
	const tooManyPeers = "too large: 21000 rules (one for each peer and protocol), of at most 20000: split the policy, or keep nets in a NetworkSet and select it"
	for _, tt := range []struct {
		name     string
		manifest func(rules string) string
		never    translate.State // without a valid version before
		before   translate.State // with one
		message  string          // empty: whyTooMany
	}{
		{"of Calico", calico("NetworkPolicy", ", namespace: a"), translate.Isolates, translate.LastValid, ""},
		{"of Kubernetes", kubernetes, translate.Isolates, translate.LastValid, "too large: 9027008 ports to decide on for all nets that rules tell apart, of at most 3000000: have rules share their lists of nets or ports, or split the policy"},
		{"global", calico("GlobalNetworkPolicy", ""), translate.NotInForce, translate.LastValid, ""},
		{"of the administrator", admin, translate.NotInForce, translate.LastValid, tooManyPeers},
		{"staged", calico("StagedNetworkPolicy", ", namespace: a"), translate.NotInForce, translate.NotInForce, ""},
		{"staged, global", calico("StagedGlobalNetworkPolicy", ""), translate.NotInForce, translate.NotInForce, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tier := read(t, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {order: 1}")
			valid, large := read(t, tt.manifest(small))[0], read(t, tt.manifest(tooManyRules))[0]
			why := tt.message
			if why == "" {
				why = whyTooMany
			}
			check := func(step string, tr *translate.Translator, state translate.State, rules string) {
				t.Helper()
				s := tr.Status(valid.Key)
				want, closed := []string{why}, false
				if state == translate.InForce || state == translate.NotEnforced {
					want = nil
				}
				if state == translate.Isolates {
					want[0] += isolating
					closed = true
				}
				var got []string
				for _, f := range s.Findings {
					if got = append(got, f.Message); f.FailClosed != closed || f.Line == 0 || !strings.HasPrefix(f.Field, "spec.ingress") {
						t.Errorf("%s: finding %+v", step, f)
					}
				}
				diff(t, step+": state", state.String(), s.State.String())
				diff(t, step+": findings", want, got)
				diff(t, step+": in the model", rules, rulesInModel(tr, valid.Key))
				if invalid := slices.ContainsFunc(tr.Invalid(), func(s translate.Status) bool { return s.Key == valid.Key }); invalid != (want != nil) {
					t.Errorf("%s: invalid: %v", step, invalid)
				}
			}
			inForce, stands, one, none := translate.InForce, "no", "1 rule", "no"
			if tt.never == translate.Isolates {
				none = "0 rules"
			}
			if tt.before == translate.NotInForce { // staged
				inForce, one = translate.NotEnforced, "no"
			} else {
				stands = one
			}
			tr := translate.New(translate.Options{})
			tr.ApplySorted(store.Batch{Updated: append(tier, large)})
			check("never valid", tr, tt.never, none)
			tr.Update(large)
			check("again", tr, tt.never, none)
			tr.Update(valid)
			check("valid", tr, inForce, one)
			tr.Update(large)
			check("valid before", tr, tt.before, stands)
			tr.Update(valid)
			check("valid again", tr, inForce, one)
			tr.Delete(valid.Key)
			tr.Update(large)
			check("deleted, and made anew", tr, tt.never, none)
			tr.Delete(tier[0].Key)
			diff(t, "its tier deleted: state", tt.never, tr.Status(valid.Key).State)
			diff(t, "its tier deleted: in the model", none, rulesInModel(tr, valid.Key))

			offline := translate.New(translate.Options{Offline: true})
			offline.ApplySorted(store.Batch{Updated: append(tier, large)})
			check("offline", offline, tt.never, none)
		})
	}
}

// rulesInModel says how many rules a policy has in the model.
func rulesInModel(tr *translate.Translator, key policy.Key) string {
	for _, p := range tr.Model().Policies {
		if p.Key == key {
			switch n := len(p.Rules[policy.Egress]) + len(p.Rules[policy.Ingress]); {
			case !p.Types[policy.Ingress] || p.Types[policy.Egress] || p.Selector.String() == "":
				return "another policy"
			case n == 1:
				return "1 rule"
			default:
				return fmt.Sprintf("%d rules", n)
			}
		}
	}
	return "no"
}

// TestTooLargeAndInvalid checks what becomes of a policy that isolates when its next version is invalid otherwise.
func TestTooLargeAndInvalid(t *testing.T) {
	policyOf := func(selector string) store.Resource {
		return read(t, "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {selector: \""+selector+"\", ingress: "+tooManyRules+"}")[0]
	}
	tr := translate.New(translate.Options{})
	tr.Update(policyOf("a =="))
	diff(t, "too large, and its selector does not parse", translate.NotInForce, tr.Status(policyOf("").Key).State)
	tr.Update(policyOf("a == 'b'"))
	tr.Update(policyOf("a =="))
	diff(t, "isolating, and its selector does not parse any more", translate.Isolates, tr.Status(policyOf("").Key).State)
	tr.Update(policyOf("c == 'd'"))
	if got := tr.Model().Policies[0].Selector.String(); !strings.Contains(got, "c == 'd'") {
		t.Errorf("isolating others: %s", got)
	}
}

// TestTooLargeAndWaiting checks that a policy isolates until the tier of its next version is there, and no longer.
func TestTooLargeAndWaiting(t *testing.T) {
	policyOf := func(spec string) store.Resource {
		return read(t, "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, namespace: a}\nspec: {types: [Ingress], "+spec+"}")[0]
	}
	tr := translate.New(translate.Options{})
	r := policyOf("ingress: " + tooManyRules)
	tr.Update(r)
	check := func(step string, state translate.State, rules string) {
		t.Helper()
		diff(t, step+": state", state.String(), tr.Status(r.Key).State.String())
		diff(t, step+": in the model", rules, rulesInModel(tr, r.Key))
	}
	check("too large", translate.Isolates, "0 rules")
	tr.Update(policyOf("tier: t, ingress: [{action: Allow}]"))
	check("valid, but for its tier", translate.Isolates, "0 rules")
	tr.Update(read(t, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}")[0])
	check("the tier is there", translate.InForce, "1 rule")
	tr.Update(policyOf("tier: t, ingress: " + tooManyRules))
	check("too large again", translate.LastValid, "1 rule")
}

// TestLargeSet checks the sets and the profiles that are refused for their size.
func TestLargeSet(t *testing.T) {
	domains := make([]string, 50_001)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example.com", i)
	}
	for name, tt := range map[string]struct{ manifest, want string }{
		"a set": {
			"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s}\nspec: {allowedEgressDomains: [" + strings.Join(domains, ", ") + "]}",
			"4: spec.allowedEgressDomains: too large: 50001 domains, of at most 50000: use wildcards, or split the set: a selector may select several",
		},
		"a profile": {
			"apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: one}\nspec: {ingress: " + tooManyRules + "}",
			"4: spec.ingress[0]: " + whyTooMany,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, tt.manifest)[0]
			tr := translate.New(translate.Options{})
			result := tr.Update(r)
			diff(t, "status", translate.NotInForce, result.Statuses[len(result.Statuses)-1].State)
			diff(t, "findings", []string{tt.want}, lines(result.Statuses[len(result.Statuses)-1].Findings))
		})
	}
}
