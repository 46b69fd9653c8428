package judges

import "github.com/tierwall/tierwall/policy"

// Pods and their own node: --endpoint-to-host, applyOnForward, and pods' own policies.
var ownNodeRows = []hostRow{
	{toHost: policy.Deny, row: row{
		name:    "pods to their own host: Drop",
		objects: hep("all", "*"),
		flows: `
			web    -> node-1 TCP 80 Deny
			web    -> node-1 ping   Deny
			node-1 -> web    TCP 80 Allow
			web    -> db     TCP 80 Allow
			web    -> node-2 TCP 80 Allow`,
	}},
	{toHost: policy.Deny, row: row{
		name: "pods to their own host: Drop, without any host endpoint",
		flows: `
			web    -> node-1 TCP 80 Deny
			office -> node-1 TCP 80 Allow
			node-1 -> web    TCP 80 Allow`,
	}},
	{toHost: policy.Pass, row: row{
		name: "pods to their own host: Return leaves it to other rules of the host, whatever its endpoints say",
		objects: hep("all", "*") + gnp("host", `
			selector: role == 'host'
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [80]}}]`),
		flows: `
			web    -> node-1 TCP 80 Allow
			web    -> node-1 TCP 81 Allow
			db     -> node-1 TCP 80 Allow
			office -> node-1 TCP 80 Deny`,
	}},
	{row: row{
		name: "applyOnForward at all interfaces: the node's own pods, where packets come in and where they leave",
		objects: hep("all", "*") + gnp("forward", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress, Egress]
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Deny, protocol: TCP, source: {selector: app == 'db'}, destination: {ports: [83]}}
			- {action: Allow}
			egress:
			- {action: Deny, protocol: TCP, destination: {ports: [82]}}
			- {action: Deny, protocol: TCP, destination: {selector: app == 'web', ports: [84]}}
			- {action: Allow}`),
		flows: `
			web    -> db     TCP 80 Allow
			web    -> db     TCP 81 Deny
			web    -> db     TCP 82 Deny
			web    -> db     TCP 83 Allow
			db     -> web    TCP 83 Deny
			db     -> web    TCP 84 Deny
			web    -> db     TCP 84 Allow
			web    -> world  TCP 81 Deny
			web    -> world  TCP 82 Deny
			office -> web    TCP 81 Deny
			office -> web    TCP 82 Deny
			office -> web    TCP 83 Allow
			office -> web    TCP 84 Deny
			web    -> node-1 TCP 81 Allow # it is not routed
			node-1 -> web    TCP 82 Allow`,
	}},
	{row: row{
		name: "a host endpoint of one interface is not asked about pods that come in by others",
		objects: hep("office", "l-office") + gnp("forward", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress, Egress]
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}, {action: Allow}]
			egress: [{action: Deny, protocol: TCP, destination: {ports: [82]}}, {action: Allow}]`),
		flows: `
			web    -> db     TCP 81 Allow
			web    -> db     TCP 82 Allow
			web    -> office TCP 81 Allow
			web    -> office TCP 82 Deny
			office -> web    TCP 81 Deny
			office -> web    TCP 82 Allow`,
	}},
	{row: row{
		name: "a pod and its own node: Kubernetes policies alone deny nothing",
		objects: knp("shop/web", `
			podSelector: {matchLabels: {app: web}}
			policyTypes: [Ingress, Egress]
			egress: [{ports: [{port: 443}]}]`),
		flows: `
			web    -> node-1 TCP 80  Allow
			web    -> node-1 TCP 443 Allow
			web    -> office TCP 80  Deny
			web    -> node-2 TCP 80  Deny
			web    -> office TCP 443 Allow
			node-1 -> web    TCP 80  Allow
			office -> web    TCP 80  Deny`,
	}},
	{row: row{
		name: "a pod and its own node: its egress policy, as to any other node",
		objects: gnp("nodes", `
			selector: app == 'web'
			types: [Egress]
			egress:
			- {action: Deny, protocol: TCP, destination: {ports: [10250, 6443]}}
			- {action: Allow, protocol: TCP}`),
		flows: `
			web    -> node-1 TCP 10250,6443 Deny
			web    -> node-2 TCP 10250,6443 Deny
			web    -> node-1 TCP 80 Allow
			web    -> node-1 UDP 53 Deny # the end of the tier
			web    -> node-1 ping   Deny
			db     -> node-1 TCP 10250 Allow
			node-1 -> web    UDP 53 Allow`,
	}},
	{row: row{
		name: "a pod and its own node: with a policy that decides there the tier's end acts, and Kubernetes' own may allow before",
		objects: gnp("global-deny-all", `
			order: 2000
			types: [Ingress, Egress]
			egress:
			- {action: Allow, protocol: UDP, destination: {nets: [0.0.0.0/0], ports: [53]}}
			ingress:
			- {action: Allow, protocol: ICMP}`) + knp("shop/web", `
			podSelector: {matchLabels: {app: web}}
			policyTypes: [Egress]
			egress: [{ports: [{port: 443}]}]`),
		flows: `
			web    -> node-1 TCP 443 Allow
			db     -> node-1 TCP 443 Deny
			web    -> node-1 TCP 80  Deny
			web    -> node-1 UDP 53 v4 Allow
			web    -> node-1 UDP 53 v6 Deny
			db     -> node-1 UDP 53 v4 Allow
			node-1 -> web    TCP 80  Allow`,
	}},
	{row: row{
		name: "a pod and its own node: the tier that only Kubernetes policies are of passes, and later tiers decide",
		objects: tier("last", "{order: 2000000}") + knp("shop/web", `
			podSelector: {matchLabels: {app: web}}
			policyTypes: [Egress]
			egress: [{ports: [{port: 443}]}]`) + gnp("last.deny", `
			tier: last
			selector: app == 'web'
			types: [Egress]
			egress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`),
		flows: `
			web -> node-1 TCP 443 Allow
			web -> node-1 TCP 80  Allow
			web -> node-1 TCP 81  Deny
			web -> office TCP 80  Deny
			web -> office TCP 443 Allow`,
	}},
	{toHost: policy.Deny, row: row{
		name: "a pod and its own node: its policy first, then --endpoint-to-host",
		objects: gnp("nodes", `
			selector: app == 'web'
			types: [Egress]
			egress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`),
		flows: `
			web -> node-1 TCP 80 Deny
			web -> node-1 TCP 81 Deny
			web -> node-2 TCP 80 Allow
			db  -> node-1 TCP 80 Deny`,
	}},
}
