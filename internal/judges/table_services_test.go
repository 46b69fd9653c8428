package judges

// Section 2: services. Their endpoints are those of EndpointSlices, whichever
// pods those are, and be it none.
const sqlService = `
---
{apiVersion: v1, kind: Service, metadata: {name: sql, namespace: shop}, spec: {clusterIP: 192.0.2.1, ports: [{port: 80, targetPort: 5432}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sql-4, namespace: shop, labels: {kubernetes.io/service-name: sql}}
addressType: IPv4
ports: [{name: sql, port: 5432}, {name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: [10.65.1.2]}, {addresses: [203.0.113.10], conditions: {ready: false}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sql-6, namespace: shop, labels: {kubernetes.io/service-name: sql}}
addressType: IPv6
ports: [{name: sql, port: 5432}]
endpoints: [{addresses: ["fd00:65:1::2"]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sql-other, namespace: shop, labels: {kubernetes.io/service-name: sql}}
addressType: IPv4
ports: [{name: sql, port: 6432}, {name: sig, port: 2905, protocol: SCTP}]
endpoints: [{addresses: [10.65.2.2]}, {addresses: [10.65.1.2]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sql-1, namespace: bank, labels: {kubernetes.io/service-name: sql}}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [10.65.3.1]}]
`

var serviceRows = []row{
	{
		name: "a service as the destination: its endpoints, on their ports",
		objects: sqlService + np("shop/out", `
			selector: app == 'web'
			egress: [{action: Allow, destination: {services: {name: sql}}}]`),
		flows: `
			web -> db     TCP 5432 Allow
			web -> db     UDP 5353 v4 Allow
			web -> db     UDP 5353 v6 Deny # that slice has no such port
			web -> db     TCP 6432 v4 Allow # it is in two slices
			web -> db     SCTP 2905 v4 Allow
			web -> db     TCP 5353 Deny
			web -> db     TCP 80   Deny # the service's own port
			web -> db     ping     Deny
			web -> vault  TCP 6432 v4 Allow
			web -> vault  TCP 5432 Deny
			web -> vault  TCP 6432 v6 Deny
			web -> office TCP 5432 v4 Allow # not ready, and no pod
			web -> node-2 TCP 80   Deny
			web -> job    TCP 80   Deny # a service of that name in another namespace
			api -> job    TCP 80   Allow`,
	},
	{
		name: "a service's protocol, and the rule's",
		objects: sqlService + np("shop/out", `
			selector: app == 'web'
			egress:
			- {action: Allow, protocol: UDP, destination: {services: {name: sql}}}
			- {action: Allow, notProtocol: TCP, ipVersion: 4, destination: {services: {name: sql}}}`),
		flows: `
			web -> db UDP 5353 v4  Allow
			web -> db TCP 5432     Deny
			web -> db SCTP 2905 v4 Allow
			web -> db UDP 5432     Deny`,
	},
	{
		name: "denied services, in a global policy",
		objects: sqlService + gnp("no-sql", `
			order: 1
			selector: app == 'web'
			egress:
			- {action: Deny, destination: {services: {name: sql, namespace: shop}}}
			- {action: Pass, destination: {services: {name: sql, namespace: bank}}}
			- {action: Allow}`),
		flows: `
			web -> db    TCP 5432 Deny
			web -> db    TCP 5433 Allow
			web -> vault TCP 6432 v4 Deny
			web -> vault TCP 6432 v6 Allow
			web -> job   TCP 80   Allow
			api -> db    TCP 5432 Deny`,
	},
	{
		name: "a service as the source: its endpoints' addresses, and ports of the rule",
		objects: sqlService + np("shop/in", `
			selector: app == 'web'
			ingress:
			- {action: Allow, source: {services: {name: sql}}, protocol: TCP, destination: {ports: [80]}}
			- {action: Allow, source: {services: {name: sql}, ports: [7777]}, protocol: TCP}`),
		flows: `
			db     -> web TCP 80      Allow
			db     -> web TCP 81      Deny
			db     -> web TCP 7777>81 Allow
			db     -> web UDP 80      Deny
			vault  -> web TCP 80 v4   Allow
			vault  -> web TCP 80 v6   Deny
			office -> web TCP 80 v4   Allow
			job    -> web TCP 80      Deny
			api    -> web TCP 80      Deny`,
	},
	{
		name: "what a service denotes, selectors do not",
		objects: sqlService + np("shop/out", `
			selector: app == 'web'
			egress:
			- {action: Deny, destination: {notSelector: has(app), namespaceSelector: global()}}
			- {action: Deny, destination: {selector: "!has(app)", namespaceSelector: all()}}
			- {action: Allow, destination: {services: {name: sql}}}`),
		flows: `
			web -> db     TCP 5432    Allow
			web -> office TCP 5432 v4 Deny # the set partners has no label app
			web -> vault  TCP 6432 v4 Allow`,
	},
	{
		name: "a service without endpoints, and none at all",
		objects: `
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, spec: {selector: {app: none}, ports: [{port: 80}]}}
` +
			np("shop/out", `
			selector: app == 'web'
			egress:
			- {action: Allow, destination: {services: {name: empty}}}
			- {action: Allow, destination: {services: {name: none}}}`) +
			np("shop/in", `
			selector: app == 'db'
			ingress: [{action: Deny, source: {services: {name: none}}}, {action: Allow, protocol: TCP}]`),
		flows: `
			web -> db  TCP 80 Deny
			web -> job TCP 80 Deny
			api -> db  TCP 80 Allow`,
	},
}

// Section 2: http. What the kernel sees is connections: it lets those in that
// may hold a request which the rule allows.
var httpRows = []row{
	{
		name: "an http rule matches connections by its other criteria",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: layer == 'front'}, destination: {ports: [80]}, http: {methods: [GET], paths: [{prefix: /a}]}}
			- {action: Allow, protocol: TCP, source: {namespaceSelector: team == 'blue'}, http: {methods: [POST]}}
			- {action: Allow, protocol: TCP, source: {namespaceSelector: team == 'blue'}, http: {methods: [GET]}}`),
		flows: `
			web -> db TCP 80 Allow
			web -> db TCP 81 Deny
			web -> db UDP 80 Deny
			api -> db TCP 81 Allow
			job -> db TCP 80 Deny`,
	},
	{
		name: "an http rule without a protocol, behind another policy",
		objects: np("shop/db", `
			order: 2
			selector: app == 'db'
			ingress: [{action: Allow, http: {paths: [{exact: /}]}}]`) + np("shop/first", `
			order: 1
			selector: app == 'db'
			ingress: [{action: Deny, source: {selector: app == 'web'}}]`),
		flows: `
			web -> db TCP 80 Deny
			api -> db TCP 80 Allow
			api -> db UDP 80 Allow`,
	},
}
