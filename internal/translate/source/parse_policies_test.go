package source_test

// Policies, staged ones included, and tiers.
var parsePolicies = []parseCase{
	{
		name: "NetworkPolicy of Calico",
		manifest: `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  order: 10
  selector: app == 'db'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432, "8000:8080", http]}}
  - {action: Deny, ipVersion: 4, source: {nets: [10.1.2.3/8], notNets: [10.2.0.0/16]}}
`,
		says: `Policy.Key.Kind: NetworkPolicy
Policy.Key.Namespace: shop
Policy.Key.Name: db
Policy.Tier: default
Policy.Order: 10
Policy.Selector: projectcalico.org/namespace == 'shop' && app == 'db'
Policy.Types[ingress]: true
Policy.Rules[ingress]: 2 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =TCP
Policy.Rules[][].Source.Set.Selector: projectcalico.org/namespace == 'shop' && app == 'web'
Policy.Rules[][].Source.Set.AsWritten: app == 'web' in namespace shop
Policy.Rules[][].Destination.Ports.Ranges[].First: 5432
Policy.Rules[][].Destination.Ports.Ranges[].Last: 5432
Policy.Rules[][].Destination.Ports.Ranges[].First: 8000
Policy.Rules[][].Destination.Ports.Ranges[].Last: 8080
Policy.Rules[][].Destination.Ports.Names[]: http
Policy.Rules[][].Index: 1
Policy.Rules[][].Action: Deny
Policy.Rules[][].Family: IPv4
Policy.Rules[][].Source.Nets[]: 10.0.0.0/8
Policy.Rules[][].Source.NotNets[]: 10.2.0.0/16
`,
	},
	{
		name: "NetworkPolicy of Calico: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: app = 'db'
  types: [Ingress, ingress]
  ingress:
  - action: Allow
    protocol: TPC
    source: {nets: [10.0.0.1]}
  - action: Alow
`,
		wrong: `5: spec.selector: column 5: found "=", expected "==", "!=", "in", "not in", "contains", "starts with" or "ends with"
6: spec.types[1]: "ingress": expected Ingress or Egress; did you mean "Ingress"?
9: spec.ingress[0].protocol: "TPC" is no protocol: expected TCP, UDP, ICMP, ICMPv6, SCTP or UDPLite, or a number from 1 to 255; did you mean "TCP"?
10: spec.ingress[0].source.nets[0]: "10.0.0.1" is no CIDR; did you mean "10.0.0.1/32"?
11: spec.ingress[1].action: "Alow": expected Allow, Deny, Log or Pass; did you mean "Allow"?
`,
	},
	{
		name: "GlobalNetworkPolicy for hosts",
		manifest: `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: edge}
spec:
  selector: role == 'edge'
  namespaceSelector: team == 'x'
  applyOnForward: true
  preDNAT: true
  ingress:
  - {action: Deny, protocol: ICMP, icmp: {type: 8}}
`,
		says: `Policy.Key.Kind: GlobalNetworkPolicy
Policy.Key.Name: edge
Policy.Tier: default
Policy.Order: +Inf
Policy.Selector: role == 'edge' && pcns.team == 'x'
Policy.Types[ingress]: true
Policy.Rules[ingress]: 1 elements
Policy.Rules[][].Action: Deny
Policy.Rules[][].Protocol: =ICMP
Policy.Rules[][].ICMP.Type: =8
Policy.Host.ApplyOnForward: true
Policy.Host.PreDNAT: true
`,
	},
	{
		name: "GlobalNetworkPolicy for hosts: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: edge}
spec:
  preDNAT: true
  doNotTrack: true
  egress:
  - {action: Deny}
`,
		wrong: `5: spec.preDNAT: doNotTrack and preDNAT exclude each other: make two policies of it
5: spec.preDNAT: needs applyOnForward: true, since it acts before it is known what is routed on
6: spec.doNotTrack: needs applyOnForward: true, since it acts before it is known what is routed on
7: spec.egress: preDNAT is for ingress only: remove the egress rules
`,
	},
	{
		name: "a service, domains and HTTP",
		manifest: `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: out}
spec:
  ingress:
  - {action: Allow, http: {methods: [GET], paths: [{prefix: /a/}]}}
  egress:
  - {action: Allow, destination: {services: {name: dns, namespace: kube-system}}}
  - {action: Allow, destination: {domains: ["*.B.example.", a.example], nets: [192.0.2.0/24]}}
`,
		says: `Policy.Key.Kind: GlobalNetworkPolicy
Policy.Key.Name: out
Policy.Tier: default
Policy.Order: +Inf
Policy.Selector: all()
Policy.Types[egress]: true
Policy.Types[ingress]: true
Policy.Rules[egress]: 2 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].Destination.Set.Selector: "service:ports" == 'kube-system/dns'
Policy.Rules[][].Destination.Set.DNSLearned: true
Policy.Rules[][].Destination.Set.Internal: true
Policy.Rules[][].Destination.Set.AsWritten: service kube-system/dns
Policy.Rules[][].Index: 1
Policy.Rules[][].Action: Allow
Policy.Rules[][].Destination.Set.Selector: "rule:domains" == '*.b.example,a.example,192.0.2.0/24'
Policy.Rules[][].Destination.Set.DNSLearned: true
Policy.Rules[][].Destination.Set.Internal: true
Policy.Rules[][].Destination.Set.AsWritten: domains *.b.example, a.example or 192.0.2.0/24
Policy.Rules[ingress]: 1 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].HTTP.Methods[]: GET
Policy.Rules[][].HTTP.Paths[].Prefix: /a
RuleSets[].Key.Kind: Domains
RuleSets[].Key.Name: *.b.example,a.example,192.0.2.0/24
RuleSets[].Labels[].Key: rule:domains
RuleSets[].Labels[].Value: *.b.example,a.example,192.0.2.0/24
RuleSets[].Nets[]: 192.0.2.0/24
RuleSets[].Domains[]: *.b.example
RuleSets[].Domains[]: a.example
RuleSets[].Internal: true
`,
	},
	{
		name:     "Tier",
		manifest: `{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}, spec: {order: 5, defaultAction: Pass}}`,
		says: `Tier.Name: security
Tier.Order: 5
Tier.DefaultAction: Pass
`,
	},
	{
		name:     "Tier: what is wrong",
		manifest: `{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: se.curity}, spec: {defaultAction: Allow}}`,
		wrong: `1: metadata.name: "se.curity" is no valid name of a tier: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
1: spec.defaultAction: "Allow": expected Deny or Pass
`,
	},
	{
		name: "NetworkPolicy of Kubernetes",
		manifest: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: web}}
      namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [x, y]}]}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports: [{port: 5432}, {protocol: UDP, port: 53, endPort: 60}]
