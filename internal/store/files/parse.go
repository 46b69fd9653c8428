package files

import (
	"cmp"
	"slices"

	"github.com/tierwall/tierwall/internal/store"
)

// ParseJSON reads one JSON text, as LoadAll reads a file of that name. It is for
// stores that keep manifests elsewhere than in files.
func ParseJSON(name string, text []byte, opts Options) Loaded {
	return merge([]*content{parseContentAs(name, text, &opts, true)})
}

// Parse is ParseJSON for YAML, parts of which may be JSON.
func Parse(name string, text []byte, opts Options) Loaded {
	return merge([]*content{parseContentAs(name, text, &opts, false)})
}

// KindInfo says what objects of a kind that is read look like.
type KindInfo struct {
	APIVersion string // as written: "v1", "projectcalico.org/v3"
	Kind       string // as written
	Key        string // the kind in keys: another for Kubernetes' NetworkPolicy
	Namespaced bool
}

// Group returns the API group: "" for "v1".
func (k KindInfo) Group() string { return groupOf(k.APIVersion) }

// Kinds returns all kinds that are read and stored, by kind and version.
func Kinds() []KindInfo {
	var out []KindInfo
	for name, versions := range kinds {
		for _, k := range versions {
			if k.foreign {
				continue
			}
			out = append(out, KindInfo{k.apiVersion, name, cmp.Or(k.modelKind, name), k.namespaced})
		}
	}
	slices.SortFunc(out, func(a, b KindInfo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.APIVersion, b.APIVersion))
	})
	return out
}

// MaxBytes is how much a store may hold that is read into memory as a whole,
// unless it is told another bound.
const MaxBytes = defaultMaxBytes

// Listing returns what was loaded as one state of a store.
func (l Loaded) Listing() store.Listing { return store.Listing(l) }
