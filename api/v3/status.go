package v3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The types of conditions in a status.
const (
	// ConditionAccepted says whether the object is valid, and what is wrong with
	// it if not. An invalid object keeps its last valid version in force on nodes
	// that knew one.
	ConditionAccepted = "Accepted"
	// ConditionProgrammed says whether the present generation of a policy is in
	// the kernel of every node that reports endpoints for it. Staged policies have
	// no such condition: they are never enforced.
	ConditionProgrammed = "Programmed"
)

// Reasons of conditions.
const (
	ReasonValid          = "Valid"          // Accepted
	ReasonInvalid        = "Invalid"        // not Accepted: the message says what is wrong
	ReasonTierNotFound   = "TierNotFound"   // not Accepted: the tier does not exist or is invalid, and nothing else is wrong
	ReasonInForce        = "InForce"        // Programmed
	ReasonPending        = "Pending"        // not Programmed: another generation is in force on some nodes
	ReasonNodeError      = "NodeError"      // not Programmed: some node says why it does not enforce it
	ReasonNotEnforceable = "NotEnforceable" // not Programmed: the kernel of some node holds it, and does not see all packets
	ReasonNotAccepted    = "NotAccepted"    // not Programmed, since it is not accepted
	ReasonNoEndpoints    = "NoEndpoints"    // unknown whether it is Programmed: no node reports an endpoint that it applies to
)

// PolicyStatus says what became of a policy. The controller writes it.
type PolicyStatus struct {
	// ObservedGeneration is the metadata.generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Endpoints is how many endpoints the observed generation is in force on.
	// +optional
	Endpoints int32 `json:"endpoints"`
	// Nodes is how many nodes these endpoints are on.
	// +optional
	Nodes int32 `json:"nodes"`
	// Conditions are Accepted and, of a policy that is not staged, Programmed.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ObjectStatus says whether an object that is no policy is valid. The controller
// writes it.
type ObjectStatus struct {
	// ObservedGeneration is the metadata.generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions is Accepted.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TierStatus says whether a tier is valid, and what its end does. The controller writes it.
//
// The column of kubectl finds the default action by its name alone, in the spec or else here.
type TierStatus struct {
	ObjectStatus `json:",inline"`
	// DefaultAction is what the tier's end does: spec.defaultAction, or what holds where that is left out.
	// +optional
	DefaultAction Action `json:"defaultAction,omitempty"`
}