`,
		says: `Policy.Key.Kind: KubernetesNetworkPolicy
Policy.Key.Namespace: shop
Policy.Key.Name: db
Policy.Tier: default
Policy.Order: 1000
Policy.Selector: projectcalico.org/namespace == 'shop' && app == 'db' && projectcalico.org/orchestrator == 'k8s'
Policy.Types[ingress]: true
Policy.Rules[ingress]: 4 elements
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =TCP
Policy.Rules[][].Source.Set.Selector: pcns.team in {'x', 'y'} && app == 'web' && projectcalico.org/orchestrator == 'k8s'
Policy.Rules[][].Source.Set.EndpointsOnly: true
Policy.Rules[][].Source.Set.AsWritten: pods with app=web in namespaces with team in (x,y)
Policy.Rules[][].Destination.Ports.Ranges[].First: 5432
Policy.Rules[][].Destination.Ports.Ranges[].Last: 5432
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =UDP
Policy.Rules[][].Source.Set.Selector: pcns.team in {'x', 'y'} && app == 'web' && projectcalico.org/orchestrator == 'k8s'
Policy.Rules[][].Source.Set.EndpointsOnly: true
Policy.Rules[][].Source.Set.AsWritten: pods with app=web in namespaces with team in (x,y)
Policy.Rules[][].Destination.Ports.Ranges[].First: 53
Policy.Rules[][].Destination.Ports.Ranges[].Last: 60
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =TCP
Policy.Rules[][].Source.Nets[]: 10.0.0.0/8
Policy.Rules[][].Source.NotNets[]: 10.1.0.0/16
Policy.Rules[][].Destination.Ports.Ranges[].First: 5432
Policy.Rules[][].Destination.Ports.Ranges[].Last: 5432
Policy.Rules[][].Action: Allow
Policy.Rules[][].Protocol: =UDP
Policy.Rules[][].Source.Nets[]: 10.0.0.0/8
Policy.Rules[][].Source.NotNets[]: 10.1.0.0/16
Policy.Rules[][].Destination.Ports.Ranges[].First: 53
Policy.Rules[][].Destination.Ports.Ranges[].Last: 60
`,
	},
	{
		name: "NetworkPolicy of Kubernetes: what is wrong",
		manifest: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Both]
  ingress:
  - from:
    - {}
    - ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}
    ports: [{port: 60, endPort: 53}]
`,
		wrong: `6: spec.policyTypes[0]: "Both": expected Ingress or Egress
9: spec.ingress[0].from[0]: is empty: expected a podSelector, a namespaceSelector, both or an ipBlock
10: spec.ingress[0].from[1].ipBlock.except[0]: 11.0.0.0/16 is no part of 10.0.0.0/8: expected a smaller block inside it
11: spec.ingress[0].ports[0].endPort: 53 is less than port 60: the range ends before it begins
`,
	},
	{
		name: "StagedNetworkPolicy",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: db, namespace: shop}
