package translate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tierwall/tierwall/internal/compact"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Endpoints are joined with the profiles that they name: with their labels, and with what is
// wrong if there is none. A profile's rules are a policy of the model, of which endpoints
// know the name only. So a change of its rules is one change, and a change of its labels one
// for each endpoint that names it.

// profile is a profile as it is kept.
type profile struct {
	packed compact.Packed
	labels selector.Labels
}

// profileIndex holds the profiles, and which host endpoints name them. Who names them among
// pods and WorkloadEndpoints is in endpointTable.profileLists.
type profileIndex struct {
	step       *step
	namespaces *namespaceTable
	byName     map[string]*object
	hosts      objectsBy // by the profiles that they name

	ofNamespaces namespaceProfiles
}

func newProfileIndex(s *step, namespaces *namespaceTable) *profileIndex {
	return &profileIndex{
		step: s, namespaces: namespaces, byName: map[string]*object{}, hosts: objectsBy{},
		ofNamespaces: namespaceProfiles{map[string]int{}, map[string]struct{}{}},
	}
}

// find returns a profile in its version in force, nil if there is none.
func (t *profileIndex) find(name string) *profile {
	if o := t.byName[name]; o != nil {
		p, _ := o.parsed.(*profile)
		return p
	}
	return nil
}

// replace notes what an object says now in the place of what it said: as a profile, and as
// a host endpoint that names some.
func (t *profileIndex) replace(o *object, was, now any) {
	if o.key.Kind == policy.KindProfile {
		before, _ := was.(*profile)
		after, _ := now.(*profile)
		t.changed(o, !slices.Equal(before.joins(), after.joins()))
	}
	if h, ok := was.(*source.HostEndpoint); ok {
		for _, name := range h.Profiles {
			t.hosts.remove(name, o)
			t.nameNamespace(name, -1)
		}
	}
	if h, ok := now.(*source.HostEndpoint); ok {
		for _, name := range h.Profiles {
			t.hosts.add(name, o)
			t.nameNamespace(name, 1)
		}
	}
}

// joins returns the labels that a profile adds, none if there is no profile.
func (p *profile) joins() selector.Labels {
	if p == nil {
		return nil
	}
	return p.labels
}

// changed marks those who name a profile of which their labels or findings speak, and those
// who name one that is missing, since their findings may name this one.
func (t *profileIndex) changed(o *object, labels bool) {
	if o.key.Kind != policy.KindProfile {
		return
	}
	t.touch(o.key.Name, labels)
}

// touch is changed for the profile of a name.
func (t *profileIndex) touch(profile string, labels bool) {
	t.step.profiles[profile] = t.step.profiles[profile] || labels
	for name, hosts := range t.hosts {
		if name != profile && !t.mayMean(name) {
			continue
		}
		for h := range hosts {
			t.step.dirty[h] = struct{}{}
		}
	}
}

// mayMean reports whether a name that endpoints have is no profile, so that what is said of
// it depends on which there are.
func (t *profileIndex) mayMean(name string) bool {
	if namespace, is := policy.NamespaceOfProfile(name); is {
		return !t.namespaces.exists(namespace)
	}
	return !policy.IsReservedProfile(name) && t.find(name) == nil
}

// labels returns what profiles add to an endpoint that names them, in their order.
func (t *profileIndex) labels(names []string) []selector.Labels {
	var out []selector.Labels
	for _, name := range names {
		if p := t.find(name); p != nil && len(p.labels) > 0 {
			out = append(out, p.labels)
		}
		if namespace, is := policy.NamespaceOfProfile(name); is && t.namespaces.exists(namespace) {
			out = append(out, source.NamespaceProfileLabels(t.namespaces.byName[namespace].labels))
		}
	}
	return out
}

// isMissing reports whether an endpoint of a namespace (empty for a host) names a profile
// that is not there, and so denies.
func (t *profileIndex) isMissing(name, namespace string) bool {
	ep := policy.Endpoint{Key: policy.Key{Namespace: namespace}}
	if of, is := policy.NamespaceOfProfile(name); is && t.namespaces.exists(of) {
		return false
	}
	return !ep.AllowedBy(name) && t.find(name) == nil
}

// findings says which of the profiles that an endpoint names there are not.
func (t *profileIndex) findings(key policy.Key, origin store.Origin, names []string) []store.Finding {
	var out []store.Finding
	for _, name := range names {
		if !t.isMissing(name, key.Namespace) {
			continue
		}
		r := store.Resource{Key: key, Origin: origin}
		f := r.At("spec.profiles", "%s", t.whyMissing(name, key.Namespace))
		f.FailClosed, f.About = true, policy.ProfileKey(name)
		out = append(out, f)
	}
	return out
}

