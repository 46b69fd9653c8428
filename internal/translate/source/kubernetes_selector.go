package source

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/selector"
)

// pods translates a selector of pods of the policy's own namespace.
func (k *kubernetesPolicy) pods(field string, s *metav1.LabelSelector) *selector.Selector {
	return selector.And(selector.Equals(labelNamespace, k.namespace), k.labels(field, s, OwnKey), IsPod())
}

// labelsText returns a label selector for a reader; "" for one that matches everything.
func labelsText(s *metav1.LabelSelector) string {
	if text := metav1.FormatLabelSelector(s); text != "<none>" {
		return text
	}
	return ""
}

// labelOperators are the operators of matchExpressions.
var labelOperators = []string{
	string(metav1.LabelSelectorOpIn),
	string(metav1.LabelSelectorOpNotIn),
	string(metav1.LabelSelectorOpExists),
	string(metav1.LabelSelectorOpDoesNotExist),
}

// labels translates a label selector; key says where an endpoint carries a label
// of the object that the selector is about. An empty one matches everything.
func (k *kubernetesPolicy) labels(field string, s *metav1.LabelSelector, key func(string) string) *selector.Selector {
	var parts []*selector.Selector
	k.Problems.labels(field+".matchLabels", s.MatchLabels)
	for _, name := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		parts = append(parts, selector.Equals(key(name), s.MatchLabels[name]))
	}
	for i := range s.MatchExpressions {
		parts = append(parts, k.expression(at(field+".matchExpressions", i), &s.MatchExpressions[i], key))
	}
	return selector.And(parts...)
}

func (k *kubernetesPolicy) expression(field string, e *metav1.LabelSelectorRequirement, key func(string) string) *selector.Selector {
	if !isLabelKey(e.Key) {
		k.add(field+".key", "%q is no valid label", e.Key)
	}
	for i, v := range e.Values {
		if v != "" && !isLabelWord(v) {
			k.add(at(field+".values", i), "%q is no valid value of a label", v)
		}
	}
	needsValues := e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn
	if needsValues && len(e.Values) == 0 {
		k.add(field+".values", "%s needs at least one value", e.Operator)
	}
	isKnown := slices.Contains(labelOperators, string(e.Operator))
	if isKnown && !needsValues && len(e.Values) > 0 {
		k.add(field+".values", "%s takes no values: remove them", e.Operator)
	}
	name := key(e.Key)
	switch e.Operator {
	case metav1.LabelSelectorOpIn:
		return selector.In(name, e.Values...)
	case metav1.LabelSelectorOpNotIn:
		return selector.NotIn(name, e.Values...)
	case metav1.LabelSelectorOpExists:
		return selector.Has(name)
	case metav1.LabelSelectorOpDoesNotExist:
		return selector.Not(selector.Has(name))
	}
	k.add(field+".operator", "%q: expected %s%s", string(e.Operator), suggest.OrList(labelOperators), suggest.DidYouMean(string(e.Operator), labelOperators))
	return selector.All()
}
