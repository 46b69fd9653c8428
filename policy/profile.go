package policy

import "strings"

// A profile decides what no tier decides about an endpoint that names it. In the model it is
// a [Policy] of kind KindProfile without a tier, whose selector matches nothing: whom it
// applies to says [Endpoint.Profiles]. Its rules are asked as a policy's are; Pass goes on to
// the endpoint's next profile, as does what no rule decides. A profile that the model does
// not have denies everything, and so does the end of the last one.

// DefaultAllowProfile is the name of the profile that allows everything, of whatever endpoint.
const DefaultAllowProfile = "projectcalico-default-allow"

const prefixNamespaceProfile = "kns."

// NamespaceProfile returns the name of the profile that the pods of a namespace have: it
// allows everything.
func NamespaceProfile(namespace string) string { return prefixNamespaceProfile + namespace }

// NamespaceOfProfile returns the namespace whose pods have a profile of the name by
// themselves; false for other names.
func NamespaceOfProfile(name string) (namespace string, is bool) {
	namespace, is = strings.CutPrefix(name, prefixNamespaceProfile)
	return namespace, is && namespace != ""
}

// IsReservedProfile reports whether a name means a profile that is there by itself, so that
// no object of the name does: that of pods of a namespace or service account, or
// DefaultAllowProfile.
func IsReservedProfile(name string) bool {
	return name == DefaultAllowProfile || strings.HasPrefix(name, prefixNamespaceProfile) || strings.HasPrefix(name, "ksa.")
}

// ProfileKey returns the key of a profile in the model.
func ProfileKey(name string) Key { return Key{Kind: KindProfile, Name: name} }

// AllowedBy reports whether a profile that the endpoint names allows everything by itself:
// that of the endpoint's own namespace, or DefaultAllowProfile. All others are looked up; that
// of another namespace is in the model, with rules that allow everything, if the namespace exists.
func (e *Endpoint) AllowedBy(profile string) bool {
	namespace, is := NamespaceOfProfile(profile)
	return is && namespace == e.Key.Namespace || profile == DefaultAllowProfile
}
