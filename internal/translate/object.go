package translate

import (
	"slices"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// object is what is known of one key, unless it is that of a pod or WorkloadEndpoint.
type object struct {
	key    policy.Key
	origin store.Origin
	// present says that the source has the object. A fixed tier is known without;
	// valid says that there is a version in force, which after a change for the
	// worse is not the present one.
	present, fixed, valid bool
	// isolates says that the version in force is one that was refused for its size, without its rules.
	isolates bool

	// parsed is what the version in force says by itself, nil for nothing: see keep.
	parsed any
	// tierRef is the tier that a policy names, also an invalid one: that the tier is
	// missing is reported together with what else is wrong.
	tierRef string
	// waiting is the present version of a policy that waits for its tier while an earlier one
	// is in force; nil if the present one is.
	waiting *source.Parsed
	// held says that the source has no such tier any more: parsed is what it was, which holds
	// for as long as policies name it.
	held bool

	errors *objectErrors // nil if nothing is wrong

	// compiled is what is in the model: nil, *policy.Tier, *policy.Set,
	// *policy.Endpoint (of a host) or compact.Packed.
	compiled any
}

// objectErrors is what is wrong with an object.
type objectErrors struct {
	rejected []store.Finding // by the store: what it could not parse
	invalid  []store.Finding // by itself
	unjoined []store.Finding // beside others, such as a missing tier
}

// isEmpty reports whether nothing is wrong any more.
func (e *objectErrors) isEmpty() bool {
	return e == nil || len(e.rejected)+len(e.invalid)+len(e.unjoined) == 0
}

// setErrors changes what is wrong with the object.
func (o *object) setErrors(change func(*objectErrors)) {
	e := o.errors
	if e == nil {
		e = &objectErrors{}
	}
	change(e)
	if o.errors = e; e.isEmpty() {
		o.errors = nil
	}
}

// setUnjoined changes what is wrong with the object beside others.
func (o *object) setUnjoined(findings []store.Finding) {
	if findings != nil || o.errors != nil {
		o.setErrors(func(e *objectErrors) { e.unjoined = findings })
	}
}

// status returns the object's status.
func (o *object) status() Status {
	s := Status{Key: o.key}
	if e := o.errors; e != nil {
		s.Findings = slices.Concat(e.rejected, e.invalid, e.unjoined)
	}
	acts := o.compiled != nil
	switch m := o.parsed.(type) {
	case actsElsewhere, *policy.Node, *source.Service, *source.EndpointSlice:
		acts = true
	case *source.ReservedProfile:
		acts = !m.Differs
	case *source.Endpoint:
		acts = m.IsTemplate
	}
	if o.held && acts {
		s.State = LastValid
		return s
	}
	s.State = stateOf(o.present, o.valid, acts, s.Findings)
	if o.isolates && (s.State == InForce || s.State == LastValid) {
		s.State = Isolates
	}
	return s
}
