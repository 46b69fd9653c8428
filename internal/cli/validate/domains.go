package validate

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/agent/dnslearner"
	"github.com/tierwall/tierwall/internal/cli/input"
	"github.com/tierwall/tierwall/internal/dns"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// aliasNotes note where manifests name only an alias of what was asked for, by what an
// agent has learned.
func aliasNotes(in *input.Input, learned *dnslearner.Learned) []store.Finding {
	if len(learned.Aliases) == 0 {
		return nil
	}
	var out []store.Finding
	for i := range in.Resources {
		r := &in.Resources[i]
		for _, list := range domainLists(r.Object) {
			for _, m := range learned.Aliases {
				place := slices.IndexFunc(list.domains, func(text string) bool { return holds(text, m.Alias) })
				if place < 0 || slices.ContainsFunc(list.domains, func(text string) bool { return holds(text, m.Asked) }) {
					continue
				}
				f := r.At(fmt.Sprintf("%s[%d]", list.field, place), "%s", dns.MissedAlias{Asked: m.Asked, Alias: m.Alias})
				f.Note = true
				out = append(out, f)
			}
		}
	}
	return out
}

// annotationNotes note where the annotation that lets domains have addresses of the cluster
// stands on what has none.
func annotationNotes(in *input.Input) []store.Finding {
	var out []store.Finding
	for i := range in.Resources {
		r := &in.Resources[i]
		meta, ok := r.Object.(metav1.Object)
		if !ok {
			continue
		}
		if _, has := meta.GetAnnotations()[source.AllowInternalAnnotation]; !has {
			continue
		}
		message := "has no effect here: it is for NetworkSets and GlobalNetworkSets with allowedEgressDomains"
		if lists := domainLists(r.Object); r.Key.Kind == policy.KindNetworkSet || r.Key.Kind == policy.KindGlobalNetworkSet {
			if len(lists[0].domains) > 0 {
				continue
			}
			message = "has no effect: the set has no allowedEgressDomains"
		}
		f := r.At("metadata.annotations."+source.AllowInternalAnnotation, "%s", message)
		f.Note = true
		out = append(out, f)
	}
	return out
}

// domainList is domains that are alternatives, and the field they are written in.
type domainList struct {
	field   string
	domains []string
}

func domainLists(object any) []domainList {
	rules := func(list []v3.Rule) (out []domainList) {
		for i := range list {
			out = append(out, domainList{fmt.Sprintf("spec.egress[%d].destination.domains", i), list[i].Destination.Domains})
		}
		return out
	}
	var out []domainList
	add := func(rule, peer int, domains []string) {
		out = append(out, domainList{fmt.Sprintf("spec.egress[%d].to[%d].domainNames", rule, peer), domains})
	}
	switch o := object.(type) {
	case *v1alpha2.ClusterNetworkPolicy:
		for i := range o.Spec.Egress {
			for j := range o.Spec.Egress[i].To {
				add(i, j, plain(o.Spec.Egress[i].To[j].DomainNames))
			}
		}
	case *v1alpha1.AdminNetworkPolicy:
		for i := range o.Spec.Egress {
			for j := range o.Spec.Egress[i].To {
				add(i, j, plain(o.Spec.Egress[i].To[j].DomainNames))
			}
		}
	case *v3.NetworkSet:
		return []domainList{{"spec.allowedEgressDomains", o.Spec.AllowedEgressDomains}}
	case *v3.GlobalNetworkSet:
		return []domainList{{"spec.allowedEgressDomains", o.Spec.AllowedEgressDomains}}
	case *v3.NetworkPolicy:
		return rules(o.Spec.Egress)
	case *v3.GlobalNetworkPolicy:
		return rules(o.Spec.Egress)
	}
	return out
}

func plain[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

// holds reports whether a domain, as it is written, holds a name.
func holds(domain, name string) bool {
	d, err := dns.ParseDomain(domain)
	return err == nil && d.Holds(strings.ToLower(strings.TrimSuffix(name, ".")))
}
