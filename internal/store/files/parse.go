package files

import (
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

// MaxBytes is how much a store may hold that is read into memory as a whole,
// unless it is told another bound.
const MaxBytes = defaultMaxBytes

// Listing returns what was loaded as one state of a store.
func (l Loaded) Listing() store.Listing { return store.Listing(l) }
