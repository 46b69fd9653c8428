package etcd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// The keys are made for etcd's access control, which grants ranges of keys:
//
//	/tierwall/v1/projectcalico.org/Tier/security
//	/tierwall/v1/projectcalico.org/NetworkPolicy/prod/default.allow-db
//	/tierwall/v1/networking.k8s.io/NetworkPolicy/prod/allow-db
//	/tierwall/v1/core/Namespace/prod
//
// An agent needs to read /tierwall/v1/; a team that may write the policies of
// its namespace needs to write /tierwall/v1/projectcalico.org/NetworkPolicy/prod/.

// layout is the version of the keys' form.
const layout = "v1"

// coreGroup stands for the group that has no name in manifests.
const coreGroup = "core"

// maxName bounds a name and a namespace; Kubernetes has the same bound.
const maxName = 253

// Key returns the key of an object. It fails for what cannot be stored: a kind
// that is not read, a name that is none.
func (s *Store) Key(k policy.Key) (string, error) {
	info, ok := storedKind(k.Kind)
	if !ok {
		return "", fmt.Errorf("%s is no kind that can be stored", k.Kind)
	}
	path := s.root + groupText(info) + "/" + info.Name + "/"
	if info.Namespaced {
		if err := checkName(k.Namespace); err != nil {
			return "", fmt.Errorf("metadata.namespace: %w", err)
		}
		path += k.Namespace + "/"
	}
	if err := checkName(k.Name); err != nil {
		return "", fmt.Errorf("metadata.name: %w", err)
	}
	return path + k.Name, nil
}

// parseKey returns what a key names.
func (s *Store) parseKey(path string) (policy.Key, error) {
	rest, found := strings.CutPrefix(path, s.root)
	if !found {
		return policy.Key{}, errors.New("is not below " + s.root)
	}
	parts := strings.SplitN(rest, "/", 5)
	if len(parts) < 3 {
		return policy.Key{}, errors.New("is no key of an object: expected " + s.root + "GROUP/KIND/NAMESPACE/NAME, without the namespace for kinds that are in none")
	}
	info, ok := kindsByPath[parts[0]+"/"+parts[1]]
	if !ok {
		return policy.Key{}, fmt.Errorf("is of no kind that is read%s", suggest.DidYouMean(parts[0]+"/"+parts[1], kindPaths))
	}
	k := policy.Key{Kind: info.Key, Name: parts[len(parts)-1]}
	want := 3
	if info.Namespaced {
		want, k.Namespace = 4, parts[2]
	}
	if len(parts) != want {
		form := "GROUP/KIND/NAME: a " + info.Name + " is in no namespace"
		if info.Namespaced {
			form = "GROUP/KIND/NAMESPACE/NAME: a " + info.Name + " is in a namespace"
		}
		return policy.Key{}, errors.New("is no key of an object: expected " + s.root + form)
	}
	if back, err := s.Key(k); err != nil || back != path {
		return policy.Key{}, errors.New("is no key of an object: its name or namespace is none")
	}
	return k, nil
}

// checkName refuses what would make keys that are not one object's. What names
// an API allows is for those who read it.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("is missing")
	case len(name) > maxName:
		return fmt.Errorf("has %d characters: expected at most %d", len(name), maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || unicode.IsControl(r) || unicode.IsSpace(r)
	}):
		return fmt.Errorf("%q is no name: expected letters, digits, '-' and '.'", name)
	}
	return nil
}

// kindsByPath holds the kinds that are stored, by the part of a key that names them:
// "projectcalico.org/Tier".
var (
	kindsByPath = map[string]policy.KindInfo{}
	kindPaths   []string
)

func init() {
	for _, info := range policy.StoredKinds() {
		path := groupText(info) + "/" + info.Name
		kindsByPath[path] = info
		kindPaths = append(kindPaths, path)
	}
	slices.Sort(kindPaths)
}

// storedKind returns the kind of a policy.Key, if it can be stored.
func storedKind(kind string) (policy.KindInfo, bool) {
	info, found := policy.LookupKind(kind)
	return info, found && info.IsStored()
}

func groupText(info policy.KindInfo) string { return cmp.Or(info.Group, coreGroup) }

// shown returns a key for messages: anyone who may write can make any bytes a key.
func shown(path string) string {
	const most = 200
	if len(path) > most {
		path = path[:most] + "..."
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return strconv.QuoteToASCII(path)
	}
	return path
}
