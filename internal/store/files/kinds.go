package files

import (
	"maps"
	"slices"
	"strings"

	v3 "github.com/tierwall/tierwall/api/v3"
	"github.com/tierwall/tierwall/internal/suggest"
	"github.com/tierwall/tierwall/policy"
)

// realKinds holds the kinds of the API groups that are read, of any version: one
// that is not among them is a slip, not a kind to pass over. Those that kinds
// does not hold decide nothing, unless they are in undecided.
var realKinds = func() map[string][]string {
	out := map[string][]string{}
	for group, names := range otherKinds {
		out[group] = slices.Clone(names)
	}
	for name, versions := range kinds {
		for _, k := range versions {
			if k.IsStored() && !slices.Contains(out[k.Group], name) {
				out[k.Group] = append(out[k.Group], name)
			}
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}()

// otherKinds are those of the same groups that are not read, and those of groups
// that once held what is read.
var otherKinds = map[string][]string{
	"": {
		"Binding", "ComponentStatus", "ConfigMap", "Endpoints", "Event", "LimitRange",
		"PersistentVolume", "PersistentVolumeClaim", "PodTemplate", "ReplicationController",
		"ResourceQuota", "Secret", "List", "Status",
		"Config", // of kubectl, which calls its version v1 as well
	},
	"apps":              {"ControllerRevision"},
	"extensions":        {"DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "PodSecurityPolicy", "ReplicaSet"},
	"networking.k8s.io": {"ClusterCIDR", "IPAddress", "Ingress", "IngressClass", "ServiceCIDR"},
	"policy":            {"Eviction", "PodDisruptionBudget", "PodSecurityPolicy"},
	v3.GroupName:        slices.Concat(calicoKinds, calicoEnterpriseKinds),
	// Where Calico stores the same kinds (see stored.go), and what it keeps for itself.
	calicoStorage: slices.Concat(storedByCalico(), calicoKinds, calicoEnterpriseKinds, []string{"IPAMBlock", "IPAMHandle"}),
}

// storedByCalico returns the kinds of projectcalico.org that are read.
func storedByCalico() []string {
	var out []string
	for _, info := range policy.Kinds() {
		if info.Group == v3.GroupName {
			out = append(out, info.Name)
		}
	}
	return out
}

// calicoKinds are those of Calico that are not read.
var calicoKinds = []string{
	"BGPConfiguration", "BGPFilter", "BGPPeer", "BlockAffinity", "CalicoNodeStatus", "ClusterInformation",
	"FelixConfiguration", "IPAMConfig", "IPAMConfiguration", "IPPool", "IPReservation",
	"KubeControllersConfiguration", "Node",
}

// calicoEnterpriseKinds are those of Calico's commercial editions.
var calicoEnterpriseKinds = []string{
	"AlertException", "AuthenticationReview", "AuthorizationReview", "BFDConfiguration", "DeepPacketInspection",
	"EgressGatewayPolicy", "ExternalNetwork", "GlobalAlert", "GlobalAlertTemplate", "GlobalReport",
	"GlobalReportType", "GlobalThreatFeed", "LicenseKey", "ManagedCluster", "PacketCapture",
	"PolicyRecommendationScope", "PolicyRecommendationStatus", "RemoteClusterConfiguration",
	"SecurityEventWebhook", "UISettings", "UISettingsGroup",
}

// undecided holds kinds, by their API group, that decide about connections but
// are not read: to pass over them would give wrong answers.
var undecided = map[string][]string{
	"crd.antrea.io": {"ClusterNetworkPolicy", "NetworkPolicy"},
	"k8s.ovn.org":   {"EgressFirewall"},
}

// validity says why an object is not read.
type validity struct {
	skip    bool   // it decides nothing here
	field   string // kind or apiVersion
	problem string // what is wrong with it
	real    bool   // there is such a kind, so that it is no other kind's slip
}

// findKind returns the kind of that name and version, or else says why there is
// none: the validity of a known kind is empty.
func findKind(name, apiVersion string) (kind, validity) {
	candidates := kinds[name]
	for _, c := range candidates {
		if c.APIVersion() == apiVersion {
			return c, validity{}
		}
	}
	if k, ok := findStored(name, apiVersion); ok {
		return k, validity{}
	}
	group := groupOf(apiVersion)
	real, isOurs := realKinds[group]
	switch {
	case slices.Contains(undecided[group], name):
		return kind{}, validity{field: "apiVersion", real: true, problem: name + " is not supported yet by this version: leave it out" + insteadOf(group)}
	case apiVersion == "" && len(candidates) > 0:
		return kind{}, validity{field: "apiVersion", problem: "is missing: expected " + versionsOf(candidates, group)}
	case apiVersion == "":
		// A configuration file of some tool may have a kind alone.
		if near := suggest.Nearest(name, slices.Sorted(maps.Keys(kinds))); near != "" {
			return kind{}, validity{field: "kind", problem: name + " is no kind that is read; did you mean " + near + "? Then it needs apiVersion: " + versionsOf(kinds[near], group)}
		}
		return kind{}, validity{skip: true}
	case isOurs && !slices.Contains(real, name):
		return kind{}, validity{field: "kind", problem: name + " is no kind of " + apiVersion + otherKind(name, real)}
	case isOurs && len(candidates) > 0 && (group != v3.GroupName || slices.Contains(groupsOf(candidates), group)):
		return kind{}, validity{field: "apiVersion", problem: "version " + apiVersion + " of " + name + " is not read: expected " + versionsOf(candidates, group)}
	case isOurs:
		return kind{}, validity{skip: true}
	}
	return kind{}, ofOtherGroup(name, apiVersion)
}

// ofOtherGroup returns the validity of a kind of a group that is not read.
func ofOtherGroup(name, apiVersion string) validity {
	group := groupOf(apiVersion)
	if candidates := kinds[name]; len(candidates) > 0 {
		if near := suggest.Nearest(group, groupsOf(candidates)); near != "" || strings.Contains(group, "calico") {
			return validity{field: "apiVersion", problem: apiVersion + " is not read: did you mean " + versionsOf(candidates, near) + "?"}
		}
	}
	if strings.HasSuffix(name, "NetworkPolicy") || strings.HasSuffix(name, "NetworkSet") {
		return validity{field: "apiVersion", real: true, problem: name + " of " + apiVersion + " is not supported: leave it out, or write it in networking.k8s.io/v1 or " + v3.GroupVersion}
	}
	if near := suggest.Nearest(name, policyKinds()); near != "" {
		return validity{field: "kind", problem: name + " is no kind that is read; did you mean " + near + " of " + versionsOf(kinds[near], group) + "?"}
	}
	return validity{skip: true}
}

// policyKinds returns the kinds whose loss would change what is allowed.
func policyKinds() []string {
	var out []string
	for name, versions := range kinds {
		if versions[0].Role == policy.RolePolicy || versions[0].Role == policy.RoleOther {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// insteadOf says what to write in place of a kind that is not supported.
func insteadOf(group string) string {
	switch group {
	case v3.GroupName, calicoStorage:
		return ""
	}
	return ", or write it as a policy of networking.k8s.io/v1 or " + v3.GroupVersion
}

// otherKind says what was meant by the name of a kind that a group does not have.
func otherKind(name string, real []string) string {
	if near := suggest.DidYouMean(name, real); near != "" {
		return near
	}
	if candidates := kinds[name]; len(candidates) > 0 {
		return ": it is one of " + versionsOf(candidates, "")
	}
	for _, group := range slices.Sorted(maps.Keys(realKinds)) {
		if group != "extensions" && slices.Contains(realKinds[group], name) {
			return ": it is one of " + groupName(group)
		}
	}
	return suggest.DidYouMean(name, slices.Sorted(maps.Keys(kinds)))
}

func groupName(group string) string {
	if group == "" {
		return "v1"
	}
	return group
}

// versionsOf returns the versions in which a kind is read; only that of the group,
// if it has one in it.
func versionsOf(candidates []kind, group string) string {
	if group == calicoStorage {
		group = v3.GroupName
	}
	var versions []string
	for _, c := range candidates {
		if c.Group == group {
			return c.APIVersion()
		}
		versions = append(versions, c.APIVersion())
	}
	return suggest.OrList(versions)
}

func groupsOf(candidates []kind) []string {
	var out []string
	for _, c := range candidates {
		out = append(out, c.Group)
	}
	return out
}

// groupOf returns the group of an apiVersion; "v1" is of group "".
func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}
