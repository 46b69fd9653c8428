package antispoof

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/agent/component"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// podSources are the ranges of sources that pods of this node may have beside their own
// addresses, as store.AllowedSourcesAnnotation says.
type podSources map[policy.Key][]netip.Prefix

// maxPodSources is how many ranges a pod may have: each is a rule in the kernel.
const maxPodSources = 64

// take takes in what a batch says, and reports whether it is news.
func (s *podSources) take(b *store.Batch, env component.Env) (news bool) {
	set := func(key policy.Key, list []netip.Prefix) {
		if slices.Equal((*s)[key], list) {
			return
		}
		if news = true; *s == nil {
			*s = podSources{}
		}
		if (*s)[key] = list; len(list) == 0 {
			delete(*s, key)
		}
	}
	for _, k := range b.Deleted {
		set(k, nil)
	}
	for i := range b.Updated {
		p, ok := b.Updated[i].Object.(*corev1.Pod)
		if !ok || p.Spec.NodeName != env.Node {
			continue
		}
		list, err := parseSources(p.Annotations[store.AllowedSourcesAnnotation])
		if err != nil {
			env.Log.Warn("a pod gets no sources beside its own", "pod", p.Namespace+"/"+p.Name, "annotation", store.AllowedSourcesAnnotation, "error", err)
		}
		set(policy.Key{Kind: policy.KindPod, Namespace: p.Namespace, Name: p.Name}, list)
	}
	return news
}

// parseSources reads the annotation: a JSON list of ranges. If anything is wrong with it
// none of it counts.
func parseSources(text string) ([]netip.Prefix, error) {
	if text == "" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(text), &texts); err != nil {
		return nil, errors.New(`expected a JSON list of ranges, such as ["192.0.2.0/24"]`)
	}
	if len(texts) > maxPodSources {
		return nil, fmt.Errorf("%d ranges: expected at most %d", len(texts), maxPodSources)
	}
	var list []netip.Prefix
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		switch {
		case err != nil || p.Addr().Is4In6():
			return nil, fmt.Errorf("%q: expected a range such as 192.0.2.0/24 or 2001:db8::/64", t)
		case p != p.Masked():
			return nil, fmt.Errorf("%q: has bits beyond its length; %s would be right", t, p.Masked())
		}
		list = append(list, p)
	}
	return list, nil
}
