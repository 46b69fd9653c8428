// Package translate turns resources of the source APIs into the model
// (package policy). Package source, below it, parses each object on its own; what
// objects mean together is joined here, and follows every change of them.
package translate

import (
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// Staged is a staged policy: valid, but never enforced.
type Staged = source.Staged

// Reasons why policy has no say on a pod or workload, as users of Unmanaged tell them apart.
const (
	HostNetwork = source.HostNetwork
	ScaledDown  = source.ScaledDown
)

// IsNamespaceName reports whether a namespace can have this name.
func IsNamespaceName(name string) bool { return source.IsNamespaceName(name) }

// Options says how to translate.
type Options struct {
	// Offline translates one state for an analysis, not for enforcement: an
	// invalid object is left out, instead of staying in force in its last valid
	// version; endpoints without addresses get placeholders; nodes are also taken
	// from pods; peers of Kubernetes policies say in words whom they mean. All of
	// this is seen in what Model returns; Apply never emits changes for placeholders.
	Offline bool
	// PlaceholderIPv6 also gives IPv6 placeholders to endpoints without addresses.
	PlaceholderIPv6 bool
}

// State says how far an object is in force.
type State uint8

// The states of an object.
const (
	InForce     State = iota + 1 // translated, in the model; what is wrong with it fails closed
	LastValid                    // its present version is invalid: the last valid one is in force
	NotInForce                   // invalid, and not in the model in any version
	NotEnforced                  // valid, but never enforced: staged policies, ...
	// Isolates is a policy of a namespace that is refused for its size, and has no valid version
	// before: it is in the model without its rules, so that what it selects is isolated in its directions.
	Isolates
)

// String returns "in force", "last valid version in force", "not in force", "not enforced" or "isolating".
func (s State) String() string {
	switch s {
	case InForce:
		return "in force"
	case LastValid:
		return "last valid version in force"
	case NotInForce:
		return "not in force"
	case NotEnforced:
		return "not enforced"
	case Isolates:
		return "isolating"
	}
	return "unknown"
}

// Status is what became of one object.
type Status struct {
	Key      policy.Key
	State    State
	Findings []store.Finding // why it is not in force
}

// Result is what a step changed.
type Result struct {
	Changes  []policy.Change // of the model, each key at most once, by kind and key
	Statuses []Status        // of the objects whose status changed; State 0 for those that are gone
}