spec: {selector: app == 'db', types: [Ingress]}
`,
		says: `Staged.Key.Kind: StagedNetworkPolicy
Staged.Key.Namespace: shop
Staged.Key.Name: db
Staged.Action: Set
Staged.Policy.Key.Kind: NetworkPolicy
Staged.Policy.Key.Namespace: shop
Staged.Policy.Key.Name: db
Staged.Policy.Tier: default
Staged.Policy.Order: +Inf
Staged.Policy.Selector: projectcalico.org/namespace == 'shop' && app == 'db'
Staged.Policy.Types[ingress]: true
`,
	},
	{
		name: "StagedNetworkPolicy: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: db, namespace: shop}
spec: {stagedAction: Delete, selector: app == 'db'}
`,
		wrong: `4: spec.selector: has no effect beside stagedAction: Delete, by which the policy is gone: remove it
`,
	},
	{
		name: "StagedGlobalNetworkPolicy",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: all}
spec: {stagedAction: Delete}
`,
		says: `Staged.Key.Kind: StagedGlobalNetworkPolicy
Staged.Key.Name: all
Staged.Action: Delete
Staged.Policy.Key.Kind: GlobalNetworkPolicy
Staged.Policy.Key.Name: all
Staged.Policy.Tier: default
Staged.Policy.Order: +Inf
Staged.Policy.Selector: all()
Staged.Policy.Types[ingress]: true
`,
	},
	{
		name: "StagedGlobalNetworkPolicy: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: all}
spec: {stagedAction: set}
`,
		wrong: `4: spec.stagedAction: "set": expected Set, Delete, Learn or Ignore; did you mean "Set"?
`,
	},
	{
		name: "StagedKubernetesNetworkPolicy",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: all, namespace: shop}
spec: {stagedAction: Learn, podSelector: {}, policyTypes: [Egress]}
`,
		says: `Staged.Key.Kind: StagedKubernetesNetworkPolicy
Staged.Key.Namespace: shop
Staged.Key.Name: all
Staged.Action: Learn
Staged.Policy.Key.Kind: KubernetesNetworkPolicy
Staged.Policy.Key.Namespace: shop
Staged.Policy.Key.Name: all
Staged.Policy.Tier: default
Staged.Policy.Order: 1000
Staged.Policy.Selector: projectcalico.org/namespace == 'shop' && projectcalico.org/orchestrator == 'k8s'
Staged.Policy.Types[egress]: true
`,
	},
	{
		name: "StagedKubernetesNetworkPolicy: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: all, namespace: shop}
spec: {podSelector: {matchLabels: {"a b": c}}}
`,
		wrong: `4: spec.podSelector.matchLabels.a b: "a b" is no valid label: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63
`,
	},
}
