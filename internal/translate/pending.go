package translate

import (
	"github.com/tierwall/tierwall/internal/translate/source"

	networkingv1 "k8s.io/api/networking/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Pending returns the resources as they would be if staged policies were in force:
// with Set a policy takes the place of the one that it stands for, or is added; with
// Delete that one is gone. What is staged with Learn or Ignore changes nothing. The
// staged policies are those that Load found valid in these resources.
func Pending(resources []store.Resource, staged []source.Staged) []store.Resource {
	actions := make(map[policy.Key]v3.StagedAction, len(staged)) // by the staged object
	replaced := make(map[policy.Key]bool, len(staged))           // policies that are not what they are
	for _, s := range staged {
		if s.Acts() {
			actions[s.Key] = s.Action
			replaced[s.Policy.Key] = true
		}
	}
	var out []store.Resource
	for i := range resources {
		r := &resources[i]
		switch {
		case replaced[r.Key]:
		case actions[r.Key] == v3.StagedActionSet:
			out = append(out, enforced(r))
		default:
			out = append(out, *r)
		}
	}
	return out
}

// enforced returns the policy that a staged one stands for, with the place of the
// staged one.
func enforced(r *store.Resource) store.Resource {
	out := store.Resource{Key: source.StandsFor(r.Key), Object: r.Object, Origin: r.Origin}
	switch o := r.Object.(type) {
	case *v3.StagedNetworkPolicy:
		out.Object = &v3.NetworkPolicy{ObjectMeta: o.ObjectMeta, Spec: o.Spec.NetworkPolicySpec}
	case *v3.StagedGlobalNetworkPolicy:
		out.Object = &v3.GlobalNetworkPolicy{ObjectMeta: o.ObjectMeta, Spec: o.Spec.GlobalNetworkPolicySpec}
	case *v3.StagedKubernetesNetworkPolicy:
		out.Object = &networkingv1.NetworkPolicy{ObjectMeta: o.ObjectMeta, Spec: o.Spec.NetworkPolicySpec}
	}
	return out
}

// LoadPending translates a state as it would be with its staged policies in force:
// loaded is what Load makes of it. The endpoints and nodes are the same objects, so
// that those without an address have the same placeholder in both.
func LoadPending(resources []store.Resource, loaded *Loaded, opts Options) (*policy.Model, []store.Resource) {
	pending := Pending(resources, loaded.Staged)
	m := Load(pending, nil, opts).Model
	m.Endpoints, m.Nodes = loaded.Model.Endpoints, loaded.Model.Nodes
	return m, pending
}
