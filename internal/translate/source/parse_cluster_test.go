package source_test

// Policies of policy.networking.k8s.io, and of Cilium.
var parseCluster = []parseCase{
	{
		name: "ClusterNetworkPolicy",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: guard}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {matchLabels: {team: x}}}
  ingress:
  - {action: Deny, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}
  egress:
  - {action: Accept, to: [{nodes: {matchLabels: {zone: a}}}, {domainNames: [a.example]}, {networks: [192.0.2.0/24]}]}
`,
		says: `Policy.Key.Kind: ClusterNetworkPolicy
Policy.Key.Name: guard
Policy.Tier: kube-admin
Policy.Order: 5
Policy.Selector: pcns.team == 'x' && projectcalico.org/orchestrator == 'k8s'
Policy.Types[egress]: true
Policy.Types[ingress]: true
Policy.Rules[egress]: 3 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].Destination.Set.Selector: "rule:nodes" == "zone == 'a'"
Policy.Rules[][].Destination.Set.Internal: true
Policy.Rules[][].Destination.Set.AsWritten: nodes with zone=a
Policy.Rules[][].Action: Allow
Policy.Rules[][].Destination.Set.Selector: "rule:domains" == 'a.example'
Policy.Rules[][].Destination.Set.DNSLearned: true
Policy.Rules[][].Destination.Set.Internal: true
Policy.Rules[][].Destination.Set.AsWritten: domain a.example
Policy.Rules[][].Action: Allow
Policy.Rules[][].Destination.Nets[]: 192.0.2.0/24
Policy.Rules[ingress]: 1 elements
Policy.Rules[][].Action: Deny
Policy.Rules[][].Source.Set.Selector: app == 'web' && projectcalico.org/orchestrator == 'k8s'
Policy.Rules[][].Source.Set.EndpointsOnly: true
Policy.Rules[][].Source.Set.AsWritten: pods with app=web in any namespace
RuleSets[].Key.Kind: Nodes
RuleSets[].Key.Name: zone == 'a'
RuleSets[].Labels[].Key: rule:nodes
RuleSets[].Labels[].Value: zone == 'a'
RuleSets[].Internal: true
RuleSets[].Key.Kind: Domains
RuleSets[].Key.Name: a.example
RuleSets[].Labels[].Key: rule:domains
RuleSets[].Labels[].Value: a.example
RuleSets[].Domains[]: a.example
RuleSets[].Internal: true
`,
	},
	{
		name: "ClusterNetworkPolicy: what is wrong",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: guard}
spec:
  tier: Admin
  priority: 1001
  subject: {}
  egress:
  - {action: Deny, to: [{domainNames: [a.example]}]}
  - {action: Accept, to: [{}]}
`,
		wrong: `6: spec.priority: 1001: expected a number from 0, which is asked first, to 1000
7: spec.subject: is empty: expected namespaces or pods; "namespaces: {}" is all pods
9: spec.egress[0].to[0].domainNames: is for Accept rules only: which addresses a name has is only known once it was asked for; until then it stands for everything, which is denied
10: spec.egress[1].to[0]: is empty: expected namespaces, pods, nodes, networks or domainNames; until then it accepts nothing
`,
	},
	{
		name: "AdminNetworkPolicy",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: guard}
spec:
  priority: 7
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}
  ingress:
  - {action: Pass, from: [{namespaces: {matchLabels: {team: x}}}], ports: [{portNumber: {protocol: TCP, port: 80}}]}
`,
		says: `Policy.Key.Kind: AdminNetworkPolicy
Policy.Key.Name: guard
Policy.Tier: kube-admin
Policy.Order: 7
Policy.Selector: app == 'db' && projectcalico.org/orchestrator == 'k8s'
Policy.Types[ingress]: true
Policy.Rules[ingress]: 1 elements
Policy.Rules[][].Action: Pass
Policy.Rules[][].Protocol: =TCP
Policy.Rules[][].Source.Set.Selector: pcns.team == 'x' && projectcalico.org/orchestrator == 'k8s'
Policy.Rules[][].Source.Set.EndpointsOnly: true
Policy.Rules[][].Source.Set.AsWritten: pods in namespaces with team=x
Policy.Rules[][].Destination.Ports.Ranges[].First: 80
Policy.Rules[][].Destination.Ports.Ranges[].Last: 80
`,
	},
	{
		name: "AdminNetworkPolicy: what is wrong",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: guard}
spec:
  priority: 7
  subject: {namespaces: {}}
  ingress:
  - {action: Accept, from: [{namespaces: {}}]}
`,
		wrong: `8: spec.ingress[0].action: "Accept": expected Allow, Deny or Pass
`,
	},
	{
		name: "BaselineAdminNetworkPolicy",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  egress:
  - {action: Deny, to: [{networks: [0.0.0.0/0]}]}
`,
		says: `Policy.Key.Kind: BaselineAdminNetworkPolicy
Policy.Key.Name: default
Policy.Tier: kube-baseline
Policy.Selector: projectcalico.org/orchestrator == 'k8s'
Policy.Types[egress]: true
Policy.Rules[egress]: 1 elements
Policy.Rules[][].Action: Deny
Policy.Rules[][].Destination.Nets[]: 0.0.0.0/0
`,
	},
	{
		name: "BaselineAdminNetworkPolicy: what is wrong",
		manifest: `apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: other}
spec:
  subject: {namespaces: {}}
  egress:
  - {action: Pass, to: [{networks: [0.0.0.0/0]}]}
`,
		wrong: `3: metadata.name: "other": there is only one BaselineAdminNetworkPolicy, and its name is default
7: spec.egress[0].action: "Pass": expected Allow or Deny
`,
	},
	{
		name: "CiliumNetworkPolicy",
		manifest: `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: shop}
spec: {endpointSelector: {}}
`,
	},
	{
		name: "CiliumClusterwideNetworkPolicy",
		manifest: `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: p}
spec: {endpointSelector: {}}
`,
	},
}
