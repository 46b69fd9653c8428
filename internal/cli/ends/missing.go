package ends

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
)

// NotFoundError says what of the name is wrong and lists close ones.
func (r Resolver) NotFoundError(namespace, kind, name string) error {
	for _, u := range r.Unmanaged {
		for _, k := range []policy.Key{u.Key, u.Owner} {
			if k.Namespace == namespace && k.Name == name && (kind == "" || kind == k.Kind) {
				return fmt.Errorf("it %s, so policy has no say on it", u.Reason)
			}
		}
	}
	if len(r.Model.Endpoints) == 0 {
		return errors.New(NoEndpoints(r.Source, r.Unmanaged))
	}
	what := kind
	if kind == "" {
		what = "pod or workload"
	}
	var here, all, elsewhere []string
	for _, ep := range r.Model.Endpoints {
		for _, k := range []policy.Key{ep.Key, ep.Owner} {
			if k == (policy.Key{}) {
				continue
			}
			written := Name(k)
			if kind == "" && k.Kind == policy.KindPod {
				written = k.Namespace + "/" + k.Name
			}
			all = append(all, written)
			if k.Namespace == namespace && k.Kind != policy.KindHostEndpoint {
				here = append(here, k.Name)
			}
			if full := Name(k); k.Name == name && !slices.Contains(elsewhere, full) {
				elsewhere = append(elsewhere, full)
			}
		}
	}
	if len(here) == 0 {
		return fmt.Errorf("no pod or workload is in namespace %s%s", namespace,
			FirstHint(OfferFew(elsewhere), suggest.Several(namespace, input.Namespaces(r.Model))))
	}
	asked := namespace + "/" + name
	if kind != "" {
		asked = namespace + "/" + kind + "/" + name
	}
	return fmt.Errorf("no such %s in namespace %s%s", what, namespace,
		FirstHint(OfferFew(elsewhere), suggest.Several(asked, all), suggest.Several(namespace+"/"+name, all), holds(here)))
}

// NoEndpoints says that there is nothing that policy governs.
func NoEndpoints(from input.Source, ungoverned []translate.Unmanaged) string {
	switch len(ungoverned) {
	case 0:
		return string(from) + " no pods or workloads"
	case 1:
		return fmt.Sprintf("%s no pods or workloads but %s, which %s", from, ungoverned[0].Key, ungoverned[0].Reason)
	}
	return fmt.Sprintf("%s no pods or workloads but %d on which policy has no say: they use their node's network or have ended", from, len(ungoverned))
}

// OfferFew offers names that are right apart from what stands before them, if
// they are few.
func OfferFew(names []string) string {
	if len(names) > suggest.MaxOffered {
		return ""
	}
	slices.Sort(names)
	return suggest.Offer(names)
}

// holds lists the names of a namespace when there are only a few.
func holds(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 8 {
		return fmt.Sprintf("; it holds %s and %d more", strings.Join(names[:8], ", "), len(names)-8)
	}
	return "; it holds " + strings.Join(names, ", ")
}

// FirstHint returns the first hint that is not empty.
func FirstHint(hints ...string) string {
	for _, h := range hints {
		if h != "" {
			return h
		}
	}
	return ""
}

// NamesOf returns the endpoints of this name, in whatever namespace, as --from and --to take them.
func NamesOf(m *policy.Model, name string) []string {
	var names []string
	for _, ep := range m.Endpoints {
		if ep.Key.Name == name {
			names = append(names, Name(ep.Key))
		}
	}
	return names
}

// Name returns an endpoint as --from and --to take it.
func Name(k policy.Key) string {
	if k.Kind == policy.KindHostEndpoint {
		return "host/" + k.Name
	}
	return k.String()
}

// needsNamespace says what a word without a slash lacks. One with a dot may have
// been meant as a name in DNS.
func needsNamespace(m *policy.Model, text string) error {
	hint := OfferFew(NamesOf(m, text))
	if d, err := dns.ParseDomain(text); hint == "" && err == nil && !d.Below && strings.Contains(text, ".") {
		hint = fmt.Sprintf("; if it is a name in DNS, say which address the source got for it: --resolve %s=ADDRESS", text)
	}
	return fmt.Errorf("a name needs its namespace (NAMESPACE/NAME); an IP address or node/NAME will do as well%s", hint)
}
