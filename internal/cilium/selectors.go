package cilium

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
)

// Labels by which Cilium's selectors ask for more than the pod's own.
const (
	labelNamespace      = "io.kubernetes.pod.namespace"
	prefixNamespace     = "io.cilium.k8s.namespace.labels."
	labelAccount        = "io.cilium.k8s.policy.serviceaccount"
	labelCluster        = "io.cilium.k8s.policy.cluster"
	sourceReserved      = "reserved"
	calicoName          = "projectcalico.org/name"
	isPod               = "projectcalico.org/orchestrator == 'k8s'"
	labelEntity         = "tierwall.io/cilium-entity"
	entityNode          = "node"
	entityServer        = "kube-apiserver"
	selectorLabelLength = 512
)

// parts are a selector of Cilium's, taken apart: what it asks of the pod's own
// labels, of its namespace and of its service account. Empty ones ask for nothing.
type parts struct{ own, namespaces, accounts string }

// requirement is one thing that a selector asks.
type requirement struct {
	field, source, key string
	op                 metav1.LabelSelectorOperator
	values             []string
}

// requirements takes a selector apart; labels come sorted.
func (p *policyConverter) requirements(field string, s *metav1.LabelSelector) (out []requirement) {
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		r := requirement{field: field + ".matchLabels." + key, op: metav1.LabelSelectorOpIn, values: []string{s.MatchLabels[key]}}
		r.source, r.key = sourceOf(key)
		out = append(out, r)
	}
	for i, e := range s.MatchExpressions {
		at := fmt.Sprintf("%s.matchExpressions[%d]", field, i)
		r := requirement{field: at, op: e.Operator, values: e.Values}
		r.source, r.key = sourceOf(e.Key)
		needsValues := e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn
		switch {
		case !needsValues && e.Operator != metav1.LabelSelectorOpExists && e.Operator != metav1.LabelSelectorOpDoesNotExist:
			p.invalid(at+".operator", "%q: expected In, NotIn, Exists or DoesNotExist", e.Operator)
		case needsValues && len(e.Values) == 0:
			p.invalid(at+".values", "is empty: %s needs values", e.Operator)
		case !needsValues && len(e.Values) > 0:
			p.invalid(at+".values", "%s takes no values", e.Operator)
		default:
			out = append(out, r)
		}
	}
	for _, r := range out {
		if r.key == "" || len(r.key) > selectorLabelLength || strings.Trim(r.key, labelLetters) != "" {
			p.invalid(r.field, "%q is no label", r.key)
		}
		for _, v := range r.values {
			if strings.ContainsAny(v, "'\"\n") {
				p.invalid(r.field, "%q is no value of a label", v)
			}
		}
	}
	return out
}

const labelLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"

// sourceOf takes a label's source off: "k8s:app" is app of Kubernetes. Without one,
// or with any, it is whichever has it.
func sourceOf(label string) (source, key string) {
	source, key, found := strings.Cut(label, ":")
	if !found {
		return "", label
	}
	return source, key
}

// text writes a requirement as a selector, of the key as it is called there.
func (r *requirement) text(key string) string {
	list := func() string { return "{'" + strings.Join(r.values, "', '") + "'}" }
	switch {
	case r.op == metav1.LabelSelectorOpExists:
		return "has(" + key + ")"
	case r.op == metav1.LabelSelectorOpDoesNotExist:
		return "!has(" + key + ")"
	case len(r.values) == 1 && r.op == metav1.LabelSelectorOpIn:
		return key + " == '" + r.values[0] + "'"
	case len(r.values) == 1:
		return key + " != '" + r.values[0] + "'"
	case r.op == metav1.LabelSelectorOpIn:
		return key + " in " + list()
	}
	return key + " not in " + list()
}

// split sorts requirements by whom they are about; ok is false where one cannot
// be expressed, which is noted with what is left out for that.
func (p *policyConverter) split(reqs []requirement, of string) (out parts, ok bool) {
	var own, namespaces, accounts []string
	ok = true
	for i := range reqs {
		r := &reqs[i]
		switch {
		case r.source != "" && r.source != "k8s" && r.source != "any":
			p.lose(r.field, of, "labels of source %q cannot be expressed", r.source)
			ok = false
		case r.key == labelCluster:
			p.lose(r.field, of, "the cluster of a pod cannot be expressed")
			ok = false
		case r.key == labelNamespace:
			namespaces = append(namespaces, r.text(calicoName))
		case strings.HasPrefix(r.key, prefixNamespace):
			namespaces = append(namespaces, r.text(strings.TrimPrefix(r.key, prefixNamespace)))
		case r.key == labelAccount:
			accounts = append(accounts, r.text(calicoName))
		default:
			own = append(own, r.text(r.key))
		}
	}
	return parts{strings.Join(own, " && "), strings.Join(namespaces, " && "), strings.Join(accounts, " && ")}, ok
}

// subject says which endpoints a rule is about. ok is false where that cannot be
// expressed: then all of the rule is left out.
func (p *policyConverter) subject(field string, r *Rule) (parts, bool) {
	const of = "all of the rule is left out, what it denies by default as well"
	switch {
	case r.EndpointSelector == nil && r.NodeSelector == nil:
		p.invalid(field, "has neither endpointSelector nor nodeSelector: expected one of them")
		return parts{}, false
	case len(r.Ingress)+len(r.IngressDeny)+len(r.Egress)+len(r.EgressDeny) == 0:
		p.invalid(field, "has no rules, and Cilium refuses it: to deny by default write an empty one, such as ingress: [{}]")
		return parts{}, false
	case r.EndpointSelector != nil && r.NodeSelector != nil:
		p.invalid(field+".nodeSelector", "cannot stand beside endpointSelector: write a rule for each")
		return parts{}, false
	case r.NodeSelector != nil && p.from.Key.Namespace != "":
		p.invalid(field+".nodeSelector", "is for %s only", policy.KindCiliumClusterwideNetworkPolicy)
		return parts{}, false
	case r.NodeSelector != nil:
		p.lose(field+".nodeSelector", of, "policy of nodes cannot be expressed: write it for host endpoints")
		return parts{}, false
	}
	namespace := p.from.Key.Namespace
	reqs := p.requirements(field+".endpointSelector", r.EndpointSelector)
	if namespace != "" {
		// The policy is about its own namespace, whatever it says of others.
		reqs = slices.DeleteFunc(reqs, func(r requirement) bool {
			mine := r.key == labelNamespace && r.op == metav1.LabelSelectorOpIn && strings.Contains(r.field, ".matchLabels.")
			if mine && r.values[0] != namespace {
				p.Notes = append(p.Notes, note(p.from.At(r.field, "is %q, which counts for nothing: a policy is always about its own namespace, %s", r.values[0], namespace)))
			}
			return mine
		})
		reqs = append(reqs, requirement{key: labelNamespace, op: metav1.LabelSelectorOpIn, values: []string{namespace}})
	}
	out, ok := p.split(reqs, of)
	out.own = podsOnly(out.own)
	return out, ok
}

// podsOnly has a selector match nothing but pods: network sets and host endpoints
// have labels as well.
func podsOnly(own string) string {
	if own == "" {
		return isPod
	}
	return own + " && " + isPod
}
