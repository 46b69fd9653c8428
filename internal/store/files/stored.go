package files

import (
	"encoding/json"
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// Where Calico has no API server of its own, or somebody dumps all that a cluster has, its
// objects come as Calico stores them: of another group, with the same fields. Metadata of
// projectcalico.org stands in an annotation, and the names of policies begin with what tells
// them apart in one list: their tier.

// calicoStorage is the group of what Calico stores, calicoStorageVersion its one version.
const (
	calicoStorage        = "crd.projectcalico.org"
	calicoStorageVersion = calicoStorage + "/v1"
)

// storedMetadata is the annotation that holds the metadata of the object as users know it.
const storedMetadata = "projectcalico.org/metadata"

// storedKubernetesPrefix is what the stored names of mirrored Kubernetes policies begin with.
const storedKubernetesPrefix = "knp.default."

// findStored returns a kind of projectcalico.org for the apiVersion under which it is stored.
func findStored(name, apiVersion string) (kind, bool) {
	if apiVersion != calicoStorageVersion {
		return kind{}, false
	}
	for _, k := range kinds[name] {
		if k.Group == v3.GroupName {
			k.stored = true
			return k, true
		}
	}
	return kind{}, false
}

// asV3 makes a stored object the one that it stores, and its key that one's.
func asV3(o any, key *policy.Key, p *position) []fieldProblem {
	meta, ok := o.(metav1.Object)
	if !ok {
		return nil
	}
	if typed, ok := o.(interface{ GetObjectKind() schema.ObjectKind }); ok {
		typed.GetObjectKind().SetGroupVersionKind(v3.SchemeGroupVersion.WithKind(key.Kind))
	}
	text, has := meta.GetAnnotations()[storedMetadata]
	var kept struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}
	if has {
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			path := "metadata.annotations." + storedMetadata
			_, line := p.Position(path)
			return []fieldProblem{{path: path, line: line, message: "is not the metadata of an object, as JSON: " + strings.TrimPrefix(err.Error(), "json: ")}}
		}
		annotations := joined(kept.Annotations, meta.GetAnnotations())
		delete(annotations, storedMetadata)
		meta.SetAnnotations(annotations)
		meta.SetLabels(joined(kept.Labels, meta.GetLabels()))
	}
	if key.Name == "" {
		return nil
	}
	if key.Name = bareName(o, key.Name); kept.Name != "" {
		key.Name = kept.Name
	}
	meta.SetName(key.Name)
	return nil
}

// joined returns both maps in one; of a key that both have, second counts. It is nil if it
// would be empty.
func joined(first, second map[string]string) map[string]string {
	if len(first)+len(second) == 0 {
		return nil
	}
	out := maps.Clone(first)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, second)
	return out
}

// bareName returns the name of an object without what stored names of policies begin with.
func bareName(o any, name string) string {
	tier, isPolicy := tierOf(o)
	if !isPolicy {
		return name
	}
	for _, prefix := range []string{storedKubernetesPrefix, tier + "."} {
		if bare, found := strings.CutPrefix(name, prefix); found && bare != "" {
			return bare
		}
	}
	return name
}

// tierOf returns the tier of a policy of projectcalico.org; false for what is none.
func tierOf(o any) (string, bool) {
	tier := ""
	switch o := o.(type) {
	case *v3.NetworkPolicy:
		tier = o.Spec.Tier
	case *v3.GlobalNetworkPolicy:
		tier = o.Spec.Tier
	case *v3.StagedNetworkPolicy:
		tier = o.Spec.Tier
	case *v3.StagedGlobalNetworkPolicy:
		tier = o.Spec.Tier
	case *v3.StagedKubernetesNetworkPolicy:
	default:
		return "", false
	}
	if tier == "" {
		tier = "default"
	}
	return tier, true
}

// identity is the key of an object under whichever of the names that a stored form and
// the one that it stores may have.
func (o *object) identity() policy.Key {
	key := o.Key
	key.Name = bareName(o.Object, key.Name)
	return key
}

// originals returns the objects that are not in the stored form, by identity; nil if no
// object is in that form.
func originals(contents []*content) map[policy.Key]*object {
	hasStored := false
	out := map[policy.Key]*object{}
	note := func(o *object) {
		switch {
		case o.stored:
			hasStored = true
		case groupOfKind(o.Key.Kind) == v3.GroupName:
			if id := o.identity(); out[id] == nil {
				out[id] = o
			}
		}
	}
	for _, c := range contents {
		for _, o := range c.objects {
			note(o)
		}
		for _, r := range c.rejected {
			note(&r.object)
		}
	}
	if !hasStored {
		return nil
	}
	return out
}

func groupOfKind(kind string) string {
	info, _ := policy.LookupKind(kind)
	return info.Group
}

// storedTwice is what there is to say of a stored form whose object is read as well.
func storedTwice(o, original *object) store.Finding {
	f := o.At("metadata.name", "is the stored form (%s) of the %s at %s, which counts", calicoStorageVersion, original.Key.Kind, original.position.String())
	f.Note = true
	return f
}
