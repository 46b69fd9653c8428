package policy

import (
	"slices"
	"strings"
)

// The kinds of objects, as in Key.Kind. That is the kind as manifests write it, but
// for KindKubernetesNetworkPolicy: two APIs have a NetworkPolicy.
const (
	KindNamespace      = "Namespace"
	KindServiceAccount = "ServiceAccount"
	KindNode           = "Node"
	KindService        = "Service" // in the model, the set of its endpoints
	KindEndpointSlice  = "EndpointSlice"

	KindTier                    = "Tier"
	KindNetworkSet              = "NetworkSet"
	KindGlobalNetworkSet        = "GlobalNetworkSet"
	KindKubernetesNetworkPolicy = "KubernetesNetworkPolicy" // networking.k8s.io/v1
	KindNetworkPolicy           = "NetworkPolicy"           // projectcalico.org/v3
	KindGlobalNetworkPolicy     = "GlobalNetworkPolicy"
	KindProfile                 = "Profile"
	KindHostEndpoint            = "HostEndpoint"

	// Those of policy.networking.k8s.io: v1alpha2, and the two of v1alpha1.
	KindClusterNetworkPolicy       = "ClusterNetworkPolicy"
	KindAdminNetworkPolicy         = "AdminNetworkPolicy"
	KindBaselineAdminNetworkPolicy = "BaselineAdminNetworkPolicy"

	KindStagedNetworkPolicy           = "StagedNetworkPolicy"
	KindStagedGlobalNetworkPolicy     = "StagedGlobalNetworkPolicy"
	KindStagedKubernetesNetworkPolicy = "StagedKubernetesNetworkPolicy"

	KindDeployment  = "Deployment"
	KindReplicaSet  = "ReplicaSet"
	KindStatefulSet = "StatefulSet"
	KindDaemonSet   = "DaemonSet"
	KindJob         = "Job"
	KindCronJob     = "CronJob"

	KindPod              = "Pod"
	KindWorkloadEndpoint = "WorkloadEndpoint"

	KindCiliumNetworkPolicy            = "CiliumNetworkPolicy"
	KindCiliumClusterwideNetworkPolicy = "CiliumClusterwideNetworkPolicy"

	KindNodePolicyReport = "NodePolicyReport" // what an agent says of its node

	// Those of no manifest: they name parts of the model, and what decides.
	KindDomains        = "Domains"        // the domains of a rule
	KindLearned        = "Learned"        // addresses learned for the domains of a set
	KindNodes          = "Nodes"          // the nodes that a rule selects
	KindFailsafe       = "Failsafe"       // decides at host endpoints before any policy
	KindEndpointToHost = "EndpointToHost" // decides what workloads may send to their own host
)

// KindInfo says what is true of all objects of one kind. It is the only place that
// does: stores, translation, agent, controller and command line take it from here,
// and add what is their own, by Key.
type KindInfo struct {
	Key            string // as in Key.Kind
	Name           string // as manifests write it; empty for what is in none
	Group, Version string // of its API; the group is empty for Kubernetes' core
	Resource       string // as in the URLs of an API server: the plural, "networkpolicies"
	Namespaced     bool
	ShortNames     []string // each is of one kind only
	Role           Role
	Stages         string // the kind that a staged policy stands for, as in Key.Kind; empty for others
	Status         StatusKind
	// Decides says that the verdicts of an agent depend on objects of the kind: while
	// one is invalid, its last valid version must stay in force.
	Decides bool
}

// Role says what a kind is for.
type Role uint8

// The roles.
const (
	RoleTier      Role = iota + 1
	RolePolicy         // staged ones, too
	RoleSet            // nets and domains that rules refer to
	RoleEndpoint       // what has addresses that policy governs
	RoleWorkload       // what makes pods
	RoleService        // services and their endpoints
	RoleNode           // hosts
	RoleNamespace      // what scopes names, and adds labels
	RoleAccount        // service accounts, which add labels
	RoleProfile        // what decides where no policy does
	RoleReport         // what agents say
	RoleOther          // what others enforce, and what decides without being an object
)

// StatusKind says what the controller writes about objects of a kind.
type StatusKind uint8

// The kinds of status.
const (
	NoStatus         StatusKind = iota // nothing: people do not write such objects to decide something
	EventsOnly                         // Events on what is wrong: the API has no status
	ObjectStatus                       // whether the object is valid
	StagedStatus                       // the same, in the status of a policy
	PolicyStatus                       // and how far it is in force
	ConditionsStatus                   // the same, in conditions alone
)

// CountsNodes reports whether the status says how far an object is in force.
func (s StatusKind) CountsNodes() bool { return s == PolicyStatus || s == ConditionsStatus }

// Groups of APIs.
const (
	groupCalico  = "projectcalico.org"
	groupCluster = "policy.networking.k8s.io"
	groupCilium  = "cilium.io"
	groupReports = "policy.tierwall.dev"
)

