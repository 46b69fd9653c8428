package validate

import (
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// lint notes what is valid, and probably not what was meant.
func lint(in *input.Input) []store.Finding {
	var out []store.Finding
	note := func(r *store.Resource, field, format string, args ...any) {
		f := r.At(field, format, args...)
		f.Note = true
		out = append(out, f)
	}
	policies := make(map[policy.Key]*policy.Policy, len(in.Model.Policies))
	for _, p := range in.Model.Policies {
		policies[p.Key] = p
	}
	named := namedProfiles(in)
	for i := range in.Resources {
		r := &in.Resources[i]
		if ep, ok := r.Object.(*v3.HostEndpoint); ok && in.ErrorCount() == 0 && isCutOff(in, r.Key) {
			note(r, "", "no policy applies to it: all that host %s itself receives and sends is denied, but for the failsafes (docs/hosts.md)", ep.Spec.Node)
		}
		if r.Key.Kind == policy.KindProfile && !named[r.Key.Name] && !policy.IsReservedProfile(r.Key.Name) && in.Namespace == "" {
			note(r, "", "it has no effect: no WorkloadEndpoint or HostEndpoint names it in spec.profiles")
		}
		p := policies[r.Key]
		if p == nil || r.Key.Kind != policy.KindNetworkPolicy && r.Key.Kind != policy.KindGlobalNetworkPolicy {
			continue
		}
		for _, dir := range policy.Directions {
			field := "spec." + strings.ToLower(dir.String())
			switch rules := p.Rules[dir]; {
			case len(rules) > 0 && !p.Types[dir]:
				note(r, field, "these rules have no effect, since spec.types does not have %s", typeName(dir))
			case len(rules) > 0 && onlyLogs(rules) && denies(in, p.Tier):
				note(r, field, "all rules only log, so the end of tier %s denies what no other policy of it decides", p.Tier)
			}
		}
		bare := r.Key
		if name, found := strings.CutPrefix(bare.Name, p.Tier+"."); found {
			if bare.Name = name; policies[bare] != nil && policies[bare].Tier == p.Tier {
				note(r, "metadata.name", "%s is in tier %s as well: these are two policies, and both are in force", bare.Name, p.Tier)
			}
		}
	}
	return out
}

// namedProfiles returns the profiles that endpoints name.
func namedProfiles(in *input.Input) map[string]bool {
	named := map[string]bool{}
	for i := range in.Resources {
		var names []string
		switch o := in.Resources[i].Object.(type) {
		case *v3.WorkloadEndpoint:
			names = o.Spec.Profiles
		case *v3.HostEndpoint:
			names = o.Spec.Profiles
		}
		for _, name := range names {
			named[name] = true
		}
	}
	return named
}

func typeName(dir policy.Direction) v3.PolicyType {
	if dir == policy.Egress {
		return v3.PolicyTypeEgress
	}
	return v3.PolicyTypeIngress
}

func onlyLogs(rules []policy.Rule) bool {
	return !slices.ContainsFunc(rules, func(r policy.Rule) bool { return r.Action != policy.Log })
}

// denies reports whether what a tier does not decide ends there.
func denies(in *input.Input, tier string) bool {
	return slices.ContainsFunc(in.Model.Tiers, func(t *policy.Tier) bool { return t.Name == tier && t.DefaultAction == policy.Deny })
}

// isCutOff reports whether nothing but the failsafes lets anything to a host endpoint.
func isCutOff(in *input.Input, key policy.Key) bool {
	i := slices.IndexFunc(in.Model.Endpoints, func(ep *policy.Endpoint) bool { return ep.Key == key })
	if i < 0 || len(in.Model.Endpoints[i].Profiles) > 0 {
		return false
	}
	ep := in.Model.Endpoints[i]
	return !slices.ContainsFunc(in.Model.Policies, func(p *policy.Policy) bool { return p.Selector.Match(ep.Labels) })
}
