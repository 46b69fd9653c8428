package source

import (
	"reflect"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Profile is what a profile says beside its rules.
type Profile struct {
	Labels selector.Labels // added to those of the endpoints that name it
}

// ReservedProfile is an object of the name of a profile that is there by itself.
type ReservedProfile struct {
	// Differs says that it does not say what such a profile means.
	Differs bool
}

// translateProfile translates a profile into a policy of no tier that selects nothing, and
// what it adds to the labels of those who name it.
func translateProfile(key policy.Key, spec *v3.ProfileSpec, out *Parsed) Problems {
	c := &calicoPolicy{key: key, spec: &v3.GlobalNetworkPolicySpec{}}
	c.name(key.Name)
	c.labels("spec.labelsToApply", spec.LabelsToApply)
	p := &policy.Policy{Key: key, Selector: selector.Not(selector.All()), Types: [2]bool{true, true}}
	p.Rules[policy.Ingress] = c.rules("spec.ingress", policy.Ingress, spec.Ingress)
	p.Rules[policy.Egress] = c.rules("spec.egress", policy.Egress, spec.Egress)
	if policy.IsReservedProfile(key.Name) {
		out.Reserved = &ReservedProfile{Differs: !saysWhatIsMeant(key.Name, spec)}
	} else {
		out.Policy, out.RuleSets, out.Profile = p, c.sets, &Profile{ownLabels(spec.LabelsToApply)}
	}
	return c.Problems
}

// saysWhatIsMeant reports whether the object of a profile that is there by itself says what
// that one means anyway, as those that Calico's own tools write and list do.
func saysWhatIsMeant(name string, spec *v3.ProfileSpec) bool {
	for k := range spec.LabelsToApply {
		if !strings.HasPrefix(k, prefixNamespace) && !strings.HasPrefix(k, prefixAccount) && k != labelName {
			return false
		}
	}
	allowsAll := func(rules []v3.Rule) bool {
		return len(rules) == 1 && reflect.DeepEqual(rules[0], v3.Rule{Action: v3.Allow})
	}
	if strings.HasPrefix(name, "ksa.") {
		return len(spec.Ingress)+len(spec.Egress) == 0
	}
	return allowsAll(spec.Ingress) && allowsAll(spec.Egress)
}

// profileNames checks and returns the profiles that an endpoint of a namespace names, each
// once. Those of its service accounts are left out: they have no rules, and their labels
// come by the account itself.
func (ps *Problems) profileNames(names []string, namespace string) []string {
	var out []string
	for i, name := range names {
		if !isDNSName(name) {
			ps.add(at("spec.profiles", i), "%q is no name of a profile: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit", name)
		}
		ofAccount := namespace != "" && strings.HasPrefix(name, "ksa."+namespace+".")
		if !ofAccount && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// JoinProfileLabels adds the labels of profiles, in their order: of one key the endpoint's
// own comes first, whether by itself or by its namespace or service account, and then that
// of the first profile that has it.
func JoinProfileLabels(labels selector.Labels, profiles ...selector.Labels) selector.Labels {
	out := labels
	for _, of := range profiles {
		var added selector.Labels
		for _, l := range of {
			if _, has := out.Get(l.Key); !has {
				added = append(added, l)
			}
		}
		if len(added) > 0 {
			out = JoinLabels(out, added)
		}
	}
	return out
}
