package policy

import (
	"cmp"
	"strings"
)

// Key names one object. Namespace is empty for what has none.
type Key struct {
	Kind      string // one of Kinds, or that of a workload as it was written
	Namespace string
	Name      string
}

// String returns "namespace/Kind/name", or "Kind/name" without a namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + "/" + k.Name
	}
	return k.Namespace + "/" + k.Kind + "/" + k.Name
}

// Compare orders keys by namespace, kind and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(
		strings.Compare(k.Namespace, o.Namespace),
		strings.Compare(k.Kind, o.Kind),
		strings.Compare(k.Name, o.Name),
	)
}

// ObjectType says which type of the model's objects a key names.
type ObjectType uint8

// The types, each for a Go type of [Object]; NoObject is for what is in the model by
// its effect on others only, such as a namespace.
const (
	NoObject       ObjectType = iota
	TierObject                // *Tier
	PolicyObject              // *Policy
	SetObject                 // *Set
	EndpointObject            // *Endpoint
)

// ObjectType returns the type of the model's object of this key: that of every
// [Change] with the key, deletions included. A workload may be of any kind, so
// that a kind which is not among Kinds names an endpoint.
func (k Key) ObjectType() ObjectType {
	info := kindsByKey[k.Kind]
	if info == nil {
		return EndpointObject
	}
	switch info.Role {
	case RoleTier:
		return TierObject
	case RoleProfile:
		return PolicyObject // see Policy
	case RolePolicy:
		if info.Stages == "" {
			return PolicyObject
		}
	case RoleSet:
		return SetObject
	case RoleService:
		if info.Key == KindService {
			return SetObject // its endpoints; an EndpointSlice is a part of them
		}
	case RoleEndpoint, RoleWorkload:
		return EndpointObject
	}
	return NoObject
}
