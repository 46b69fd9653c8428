package controller

import "github.com/tierwall/tierwall/policy"

// kind is one kind of objects that the controller validates.
type kind struct{ policy.KindInfo }

// kinds are those that the controller validates: what people write to decide something.
var kinds = func() []*kind {
	var out []*kind
	for _, info := range policy.Kinds() {
		if info.Status != policy.NoStatus {
			out = append(out, &kind{info})
		}
	}
	return out
}()

var kindOf = func() map[string]*kind {
	out := map[string]*kind{}
	for _, k := range kinds {
		out[k.Key] = k
	}
	return out
}()

// path is that of an object, of a part of it ("status"), or of all objects for an
// empty name.
func (k *kind) path(namespace, name, part string) []string {
	p := []string{"apis", k.APIVersion()}
	if namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	p = append(p, k.Resource)
	if name != "" {
		p = append(p, name)
	}
	if part != "" {
		p = append(p, part)
	}
	return p
}
