// Package v3 holds the resources of the projectcalico.org/v3 API that tierwall
// reads: tiers, network policies, network sets, endpoints and staged policies.
//
// The names of the JSON fields are those of the API, so that the same manifests
// are accepted. The types say what can be written; what it means, and which
// combinations are valid, is decided where they are translated. The validation
// markers describe the same rules to an API server.
//
// +kubebuilder:object:generate=true
// +groupName=projectcalico.org
package v3

// GroupName is the API group of the resources.
const GroupName = "projectcalico.org"

// GroupVersion is what manifests write as apiVersion.
const GroupVersion = GroupName + "/v3"
