package source

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// mirrored are names of Kubernetes' own policies as Calico's tools list them among
// its policies of a namespace.
var mirrored = regexp.MustCompile(`^(knp|ossg)\.default\.`)

// policyName checks the name of a policy of projectcalico.org/v3: its own, and
// before it at most that of a tier and a dot, as everywhere else where such
// policies are read.
func (ps *Problems) policyName(key policy.Key) {
	if !isDNSName(key.Name) {
		ps.name(key.Name)
		return
	}
	if key.Namespace != "" && mirrored.MatchString(key.Name) {
		return
	}
	if strings.Count(key.Name, ".") > 1 {
		ps.add("metadata.name", "%q has more than one dot: expected NAME or TIER.NAME", key.Name)
	}
}

// annotations checks the keys of annotations as an API server would, for which
// case makes no difference.
func (ps *Problems) annotations(field string, annotations map[string]string) {
	for k := range annotations {
		if !isLabelKey(strings.ToLower(k)) {
			ps.add(field+"."+k, "%q is no valid key of an annotation: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63", k)
		}
	}
}

// emptyBeside checks that a staged policy that stands for one that is gone says
// nothing else: what it said would have no effect. spec is a struct; allowed are
// fields that may be set.
func (ps *Problems) emptyBeside(spec any, allowed ...string) {
	v := reflect.ValueOf(spec)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if v.Field(i).IsZero() || slices.Contains(allowed, name) {
			continue
		}
		ps.add("spec."+name, "has no effect beside stagedAction: Delete, by which the policy is gone: remove it")
	}
}
