package source

import (
	networkingv1 "k8s.io/api/networking/v1"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/policy"
)

// Staged is a staged policy: valid, but never enforced.
type Staged struct {
	Key    policy.Key      // of the staged object
	Action v3.StagedAction // never empty
	// Policy is the policy as it would be, under the key of the one that it
	// stands for.
	Policy *policy.Policy
}

// StandsFor returns the key of the policy that a staged one stands for.
func StandsFor(staged policy.Key) policy.Key {
	info, _ := policy.LookupKind(staged.Kind)
	staged.Kind = info.Stages
	return staged
}

// translateStaged translates a staged policy of projectcalico.org/v3.
func translateStaged(key policy.Key, action v3.StagedAction, spec *v3.GlobalNetworkPolicySpec) (*Staged, Problems) {
	p, _, ps := translateCalicoPolicy(StandsFor(key), spec) // what its rules refer to is not enforced either
	if action == v3.StagedActionDelete {
		ps.emptyBeside(*spec, "tier")
	}
	return &Staged{Key: key, Action: stagedAction(&ps, action), Policy: p}, ps
}

// translateStagedKubernetes translates a staged policy of networking.k8s.io.
func translateStagedKubernetes(key policy.Key, action v3.StagedAction, spec *networkingv1.NetworkPolicySpec, texts bool) (*Staged, Problems) {
	p, ps := translateKubernetesPolicy(StandsFor(key), spec, texts)
	if action == v3.StagedActionDelete {
		ps.emptyBeside(*spec)
	}
	return &Staged{Key: key, Action: stagedAction(&ps, action), Policy: p}, ps
}

func stagedAction(ps *Problems, action v3.StagedAction) v3.StagedAction {
	if action == "" {
		return v3.StagedActionSet
	}
	ps.word("spec.stagedAction", string(action), string(v3.StagedActionSet), string(v3.StagedActionDelete),
		string(v3.StagedActionLearn), string(v3.StagedActionIgnore))
	return action
}

// Acts reports whether the staged policy changes what is pending.
func (s *Staged) Acts() bool {
	return s.Action == v3.StagedActionSet || s.Action == v3.StagedActionDelete
}
