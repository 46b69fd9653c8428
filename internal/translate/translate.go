// Package translate turns resources of the source APIs into the model
// (package policy). There is one file per source API, and it is the only
// package that knows them.
//
// Everything that a selector of any API may ask of an endpoint is put into one
// label set (see labels.go), so that the model needs one selector and nothing else.
package translate

import (
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Options says how to translate.
type Options struct {
	// Offline translates one state for an analysis, not for enforcement: an
	// invalid object is left out, instead of staying in force in its last valid
	// version; endpoints without addresses get stand-ins; nodes are also taken
	// from pods; peers of Kubernetes policies say in words whom they mean. All of
	// this is seen in what Model gives; Apply never gives changes for stand-ins.
	Offline bool
	// StandInIPv6 also gives IPv6 stand-ins to endpoints without addresses.
	StandInIPv6 bool
}

// State says how far an object is in force.
type State uint8

// The states of an object.
const (
	InForce     State = iota + 1 // translated, in the model; what is wrong with it fails closed
	LastValid                    // its present version is invalid: the last valid one is in force
	NotInForce                   // invalid, and not in the model in any version
	NotEnforced                  // valid, but never enforced: staged policies, ...
)

// String returns "in force", "last valid version in force", "not in force" or "not enforced".
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
