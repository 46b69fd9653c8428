package source

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/selector"
)

// NetworkSet is a network set without the labels of its namespace.
type NetworkSet struct {
	Labels  selector.Labels
	Nets    []netip.Prefix
	Domains []string
	// AllowInternal says that names of the domains may have addresses of the cluster.
	AllowInternal bool
}

// AllowInternalAnnotation lets, when it is "true", the names of a set's domains have
// addresses of the cluster. Any other value but "false" is an error: what was meant
// cannot be told.
const AllowInternalAnnotation = "policy.tierwall.dev/allow-internal"

// translateSet translates what network sets of both scopes have.
func translateSet(meta *metav1.ObjectMeta, nets, domains []string) (*NetworkSet, Problems) {
	var ps Problems
	ps.name(meta.Name)
	ps.setLabels(meta.Labels)
	return &NetworkSet{
		Labels: ownLabels(meta.Labels), Nets: ps.nets("spec.nets", nets, true),
		Domains:       ps.domains("spec.allowedEgressDomains", domains),
		AllowInternal: ps.allowInternal(meta.Annotations),
	}, ps
}

// allowInternal reads the annotation.
func (ps *Problems) allowInternal(annotations map[string]string) bool {
	const prefix = "policy.tierwall.dev/"
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, prefix) && key != AllowInternalAnnotation {
			ps.add("metadata.annotations."+key, "no such annotation of a network set%s", suggest.DidYouMean(key, []string{AllowInternalAnnotation}))
		}
	}
	switch value, has := annotations[AllowInternalAnnotation]; {
	case value == "true":
		return true
	case has && value != "false":
		ps.add("metadata.annotations."+AllowInternalAnnotation, `%q: expected "true" or "false"`, value)
	}
	return false
}
