package e2e

import "k8s.io/apimachinery/pkg/runtime/schema"

// grants are what the users of the matrix get, beside the roles that are shipped.
const grants = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: alice, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "tierwall:app-team"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: edna, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: editors}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: paul}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "tierwall:platform-admin"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: paul}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sue}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "tierwall:security-admin"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: sue}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: vera}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vera}]
---
# Rights for the kinds alone, as RBAC has them without tiers.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: kinds}
rules:
- apiGroups: [projectcalico.org]
  resources: [networkpolicies, globalnetworkpolicies, stagednetworkpolicies, stagedglobalnetworkpolicies]
  verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: kinds}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: kinds}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: carl}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: nora}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}
---
# carl: the two bindings of Calico's documentation, the tier everywhere and its
# policies in one namespace.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: get-security}
rules:
- {apiGroups: [projectcalico.org], resources: [tiers], resourceNames: [security], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: get-security}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: get-security}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: carl}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: security, namespace: bank}
rules:
- {apiGroups: [projectcalico.org], resources: [tier.networkpolicies], resourceNames: ["security.*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: carl, namespace: bank}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: security}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: carl}]
---
# nora: all policies of all tiers, and not one tier.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: no-tiers}
rules:
- apiGroups: [projectcalico.org]
  resources: [tier.networkpolicies, tier.globalnetworkpolicies, tier.stagednetworkpolicies, tier.stagedglobalnetworkpolicies]
  verbs: ["*"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nora}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: no-tiers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: nora}]
---
# olga: one policy.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: one-policy}
rules:
- {apiGroups: [projectcalico.org], resources: [tier.globalnetworkpolicies], resourceNames: [security.one], verbs: [create, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: olga}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: one-policy}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: olga}]
`

// users of the matrix, and in which tiers they may write which kinds where. The
// empty namespace is that of global policies.
var matrixUsers = []struct {
	name, group string
	may         func(kind schema.GroupVersionResource, namespace, tier string) bool
}{
	{name: "alice", may: mayApp},
	{name: "edna", group: "editors", may: mayApp},
	{name: "paul", may: func(_ schema.GroupVersionResource, _, tier string) bool {
		return tier == "platform" || tier == "default"
	}},
	{name: "sue", may: func(schema.GroupVersionResource, string, string) bool { return true }},
	{name: "vera", may: never},
	{name: "bob", may: never},
	{name: "carl", may: func(kind schema.GroupVersionResource, namespace, tier string) bool {
		return kind == networkPolicies && namespace == "bank" && tier == "security"
	}},
	{name: "nora", may: never},
	{name: "nobody", may: never},
}

func mayApp(kind schema.GroupVersionResource, namespace, tier string) bool {
	return !isGlobal(kind) && namespace == "shop" && (tier == "default" || tier == "application")
}

func never(schema.GroupVersionResource, string, string) bool { return false }