func (t *profileIndex) whyMissing(name, namespace string) string {
	const denies = ", so that what no policy decides is denied: "
	if o := t.byName[name]; o != nil && o.present && !policy.IsReservedProfile(name) {
		return "profile " + strconv.Quote(name) + " is invalid" + denies + "fix the profile"
	}
	names := []string{policy.DefaultAllowProfile}
	own := "name one that does, such as " + policy.DefaultAllowProfile
	if namespace != "" {
		names = append(names, policy.NamespaceProfile(namespace))
		own += " or " + policy.NamespaceProfile(namespace)
	}
	if of, is := policy.NamespaceOfProfile(name); is {
		for other := range t.namespaces.byName {
			names = append(names, policy.NamespaceProfile(other))
		}
		slices.Sort(names)
		return "profile " + strconv.Quote(name) + " is that of namespace " + of + ", which does not exist" + denies + "create the namespace, or " + own +
			suggest.DidYouMean(name, slices.Compact(names))
	}
	if policy.IsReservedProfile(name) {
		return "profile " + strconv.Quote(name) + " is that of pods elsewhere, and none of this endpoint" + denies + own + suggest.DidYouMean(name, names)
	}
	for other := range t.byName {
		if t.find(other) != nil {
			names = append(names, other)
		}
	}
	slices.Sort(names)
	return "profile " + strconv.Quote(name) + " does not exist" + denies + "create the profile, or " + own + suggest.DidYouMean(name, names)
}

// reservedNote says that an object of a name that has a meaning by itself changes nothing.
func reservedNote(o *object) []store.Finding {
	r := store.Resource{Key: o.key, Origin: o.origin}
	f := r.At("spec", "a profile of this name is there by itself, so that what the object says has no effect: give it another name")
	f.Note = true
	return []store.Finding{f}
}

// noteProfiles finds the lists of profiles of which a profile has changed in this step.
func (t *endpointTable) noteProfiles() {
	s := t.step
	if len(s.profiles) == 0 {
		return
	}
	for list, names := range t.profileLists {
		for _, name := range names {
			labels, changed := s.profiles[name]
			if changed || t.profiles.mayMean(name) {
				s.profileLists[list] = s.profileLists[list] || labels
			}
		}
	}
}

// profileListOf returns the list of profiles of a record, 0 if it has none or only that of
// its namespace.
func (t *endpointTable) profileListOf(r *record) uint32 {
	if !r.managed() {
		return 0
	}
	return headOf(t.podTemplateKeys.At(r.podTemplateKey)).profiles
}

// checkProfiles notes which profiles a record names that are not there.
func (t *endpointTable) checkProfiles(key policy.Key, id uint32) {
	var findings []store.Finding
	if id != 0 {
		if list := t.profileListOf(t.records.At(id)); list != 0 {
			findings = t.profiles.findings(key, t.origins[id], t.profileLists[list])
		}
	}
	old := t.errors[key]
	if old == nil && findings == nil {
		return
	}
	now := objectErrors{unjoined: findings}
	if old != nil {
		now.rejected, now.invalid = old.rejected, old.invalid
	}
	t.setErrors(key, &now)
}

// recheckProfiles reports which of the profiles that endpoints name are missing now.
func (t *endpointTable) recheckProfiles(id uint32, r *record) {
	if len(t.step.profileLists) == 0 {
		return
	}
	if _, affected := t.step.profileLists[t.profileListOf(r)]; !affected {
		return
	}
	key := t.key(r)
	before, _ := t.status(key)
	t.checkProfiles(key, id)
	t.report(before)
}

// retainProfiles returns the number of a list of profiles; 0 for none.
func (t *endpointTable) retainProfiles(names []string) uint32 {
	b := t.buffer[:0]
	for i, name := range names {
		if i > 0 {
			b = append(b, ',') // no name has one
		}
		b = append(b, name...)
	}
	t.buffer = b
	id, isNew := t.profileTexts.RetainBytes(b)
	if isNew {
		t.profileLists[id] = strings.Split(t.profileTexts.At(id), ",")
		for _, name := range t.profileLists[id] {
			t.profiles.nameNamespace(name, 1)
		}
	}
	return id
}

func (t *endpointTable) releaseProfiles(id uint32) {
	if t.profileTexts.Release(id) {
		for _, name := range t.profileLists[id] {
			t.profiles.nameNamespace(name, -1)
		}
		delete(t.profileLists, id)
	}
}
