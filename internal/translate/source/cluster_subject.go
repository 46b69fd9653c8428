package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// clusterSubject says which pods a policy applies to, clusterPods one way to.
type clusterSubject struct {
	namespaces *metav1.LabelSelector
	pods       *clusterPods
}

type clusterPods struct {
	namespaceSelector, podSelector metav1.LabelSelector
}

// selects returns the selectors of the pods that are meant.
func (c *clusterPolicy) selects(field string, in *clusterSubject) []*selector.Selector {
	var parts []*selector.Selector
	if in.namespaces != nil {
		parts = append(parts, c.labels(field+".namespaces", in.namespaces, namespaceOwnKey))
	}
	if in.pods != nil {
		parts = append(parts,
			c.labels(field+".pods.namespaceSelector", &in.pods.namespaceSelector, namespaceOwnKey),
			c.labels(field+".pods.podSelector", &in.pods.podSelector, OwnKey))
	}
	return append(parts, IsPod())
}

// podsIn returns which pods are meant, for a reader.
func podsIn(in *clusterSubject) policy.PodsPeer {
	if in.pods != nil {
		return policy.PodsPeer{Labels: labelsText(&in.pods.podSelector), Namespaces: labelsText(&in.pods.namespaceSelector)}
	}
	return policy.PodsPeer{Namespaces: labelsText(in.namespaces)}
}
