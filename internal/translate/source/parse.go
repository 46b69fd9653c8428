package source

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	reports "github.com/tierwall/tierwall/api/v1alpha1"
	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Parsed is what an object says on its own, before it is joined with others.
// One of the fields is set, or none for what is kept for later versions.
type Parsed struct {
	Tier            *policy.Tier
	Policy          *policy.Policy
	Isolates        bool          // the policy was refused for its size, and is without its rules
	RuleSets        []*policy.Set // internal sets that rules of the policy select; they are in the model while it is
	Staged          *Staged
	NetworkSet      *NetworkSet
	Endpoint        *Endpoint
	NamespaceLabels selector.Labels // what it adds to the labels of what is in it
	AccountLabels   selector.Labels // what it adds to the labels of its pods
	Node            *policy.Node
	Service         *Service
	EndpointSlice   *EndpointSlice
	HostEndpoint    *HostEndpoint
	Profile         *Profile         // beside Policy, which has its rules
	Reserved        *ReservedProfile // a profile that is there without the object
}

// TierName returns the tier that a policy belongs to; "" for what is no policy.
func (p *Parsed) TierName() string {
	switch {
	case p.Policy != nil:
		return p.Policy.Tier
	case p.Staged != nil:
		return p.Staged.Policy.Tier
	}
	return ""
}

// Parse translates one object as far as it can be done without others. Offline, peers of
// Kubernetes policies say in words whom they mean, and policies that others enforce are
// accepted.
func Parse(r *store.Resource, offline bool) (Parsed, Problems) {
	var out Parsed
	var ps Problems
	key := r.Key
	switch o := r.Object.(type) {
	case *v3.Tier:
		out.Tier, ps = translateTier(o)
	case *v3.NetworkPolicy:
		out.Policy, out.RuleSets, ps = translateCalicoPolicy(key, fromNetworkPolicy(&o.Spec))
	case *v3.GlobalNetworkPolicy:
		out.Policy, out.RuleSets, ps = translateCalicoPolicy(key, &o.Spec)
	case *networkingv1.NetworkPolicy:
		out.Policy, ps = translateKubernetesPolicy(key, &o.Spec, offline)
	case *v1alpha2.ClusterNetworkPolicy:
		out.Policy, out.RuleSets, ps = clusterNetworkPolicy(key, &o.Spec, offline)
	case *v1alpha1.AdminNetworkPolicy:
		out.Policy, out.RuleSets, ps = adminNetworkPolicy(key, &o.Spec, offline)
	case *v1alpha1.BaselineAdminNetworkPolicy:
		out.Policy, out.RuleSets, ps = baselineAdminNetworkPolicy(key, &o.Spec, offline)
	case *v3.StagedNetworkPolicy:
		out.Staged, ps = translateStaged(key, o.Spec.StagedAction, fromNetworkPolicy(&o.Spec.NetworkPolicySpec))
	case *v3.StagedGlobalNetworkPolicy:
		out.Staged, ps = translateStaged(key, o.Spec.StagedAction, &o.Spec.GlobalNetworkPolicySpec)
	case *v3.StagedKubernetesNetworkPolicy:
		out.Staged, ps = translateStagedKubernetes(key, o.Spec.StagedAction, &o.Spec.NetworkPolicySpec, offline)
	case *v3.NetworkSet:
		out.NetworkSet, ps = translateSet(&o.ObjectMeta, o.Spec.Nets, o.Spec.AllowedEgressDomains)
	case *v3.GlobalNetworkSet:
		out.NetworkSet, ps = translateSet(&o.ObjectMeta, o.Spec.Nets, o.Spec.AllowedEgressDomains)
	case *v3.Profile:
		ps = translateProfile(key, &o.Spec, &out)
	case *v3.WorkloadEndpoint:
		out.Endpoint, ps = translateWorkloadEndpoint(o)
	case *v3.HostEndpoint:
		out.HostEndpoint, ps = translateHostEndpoint(o)
	case *corev1.Namespace:
		ps.shortName("metadata.name", o.Name, "namespace")
		ps.labels("metadata.labels", o.Labels)
		out.NamespaceLabels = NamespaceLabels(o.Name, o.Labels)
	case *corev1.ServiceAccount:
		ps.name(o.Name)
		ps.labels("metadata.labels", o.Labels)
		out.AccountLabels = AccountLabels(o.Name, o.Labels)
	case *corev1.Node:
		out.Node, ps = translateNode(o)
	case *corev1.Service:
		out.Service, ps = translateService(o)
	case *discoveryv1.EndpointSlice:
		out.EndpointSlice, ps = translateSlice(o)
	case *cilium.NetworkPolicy, *cilium.ClusterwideNetworkPolicy:
		if !offline {
			ps.add("kind", "%s is enforced by Cilium, and not here: leave it out; tierwall convert makes of it policies that are", key.Kind)
		}
	case *reports.NodePolicyReport:
		// What it says of its node is no policy: commands take it from the object.
	default:
		out.Endpoint, ps = parseWorkload(r)
	}
	if isEndpoint := key.Kind == policy.KindPod || key.Kind == policy.KindWorkloadEndpoint; isEndpoint && out.Endpoint == nil && len(ps) == 0 {
		ps.add("kind", "is not that of the object: expected a %s", key.Kind)
	}
	if key.Namespace != "" {
		ps.shortName("metadata.namespace", key.Namespace, "namespace")
	}
	if o, ok := r.Object.(metav1.Object); ok {
		ps.annotations("metadata.annotations", o.GetAnnotations())
	}
	ps.checkSize(&out)
	return out, ps
}

// parseWorkload translates pods and what runs them.
func parseWorkload(r *store.Resource) (*Endpoint, Problems) {
	switch o := r.Object.(type) {
	case *corev1.Pod:
		return translatePod(o)
	case *appsv1.ReplicaSet:
		return translateReplicaSet(o)
	case *batchv1.Job:
		return translateJob(o)
	case *appsv1.Deployment:
		return translateTemplate(&o.ObjectMeta, &o.Spec.Template, "spec.template")
	case *appsv1.StatefulSet:
		return translateTemplate(&o.ObjectMeta, &o.Spec.Template, "spec.template")
	case *appsv1.DaemonSet:
		return translateTemplate(&o.ObjectMeta, &o.Spec.Template, "spec.template")
	case *batchv1.CronJob:
		return translateTemplate(&o.ObjectMeta, &o.Spec.JobTemplate.Spec.Template, "spec.jobTemplate.spec.template")
	}
	var ps Problems
	ps.add("kind", "cannot be translated")
	return nil, ps
}
