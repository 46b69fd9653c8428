// Package kinds are the kinds of objects by the names that users of kubectl write.
package kinds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/suggest"
)

// shortNames are what kubectl users write for kinds, where it is not their
// singular or plural.
var shortNames = map[string]string{
	"ns": "Namespace", "no": "Node", "sa": "ServiceAccount", "po": "Pod", "svc": "Service", "netpol": "NetworkPolicy",
	"deploy": "Deployment", "rs": "ReplicaSet", "sts": "StatefulSet", "ds": "DaemonSet", "cj": "CronJob",
	"gnp": "GlobalNetworkPolicy", "netset": "NetworkSet", "gns": "GlobalNetworkSet", "wep": "WorkloadEndpoint", "hep": "HostEndpoint",
	"cnp": "ClusterNetworkPolicy", "anp": "AdminNetworkPolicy", "banp": "BaselineAdminNetworkPolicy",
	"snp": "StagedNetworkPolicy", "sgnp": "StagedGlobalNetworkPolicy", "sknp": "StagedKubernetesNetworkPolicy",
}

// ResourceName returns the name of a kind's resource, as URLs of an API server have it.
func ResourceName(k files.KindInfo) string {
	name := strings.ToLower(k.Kind)
	switch {
	case strings.HasSuffix(name, "y"):
		return strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "s"):
		return name + "es"
	}
	return name + "s"
}

// FullName returns "networkpolicies.projectcalico.org", or "pods" for the group
// that has no name.
func FullName(k files.KindInfo) string { return withGroup(ResourceName(k), k) }

// SingularName is fullName for one object: "networkpolicy.projectcalico.org".
func SingularName(k files.KindInfo) string { return withGroup(strings.ToLower(k.Kind), k) }

func withGroup(name string, k files.KindInfo) string {
	if k.Group() == "" {
		return name
	}
	return name + "." + k.Group()
}

// Parse returns the kinds that a word stands for: two for NetworkPolicy,
// unless a group is written too.
func Parse(word string) ([]files.KindInfo, error) {
	name, group, hasGroup := strings.Cut(strings.ToLower(word), ".")
	if short := shortNames[name]; short != "" {
		name = strings.ToLower(short)
	}
	var found []files.KindInfo
	var known []string
	for _, k := range files.Kinds() {
		single, several := strings.ToLower(k.Kind), ResourceName(k)
		known = append(known, several)
		if (name == single || name == several) && (!hasGroup || group == k.Group()) {
			found = append(found, k)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if hasGroup {
		if of, err := Parse(name); err == nil {
			names := make([]string, len(of))
			for i, k := range of {
				names[i] = FullName(k)
			}
			return nil, fmt.Errorf("unknown kind %q; did you mean %s?", word, suggest.OrList(names))
		}
	}
	known = slices.Compact(known)
	hint := suggest.DidYouMean(name, known)
	if hint == "" {
		hint = ": expected one of " + strings.Join(known, ", ")
	}
	return nil, fmt.Errorf("unknown kind %q%s", word, hint)
}

// ByKey returns the kind of a key; kinds are never unknown that a store holds.
func ByKey(kind string) files.KindInfo {
	for _, k := range files.Kinds() {
		if k.Key == kind {
			return k
		}
	}
	return files.KindInfo{Kind: kind, Key: kind}
}

// Names lists kinds, for shells.
func Names() []string {
	var names []string
	for _, k := range files.Kinds() {
		names = append(names, FullName(k))
	}
	slices.Sort(names)
	return names
}
