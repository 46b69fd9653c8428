package judges

// Section 5: policies of policy.networking.k8s.io, of both generations.

// cnp makes a ClusterNetworkPolicy.
func cnp(name, spec string) string {
	return object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, spec)
}

// anp makes an AdminNetworkPolicy, or the baseline one if it has no priority.
func anp(name, spec string) string {
	return object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", name, spec)
}

func banp(spec string) string {
	return object("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "default", spec)
}

// labelledNode gives the other node a label.
const labelledNode = `---
apiVersion: v1
kind: Node
metadata: {name: node-2, labels: {role: gateway}}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: InternalIP, address: "fd00:a::2"}]}
`

var clusterRows = []row{
	{
		name: "Cluster: Admin before, Baseline after all others",
		objects: cnp("admin", `
			tier: Admin
			priority: 10
			subject: {namespaces: {matchLabels: {team: red}}}
			ingress:
			- {action: Accept, from: [{namespaces: {matchLabels: {team: blue}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
			- {action: Deny, from: [{namespaces: {matchLabels: {team: blue}}}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 82}}}}]}
			- {action: Pass, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 84}}}]}
			- {action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 84}}}, {tcp: {destinationPort: {number: 85}}}]}`) +
			knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			ingress: [{ports: [{port: 82}, {port: 83}, {port: 84}, {port: 85}]}]`) +
			cnp("base", `
			tier: Baseline
			priority: 0
			subject: {namespaces: {}}
			ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {tcp: {destinationPort: {number: 83}}}, {tcp: {destinationPort: {number: 84}}}]}]`),
		flows: `
			api   -> db    TCP 80    Allow # though the namespace's own policy does not
			api   -> db    TCP 81,82 Deny  # though that allows 82
			api   -> db    TCP 83,84 Allow # the namespace's policy decides before the baseline
			api   -> db    TCP 85    Deny
			api   -> web   TCP 83,84 Deny  # no policy of the namespace: the baseline
			api   -> web   TCP 82,85 Deny
			api   -> web   UDP 83    Allow
			world -> web   TCP 80,83 Allow # no pod
			world -> db    TCP 80    Deny
			web   -> vault TCP 80    Deny
			web   -> vault TCP 81    Allow`,
	},
	{
		name: "Cluster: the lower priority is asked first",
		objects: cnp("b", `
			tier: Admin
			priority: 5
			subject: {namespaces: {}}
			egress: [{action: Deny, to: [{networks: [198.51.100.0/24, "fd00:c::/32"]}]}]`) +
			cnp("a", `
			tier: Admin
			priority: 6
			subject: {namespaces: {}}
			egress: [{action: Accept, to: [{networks: [198.51.100.0/24, "fd00:c::/32"]}]}]`) +
			cnp("c", `
			tier: Admin
			priority: 0
			subject: {pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchExpressions: [{key: layer, operator: In, values: [front]}]}}}
			egress: [{action: Accept, to: [{networks: [198.51.100.20/32, "fd00:c:1::20/128"]}]}]`),
		flows: `
			web -> world    TCP 80 Allow
			web -> stranger TCP 80 Deny
			db  -> world    TCP 80 Deny
			web -> office   ping   Allow
			vm  -> world    TCP 80 Deny # no pod, and without profile`,
	},
	{
		name: "Cluster: networks mean pods as well, pods and namespaces nothing else",
		objects: cnp("p", `
			tier: Admin
			priority: 1
			subject: {pods: {podSelector: {matchLabels: {app: web}}}}
			egress:
			- {action: Deny, to: [{networks: [10.65.1.2/32, "fd00:65:1::2/128"]}], protocols: [{udp: {destinationPort: {number: 53}}}]}
			- {action: Deny, to: [{pods: {namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}}]}
			- {action: Deny, to: [{namespaces: {matchExpressions: [{key: env, operator: DoesNotExist}]}}]}`),
		flows: `
			web -> db    UDP 53 Deny
			web -> db    TCP 53 Allow
			web -> vault TCP 53 Deny
			web -> api   TCP 53 Allow
			web -> job   ping   Deny  # of a namespace without the label
			web -> world TCP 53 Allow # of none
			web -> office TCP 53 Allow
			api -> job   TCP 53 Deny`,
	},
	{
		name: "Cluster: named ports, of any protocol",
		objects: cnp("p", `
			tier: Admin
			priority: 1
			subject: {namespaces: {matchLabels: {env: prod}}}
			ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: sql}, {destinationNamedPort: sig}, {destinationNamedPort: dns}]}]`),
		flows: `
			web -> db    TCP 5432 Deny
			web -> db    TCP 6432 Allow
			web -> vault TCP 6432 Deny
			web -> vault TCP 5432 Allow
			web -> db    UDP 5353 Deny
			web -> db    TCP 5353 Allow
			web -> db    SCTP 2905 Deny
			web -> db    TCP 2905 Allow
			web -> api   TCP 5432 Allow`,
	},
	{
		name: "Cluster: nodes, by their labels",
		objects: labelledNode + cnp("p", `
			tier: Admin
			priority: 1
			subject: {namespaces: {}}
			egress:
			- {action: Deny, to: [{nodes: {matchLabels: {role: gateway}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
			- {action: Deny, to: [{nodes: {matchExpressions: [{key: role, operator: DoesNotExist}]}}]}`),
		flows: `
			web -> node-2 TCP 80 Deny
			web -> node-2 TCP 81 Allow
			web -> node-1 TCP 80 Deny # its own, as any other
			web -> world  TCP 80 Allow
			web -> db     TCP 80 Allow`,
	},
	{
		name: "Cluster: what stands for nodes is no network set",
		objects: labelledNode + cnp("p", `
			tier: Admin
			priority: 1
			subject: {namespaces: {}}
			egress: [{action: Pass, to: [{nodes: {}}]}]`) +
			gnp("sets", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {selector: all()}}, {action: Allow, destination: {selector: "nothing != 'x'"}}]
			types: [Egress]`),
		flows: `
			web -> node-2 TCP 80 Deny
			web -> world  TCP 80 Allow
			web -> db     TCP 80 Allow`,
	},
	{
		name: "Cluster: a peer that cannot be used fails closed",
		objects: cnp("accept", `
			tier: Admin
			priority: 1
			subject: {pods: {podSelector: {matchLabels: {app: web}}}}
			egress:
			- {action: Accept, to: [{}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
			- {action: Deny, to: [{}], protocols: [{tcp: {destinationPort: {number: 81}}}]}
			- {action: Pass, to: [{namespaces: {matchLabels: {team: red}}}, {}], protocols: [{tcp: {destinationPort: {number: 82}}}]}
			- {action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}`),
		flows: `
			web -> db     TCP 80 Deny  # not accepted
			web -> world  TCP 80 Allow
			web -> db     TCP 81 Deny
			web -> world  TCP 81 Deny
			web -> node-2 TCP 81 Deny
			web -> db     TCP 82 Allow # passed: that peer is understood
			web -> vault  TCP 82 Deny
			web -> world  TCP 82 Deny
			web -> world  UDP 81 Allow`,
	},
	{
		name: "Cluster: the generation before",
		objects: anp("admin", `
			priority: 50
			subject: {namespaces: {matchLabels: {team: red}}}
			ingress: [{action: Allow, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}], ports: [{portNumber: {protocol: TCP, port: 80}}, {namedPort: sql}]}]
			egress: [{action: Deny, to: [{networks: [198.51.100.0/24, "fd00:c::/32"]}], ports: [{portRange: {protocol: UDP, start: 50, end: 60}}]}]`) +
			banp(`
			subject: {namespaces: {}}
			ingress: [{action: Deny, from: [{namespaces: {}}]}]`),
		flows: `
			api   -> db    TCP 80,5432 Allow
			api   -> db    TCP 81      Deny
			vault -> db    TCP 80      Deny
			web   -> api   TCP 80      Deny
			world -> db    TCP 80      Allow
			web   -> world UDP 50,60   Deny
			web   -> world UDP 61      Allow
			web   -> world TCP 55      Allow`,
	},
}
