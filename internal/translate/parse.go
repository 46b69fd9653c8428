package translate

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/cilium"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// parsed is what an object says on its own, before it is joined with others.
// One of the fields is set, or none for what is kept for later versions.
type parsed struct {
	tier      *policy.Tier
	policy    *policy.Policy
	sets      []*policy.Set // that rules of the policy refer to: see ruleSets
	staged    *Staged
	set       *netset
	endpoint  *endpoint
	namespace selector.Labels // what it adds to the labels of what is in it
	account   selector.Labels // what it adds to the labels of its pods
	node      *policy.Node
	service   *serviceObject
	slice     *endpointSlice
	host      *hostEndpoint
}

// tierName returns the tier that a policy belongs to; "" for what is no policy.
func (p *parsed) tierName() string {
	switch {
	case p.policy != nil:
		return p.policy.Tier
	case p.staged != nil:
		return p.staged.Policy.Tier
	}
	return ""
}

// parse translates one object as far as it can be done without others.
func (t *Translator) parse(r *store.Resource) (parsed, problems) {
	var out parsed
	var ps problems
	key := r.Key
	switch o := r.Object.(type) {
	case *v3.Tier:
		out.tier, ps = translateTier(o)
	case *v3.NetworkPolicy:
		out.policy, out.sets, ps = translateCalicoPolicy(key, fromNetworkPolicy(&o.Spec))
	case *v3.GlobalNetworkPolicy:
		out.policy, out.sets, ps = translateCalicoPolicy(key, &o.Spec)
	case *networkingv1.NetworkPolicy:
		out.policy, ps = translateKubernetesPolicy(key, &o.Spec, t.opts.Offline)
	case *v1alpha2.ClusterNetworkPolicy:
		out.policy, out.sets, ps = clusterNetworkPolicy(key, &o.Spec, t.opts.Offline)
	case *v1alpha1.AdminNetworkPolicy:
		out.policy, out.sets, ps = adminNetworkPolicy(key, &o.Spec, t.opts.Offline)
	case *v1alpha1.BaselineAdminNetworkPolicy:
		out.policy, out.sets, ps = baselineAdminNetworkPolicy(key, &o.Spec, t.opts.Offline)
	case *v3.StagedNetworkPolicy:
		out.staged, ps = translateStaged(key, policy.KindNetworkPolicy, o.Spec.StagedAction, fromNetworkPolicy(&o.Spec.NetworkPolicySpec))
	case *v3.StagedGlobalNetworkPolicy:
		out.staged, ps = translateStaged(key, policy.KindGlobalNetworkPolicy, o.Spec.StagedAction, &o.Spec.GlobalNetworkPolicySpec)
	case *v3.StagedKubernetesNetworkPolicy:
		out.staged, ps = translateStagedKubernetes(key, o.Spec.StagedAction, &o.Spec.NetworkPolicySpec, t.opts.Offline)
	case *v3.NetworkSet:
		out.set, ps = translateSet(o.Name, o.Labels, o.Spec.Nets, o.Spec.AllowedEgressDomains)
	case *v3.GlobalNetworkSet:
		out.set, ps = translateSet(o.Name, o.Labels, o.Spec.Nets, o.Spec.AllowedEgressDomains)
	case *v3.WorkloadEndpoint:
		out.endpoint, ps = translateWorkloadEndpoint(o)
	case *v3.HostEndpoint:
		out.host, ps = translateHostEndpoint(o)
	case *corev1.Namespace:
		ps.shortName("metadata.name", o.Name, "namespace")
		ps.labels("metadata.labels", o.Labels)
		out.namespace = namespaceLabels(o.Name, o.Labels)
	case *corev1.ServiceAccount:
		ps.name(o.Name)
		ps.labels("metadata.labels", o.Labels)
		out.account = accountLabels(o.Name, o.Labels)
	case *corev1.Node:
		out.node, ps = translateNode(o)
	case *corev1.Service:
		out.service, ps = translateService(o)
	case *discoveryv1.EndpointSlice:
		out.slice, ps = translateSlice(o)
	case *cilium.NetworkPolicy, *cilium.ClusterwideNetworkPolicy:
		if !t.opts.Offline {
			ps.add("kind", "%s is enforced by Cilium, and not here: leave it out; tierwall convert makes of it policies that are", key.Kind)
		}
	default:
		out.endpoint, ps = parseWorkload(r)
	}
	if key.Namespace != "" {
		ps.shortName("metadata.namespace", key.Namespace, "namespace")
	}
	if o, ok := r.Object.(metav1.Object); ok {
		ps.annotations("metadata.annotations", o.GetAnnotations())
	}
	return out, ps
}

// parseWorkload translates pods and what runs them.
func parseWorkload(r *store.Resource) (*endpoint, problems) {
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
	var ps problems
	ps.add("kind", "cannot be translated")
	return nil, ps
}
