package source_test

// What rules refer to, and what adds labels.
var parseSets = []parseCase{
	{
		name: "NetworkSet",
		manifest: `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: shop, labels: {kind: office}}
spec: {nets: [192.0.2.7/24, "2001:db8::1"], allowedEgressDomains: [WWW.example.com]}
`,
		says: `NetworkSet.Labels[].Key: kind
NetworkSet.Labels[].Value: office
NetworkSet.Nets[]: 192.0.2.0/24
NetworkSet.Nets[]: 2001:db8::1/128
NetworkSet.Domains[]: www.example.com
`,
	},
	{
		name: "NetworkSet: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: shop, labels: {projectcalico.org/namespace: other}}
spec: {nets: [office], allowedEgressDomains: ["a.*.example"]}
`,
		wrong: `3: metadata.labels.projectcalico.org/namespace: is set by the system: remove it
4: spec.allowedEgressDomains[0]: "a.*.example": "*" can only stand for whole parts of a name, and only at its beginning, as in "*.example.com"
4: spec.nets[0]: "office" is no CIDR: expected one such as "192.0.2.0/24" or "2001:db8::/64"
`,
	},
	{
		name: "GlobalNetworkSet",
		manifest: `apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: bad, labels: {kind: bad}}
spec: {nets: [203.0.113.0/24]}
`,
		says: `NetworkSet.Labels[].Key: kind
NetworkSet.Labels[].Value: bad
NetworkSet.Nets[]: 203.0.113.0/24
`,
	},
	{
		name: "GlobalNetworkSet: what is wrong",
		manifest: `apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: Bad}
spec: {nets: ["::ffff:10.0.0.0/104"]}
`,
		wrong: `3: metadata.name: "Bad" is no valid name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253
4: spec.nets[0]: "::ffff:10.0.0.0/104" is an IPv4 address written as IPv6: write it as IPv4
`,
	},
	{
		name: "Service",
		manifest: `apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 80, targetPort: http}, {protocol: UDP, port: 53}]}
`,
		says: `Service.Selector: map[app:db]
Service.Ports[].ServicePort.Protocol: TCP
Service.Ports[].Name: http
Service.Ports[].ServicePort.Protocol: UDP
Service.Ports[].ServicePort.Port: 53
`,
	},
	{
		name: "Service: what is wrong",
		manifest: `apiVersion: v1
kind: Service
metadata: {name: "d b", namespace: shop}
spec: {ports: [{port: 80, protocol: TPC}]}
`,
		wrong: `3: metadata.name: "d b" is no valid name of a service: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
4: spec.ports[0].protocol: "TPC" has no ports: expected TCP, UDP or SCTP; did you mean "TCP"?
`,
	},
	{
		name: "EndpointSlice",
		manifest: `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}, {protocol: UDP, port: 53}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]
`,
		says: `EndpointSlice.Service.Kind: Service
EndpointSlice.Service.Namespace: shop
EndpointSlice.Service.Name: db
EndpointSlice.Ports[].Protocol: TCP
EndpointSlice.Ports[].Port: 5432
EndpointSlice.Ports[].Protocol: UDP
EndpointSlice.Ports[].Port: 53
EndpointSlice.Addrs[]: 10.0.0.1
EndpointSlice.Addrs[]: 10.0.0.2
`,
	},
	{
		name: "EndpointSlice: what is wrong",
		manifest: `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{protocol: TPC, port: 5432}]
endpoints: [{addresses: [db.example]}]
`,
		wrong: `5: ports[0].protocol: "TPC" has no ports: expected TCP, UDP or SCTP; did you mean "TCP"?
6: endpoints[0].addresses[0]: "db.example" is no address: expected one such as "192.0.2.1" or "192.0.2.1/32"
`,
	},
	{
		name:     "Namespace",
		manifest: `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: x}}}`,
		says: `NamespaceLabels[].Key: pcns.kubernetes.io/metadata.name
NamespaceLabels[].Value: shop
NamespaceLabels[].Key: pcns.projectcalico.org/name
NamespaceLabels[].Value: shop
NamespaceLabels[].Key: pcns.team
NamespaceLabels[].Value: x
NamespaceLabels[].Key: projectcalico.org/namespace
NamespaceLabels[].Value: shop
`,
	},
	{
		name:     "Namespace: what is wrong",
		manifest: `{apiVersion: v1, kind: Namespace, metadata: {name: sh.op, labels: {"a b": x}}}`,
		wrong: `1: metadata.labels.a b: "a b" is no valid label: expected a name, or a DNS name, '/' and a name; a name has letters, digits, '-', '_' and '.', starts and ends with a letter or digit, at most 63
1: metadata.name: "sh.op" is no valid name of a namespace: expected lower case letters, digits and '-', starting and ending with a letter or digit, at most 63
`,
	},
	{
		name:     "ServiceAccount",
		manifest: `{apiVersion: v1, kind: ServiceAccount, metadata: {name: api, namespace: shop, labels: {role: api}}}`,
		says: `AccountLabels[].Key: pcsa.projectcalico.org/name
AccountLabels[].Value: api
AccountLabels[].Key: pcsa.role
AccountLabels[].Value: api
AccountLabels[].Key: projectcalico.org/serviceaccount
AccountLabels[].Value: api
`,
	},
	{
		name:     "ServiceAccount: what is wrong",
		manifest: `{apiVersion: v1, kind: ServiceAccount, metadata: {name: api, namespace: shop, labels: {role: "a b"}}}`,
		wrong: `1: metadata.labels.role: "a b" is no valid value of a label: expected letters, digits, '-', '_' and '.', starting and ending with a letter or digit, at most 63
`,
	},
	{
		name: "Node",
		manifest: `apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {zone: a}}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: Hostname, address: node-1}]}
`,
		says: `Node.Name: node-1
Node.Addrs[]: 192.0.2.1
Node.Labels[].Key: zone
Node.Labels[].Value: a
`,
	},
	{
		name: "Node: what is wrong",
		manifest: `apiVersion: v1
kind: Node
metadata: {name: node_1}
`,
		wrong: `3: metadata.name: "node_1" is no valid name: expected lower case letters, digits, '-' and '.', starting and ending with a letter or digit, at most 253
`,
	},
}
