package source

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// podsIn says to a reader which pods are meant.
func podsIn(in *clusterSubject) string {
	pods, namespaces := "pods", in.namespaces
	if in.pods != nil {
		if labels := metav1.FormatLabelSelector(&in.pods.podSelector); labels != "<none>" {
			pods = "pods with " + labels
		}
		namespaces = &in.pods.namespaceSelector
	}
	if labels := metav1.FormatLabelSelector(namespaces); labels != "<none>" {
		return fmt.Sprintf("%s in namespaces with %s", pods, labels)
	}
	return pods + " in any namespace"
}
