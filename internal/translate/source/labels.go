package source

import (
	"slices"
	"strings"

	"github.com/tierwall/tierwall/selector"
)

// Every endpoint and network set has one label set, which holds what selectors
// of all kinds may ask: its own labels, what it is, the labels of its namespace
// (with a prefix) and those of its service account (with another).
//
// Labels of that kind cannot be forged: an own label whose key is one of ours is
// kept under a key that no selector can be written with. Kubernetes selectors
// see only own labels; they ask for that key.
const (
	labelNamespace      = "projectcalico.org/namespace"
	LabelOrchestrator   = "projectcalico.org/orchestrator"
	labelServiceAccount = "projectcalico.org/serviceaccount"

	prefixNamespace = "pcns."
	prefixAccount   = "pcsa."

	// Added to the labels of a namespace; the first one to those of a service
	// account, too.
	labelName         = "projectcalico.org/name"
	labelMetadataName = "kubernetes.io/metadata.name"

	// A colon can stand neither in a label's key nor in a selector.
	prefixOwn = "own:"
)

// orchestratorKubernetes is the orchestrator of pods.
const orchestratorKubernetes = "k8s"

// OwnKey returns the key under which an endpoint carries its own label.
func OwnKey(key string) string {
	switch {
	case key == labelNamespace, key == LabelOrchestrator, key == labelServiceAccount,
		strings.HasPrefix(key, prefixNamespace), strings.HasPrefix(key, prefixAccount):
		return prefixOwn + key
	}
	return key
}

// namespaceOwnKey returns the key under which an endpoint carries its namespace's
// own label, as Kubernetes selectors see it.
func namespaceOwnKey(key string) string {
	if key == labelName {
		return prefixNamespace + prefixOwn + key
	}
	return prefixNamespace + key
}

// NamespaceLabels returns what a namespace adds to the labels of what is in it.
// own may be nil: a namespace that is only referred to has its names.
func NamespaceLabels(name string, own map[string]string) selector.Labels {
	m := make(map[string]string, len(own)+3)
	for k, v := range own {
		m[namespaceOwnKey(k)] = v
	}
	m[prefixNamespace+labelName] = name
	m[prefixNamespace+labelMetadataName] = name
	m[labelNamespace] = name
	return selector.NewLabels(m)
}

// NamespaceProfileLabels returns what the profile of a namespace adds to the labels of who
// names it, by what the namespace adds to those of what is in it.
func NamespaceProfileLabels(ofNamespace selector.Labels) selector.Labels {
	return slices.DeleteFunc(slices.Clone(ofNamespace), func(l selector.Label) bool { return l.Key == labelNamespace })
}

// ImpliedAccountLabels is how many labels a service account adds that has none.
const ImpliedAccountLabels = 2

// AccountLabels returns what a service account adds to the labels of its pods.
func AccountLabels(name string, own map[string]string) selector.Labels {
	m := make(map[string]string, len(own)+2)
	for k, v := range own {
		m[prefixAccount+k] = v
	}
	m[prefixAccount+labelName] = name
	m[labelServiceAccount] = name
	return selector.NewLabels(m)
}

// ownLabels returns an object's own labels as its label set carries them.
func ownLabels(own map[string]string) selector.Labels {
	ls := make(selector.Labels, 0, len(own))
	for k, v := range own {
		ls = append(ls, selector.Label{Key: OwnKey(k), Value: v})
	}
	sortLabels(ls)
	return ls
}

// JoinLabels makes one label set of parts that are sorted and whose keys differ.
func JoinLabels(parts ...selector.Labels) selector.Labels {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make(selector.Labels, 0, n)
	for len(out) < n {
		next := -1
		for i, p := range parts {
			if len(p) > 0 && (next < 0 || p[0].Key < parts[next][0].Key) {
				next = i
			}
		}
		out = append(out, parts[next][0])
		parts[next] = parts[next][1:]
	}
	return out
}

func sortLabels(ls selector.Labels) {
	slices.SortFunc(ls, func(a, b selector.Label) int { return strings.Compare(a.Key, b.Key) })
}

// inNamespace matches what is in any namespace.
func inNamespace() *selector.Selector { return selector.Has(labelNamespace) }

// IsPod matches pods of Kubernetes: its selectors match nothing else, whatever
// labels that has.
func IsPod() *selector.Selector { return selector.Equals(LabelOrchestrator, orchestratorKubernetes) }

// asksNamespace turns a selector of namespaces into one of what is in them.
// all() is any namespace; global() is none.
func asksNamespace(s *selector.Selector) *selector.Selector {
	return s.Rewrite(selector.Rewrite{
		Key:    func(k string) string { return prefixNamespace + k },
		All:    inNamespace(),
		Global: selector.Not(inNamespace()),
	})
}

// asksAccount turns a selector of service accounts into one of their pods.
func asksAccount(s *selector.Selector) *selector.Selector {
	return s.Rewrite(selector.Rewrite{Key: func(k string) string { return prefixAccount + k }})
}