// kinds are in the order in which they are best read: what is referred to comes before
// what refers to it, and what there is most of comes last.
var kinds = []KindInfo{
	{Key: KindNamespace, Name: "Namespace", Version: "v1", Resource: "namespaces", ShortNames: []string{"ns"}, Role: RoleNamespace, Decides: true},
	{Key: KindServiceAccount, Name: "ServiceAccount", Version: "v1", Resource: "serviceaccounts", Namespaced: true, ShortNames: []string{"sa"}, Role: RoleAccount, Decides: true},
	{Key: KindNode, Name: "Node", Version: "v1", Resource: "nodes", ShortNames: []string{"no"}, Role: RoleNode, Decides: true},
	{Key: KindService, Name: "Service", Version: "v1", Resource: "services", Namespaced: true, ShortNames: []string{"svc"}, Role: RoleService, Decides: true},
	{Key: KindEndpointSlice, Name: "EndpointSlice", Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices", Namespaced: true, Role: RoleService, Decides: true},

	{Key: KindTier, Name: "Tier", Group: groupCalico, Version: "v3", Resource: "tiers", Role: RoleTier, Status: ObjectStatus, Decides: true},
	{Key: KindNetworkSet, Name: "NetworkSet", Group: groupCalico, Version: "v3", Resource: "networksets", Namespaced: true, ShortNames: []string{"netset", "netsets"}, Role: RoleSet, Status: ObjectStatus, Decides: true},
	{Key: KindGlobalNetworkSet, Name: "GlobalNetworkSet", Group: groupCalico, Version: "v3", Resource: "globalnetworksets", ShortNames: []string{"gns"}, Role: RoleSet, Status: ObjectStatus, Decides: true},
	{Key: KindKubernetesNetworkPolicy, Name: "NetworkPolicy", Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies", Namespaced: true, ShortNames: []string{"netpol"}, Role: RolePolicy, Status: EventsOnly, Decides: true},
	{Key: KindNetworkPolicy, Name: "NetworkPolicy", Group: groupCalico, Version: "v3", Resource: "networkpolicies", Namespaced: true, ShortNames: []string{"caliconetworkpolicy"}, Role: RolePolicy, Status: PolicyStatus, Decides: true},
	{Key: KindGlobalNetworkPolicy, Name: "GlobalNetworkPolicy", Group: groupCalico, Version: "v3", Resource: "globalnetworkpolicies", ShortNames: []string{"gnp", "cgnp"}, Role: RolePolicy, Status: PolicyStatus, Decides: true},
	{Key: KindProfile, Name: "Profile", Group: groupCalico, Version: "v3", Resource: "profiles", Role: RoleProfile, Status: ObjectStatus, Decides: true},
	{Key: KindHostEndpoint, Name: "HostEndpoint", Group: groupCalico, Version: "v3", Resource: "hostendpoints", ShortNames: []string{"hep", "heps"}, Role: RoleEndpoint, Status: ObjectStatus, Decides: true},
	{Key: KindClusterNetworkPolicy, Name: "ClusterNetworkPolicy", Group: groupCluster, Version: "v1alpha2", Resource: "clusternetworkpolicies", ShortNames: []string{"cnp"}, Role: RolePolicy, Status: ConditionsStatus, Decides: true},
	{Key: KindAdminNetworkPolicy, Name: "AdminNetworkPolicy", Group: groupCluster, Version: "v1alpha1", Resource: "adminnetworkpolicies", ShortNames: []string{"anp"}, Role: RolePolicy, Status: ConditionsStatus, Decides: true},
	{Key: KindBaselineAdminNetworkPolicy, Name: "BaselineAdminNetworkPolicy", Group: groupCluster, Version: "v1alpha1", Resource: "baselineadminnetworkpolicies", ShortNames: []string{"banp"}, Role: RolePolicy, Status: ConditionsStatus, Decides: true},
	{Key: KindStagedNetworkPolicy, Name: "StagedNetworkPolicy", Group: groupCalico, Version: "v3", Resource: "stagednetworkpolicies", Namespaced: true, ShortNames: []string{"scnp", "snp"}, Role: RolePolicy, Stages: KindNetworkPolicy, Status: StagedStatus},
	{Key: KindStagedGlobalNetworkPolicy, Name: "StagedGlobalNetworkPolicy", Group: groupCalico, Version: "v3", Resource: "stagedglobalnetworkpolicies", ShortNames: []string{"sgnp"}, Role: RolePolicy, Stages: KindGlobalNetworkPolicy, Status: StagedStatus},
	{Key: KindStagedKubernetesNetworkPolicy, Name: "StagedKubernetesNetworkPolicy", Group: groupCalico, Version: "v3", Resource: "stagedkubernetesnetworkpolicies", Namespaced: true, ShortNames: []string{"sknp"}, Role: RolePolicy, Stages: KindKubernetesNetworkPolicy, Status: StagedStatus},

	{Key: KindDeployment, Name: "Deployment", Group: "apps", Version: "v1", Resource: "deployments", Namespaced: true, ShortNames: []string{"deploy"}, Role: RoleWorkload},
	{Key: KindReplicaSet, Name: "ReplicaSet", Group: "apps", Version: "v1", Resource: "replicasets", Namespaced: true, ShortNames: []string{"rs"}, Role: RoleWorkload},
	{Key: KindStatefulSet, Name: "StatefulSet", Group: "apps", Version: "v1", Resource: "statefulsets", Namespaced: true, ShortNames: []string{"sts"}, Role: RoleWorkload},
	{Key: KindDaemonSet, Name: "DaemonSet", Group: "apps", Version: "v1", Resource: "daemonsets", Namespaced: true, ShortNames: []string{"ds"}, Role: RoleWorkload},
	{Key: KindJob, Name: "Job", Group: "batch", Version: "v1", Resource: "jobs", Namespaced: true, Role: RoleWorkload},
	{Key: KindCronJob, Name: "CronJob", Group: "batch", Version: "v1", Resource: "cronjobs", Namespaced: true, ShortNames: []string{"cj"}, Role: RoleWorkload},
	{Key: KindWorkloadEndpoint, Name: "WorkloadEndpoint", Group: groupCalico, Version: "v3", Resource: "workloadendpoints", Namespaced: true, ShortNames: []string{"wep"}, Role: RoleEndpoint, Decides: true},
	{Key: KindPod, Name: "Pod", Version: "v1", Resource: "pods", Namespaced: true, ShortNames: []string{"po"}, Role: RoleEndpoint, Decides: true},

	{Key: KindCiliumNetworkPolicy, Name: "CiliumNetworkPolicy", Group: groupCilium, Version: "v2", Resource: "ciliumnetworkpolicies", Namespaced: true, Role: RoleOther},
	{Key: KindCiliumClusterwideNetworkPolicy, Name: "CiliumClusterwideNetworkPolicy", Group: groupCilium, Version: "v2", Resource: "ciliumclusterwidenetworkpolicies", ShortNames: []string{"ccnp"}, Role: RoleOther},

	{Key: KindNodePolicyReport, Name: "NodePolicyReport", Group: groupReports, Version: "v1alpha1", Resource: "nodepolicyreports", ShortNames: []string{"npr"}, Role: RoleReport},

	{Key: KindDomains, Role: RoleSet},
	{Key: KindLearned, Namespaced: true, Role: RoleSet},
	{Key: KindNodes, Role: RoleSet},
	{Key: KindFailsafe, Role: RoleOther},
	{Key: KindEndpointToHost, Role: RoleOther},
}

var kindsByKey = func() map[string]*KindInfo {
	out := make(map[string]*KindInfo, len(kinds))
	for i := range kinds {
		out[kinds[i].Key] = &kinds[i]
	}
	return out
}()

// Kinds returns all kinds, those that are referred to before those that refer to them.
func Kinds() []KindInfo { return slices.Clone(kinds) }

// StoredKinds returns the kinds that a store may hold: those of manifests that are
// enforced here, or say what is enforced.
func StoredKinds() []KindInfo {
	return slices.DeleteFunc(Kinds(), func(k KindInfo) bool { return !k.IsStored() })
}

// LookupKind returns the kind of that key.
func LookupKind(key string) (info KindInfo, found bool) {
	if k := kindsByKey[key]; k != nil {
		return *k, true
	}
	return KindInfo{}, false
}

// IsWritten reports whether manifests of the kind are read.
func (k KindInfo) IsWritten() bool { return k.Name != "" }

// IsStored reports whether a store may hold objects of the kind. Policies that others
// enforce, and what agents report, are read for an analysis, and stored nowhere.
func (k KindInfo) IsStored() bool {
	return k.IsWritten() && k.Role != RoleOther && k.Role != RoleReport
}

// APIVersion returns what manifests write: "v1", "projectcalico.org/v3".
func (k KindInfo) APIVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// Singular returns the name of one object's resource: "networkpolicy".
func (k KindInfo) Singular() string { return strings.ToLower(k.Name) }

// FullResource returns "networkpolicies.projectcalico.org", or "pods" for the group
// that has no name.
func (k KindInfo) FullResource() string { return k.withGroup(k.Resource) }

// FullSingular is FullResource for one object: "networkpolicy.projectcalico.org".
func (k KindInfo) FullSingular() string { return k.withGroup(k.Singular()) }

func (k KindInfo) withGroup(name string) string {
	if k.Group == "" {
		return name
	}
	return name + "." + k.Group
}

// Matches reports whether a word names the kind as kubectl's users do: by its
// singular, its plural or a short name, in small letters.
func (k KindInfo) Matches(word string) bool {
	return word == k.Singular() || word == k.Resource || slices.Contains(k.ShortNames, word)
}
