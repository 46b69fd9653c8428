package judges

import (
	"strings"

	"github.com/tierwall/tierwall/policy"
)

// labelled returns a manifest labels.
func labelled(label, manifest string) string {
	return strings.Replace(manifest, "metadata: {", "metadata: {labels: {"+label+"}, ", 1)
}

// Section 7: host endpoints. The office, the world and node-2 are outside of node-1.
var hostRows = []hostRow{
	{row: row{
		name: "without a host endpoint nothing of the host is governed",
		objects: gnp("deny", `
			selector: role == 'host'
			types: [Ingress, Egress]`),
		flows: `
			office -> node-1 TCP 80 Allow
			node-1 -> office UDP 99 Allow
			web    -> node-1 TCP 80 Allow`,
	}},
	{row: row{
		name:    "default deny once there is one, failsafes aside",
		objects: hep("all", "*"),
		flows: `
			office -> node-1 TCP 22,179,6443 Allow # one cannot lock oneself out
			office -> node-1 UDP 68          Allow
			office -> node-1 TCP 80          Deny
			office -> node-1 ping            Deny
			office -> node-1 UDP 22          Deny
			node-1 -> office UDP 53,67       Allow
			node-1 -> office TCP 6443,2379   Allow
			node-1 -> office TCP 22          Deny
			node-1 -> node-2 ping            Deny
			node-1 -> web    TCP 80          Allow # its own pods
			web    -> node-1 TCP 80          Allow
			office -> web    TCP 80          Allow # routed: no policy with applyOnForward
			web    -> office TCP 80          Allow
			office -> world  TCP 80          Allow`,
	}},
	{row: row{
		name: "policy of a host endpoint, both directions",
		objects: hep("all", "*") + gnp("host", `
			selector: role == 'host'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: role == 'partner', namespaceSelector: all()}, destination: {ports: [80]}}
			- {action: Allow, protocol: ICMP}
			- {action: Deny, protocol: TCP, destination: {ports: [22]}}
			egress:
			- {action: Allow, protocol: UDP, destination: {nets: [198.51.100.0/24], ports: ["7000:7010"]}}`),
		flows: `
			office -> node-1 TCP 80 Allow
			world  -> node-1 TCP 80 Deny
			office -> node-1 TCP 81 Deny
			office -> node-1 TCP 22 Allow # a failsafe stands above policy
			office -> node-1 ping v4 Allow
			office -> node-1 ping v6 Deny
			node-1 -> world    UDP 7005 v4 Allow
			node-1 -> world    UDP 7005 v6 Deny
			node-1 -> world    UDP 7011 Deny
			node-1 -> stranger UDP 7005 v4 Allow
			node-1 -> office   UDP 7005 Deny
			node-1 -> office   UDP 53 Allow
			office -> web      TCP 80 Allow`,
	}},
	{row: row{
		name: "one interface, and all others",
		objects: hep("all", "*") + hep("office", "l-office") + gnp("all", `
			selector: has(role)
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`) +
			labelled("role: host, side: office", object("projectcalico.org/v3", "HostEndpoint", "world", "node: node-1\ninterfaceName: l-world")) +
			gnp("world", `
			selector: side == 'office'
			order: 1
			types: [Ingress, Egress]
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}, {action: Allow, protocol: TCP}]
			egress: [{action: Allow}]`),
		flows: `
			office   -> node-1 TCP 80 Allow
			office   -> node-1 TCP 81 Deny
			world    -> node-1 TCP 80 Deny
			world    -> node-1 TCP 81 Allow
			stranger -> node-1 TCP 80 Allow # by that of all interfaces
			node-1   -> world  TCP 80 Allow
			node-1   -> office TCP 80 Deny`,
	}},
	{row: row{
		name: "only one interface is governed",
		objects: hep("office", "l-office") + gnp("deny", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`),
		flows: `
			office -> node-1 TCP 80 Allow
			office -> node-1 TCP 81 Deny
			world  -> node-1 TCP 81 Allow
			node-1 -> world  TCP 81 Allow
			node-1 -> office TCP 81 Deny # nothing allows its egress
			office -> web    TCP 80 Allow
			office -> web    TCP 81 Deny
			world  -> web    TCP 81 Allow
			web    -> office TCP 81 Allow`,
	}},
	{row: row{
		name: "applyOnForward: what is routed, and pods' own policy as well",
		objects: hep("all", "*") + gnp("forward", `
			selector: all()
			applyOnForward: true
			order: 1
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {selector: app == 'web', ports: [80, 81]}}
			- {action: Deny, protocol: TCP, destination: {ports: [82]}}
			egress:
			- {action: Deny, protocol: UDP, source: {selector: app == 'db'}}
			- {action: Allow}`) + np("shop/web", `
			selector: app == 'web'
			order: 0
			types: [Ingress]
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Pass}`),
		flows: `
			office -> web TCP 80 Allow
			office -> web TCP 81 Deny # the pod says so
			office -> web TCP 82 Deny
			office -> db  TCP 80 Deny # the end of the tier, at the host
			office -> db  TCP 22 Deny # failsafes are the host's own
			db  -> office UDP 9  Deny
			web -> office UDP 9  Deny # where it comes in: a pod's interface is one of all
			web -> office TCP 80 Deny
			web -> db     TCP 80 Deny
			node-1 -> office TCP 80 Allow
			office -> node-1 TCP 80 Deny`,
	}},
	{row: row{
		name: "a selector denotes host endpoints by their addresses",
		objects: hep("all", "*") + gnp("web", `
			selector: app == 'web'
			types: [Egress]
			egress: [{action: Deny, destination: {selector: role == 'far'}}, {action: Allow}]`) +
			labelled("role: far", object("projectcalico.org/v3", "HostEndpoint", "far", "node: node-2\ninterfaceName: '*'\nexpectedIPs: [192.0.2.2, 'fd00:a::2']")) + gnp("far", `
			selector: role == 'far'
			types: [Ingress, Egress]
			ingress: [{action: Allow}]
			egress: [{action: Allow}]`) + gnp("host", `
			selector: role == 'host'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: role == 'far'}}]
			egress: [{action: Allow, protocol: TCP, destination: {selector: role == 'far', ports: [http]}}]`),
		flows: `
			web    -> node-2 TCP 80 Deny
			web    -> office TCP 80 Allow
			node-2 -> node-1 TCP 80 Allow
			office -> node-1 TCP 80 Deny`,
	}},
	{row: row{
		name: "a tier that passes on, and nothing behind it: routed packets go on, the host's own do not",
		objects: tier("edge", "{order: 1, defaultAction: Pass}") + hep("all", "*") + gnp("edge.pass", `
			tier: edge
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress]
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}]`),
		flows: `
			office -> web    TCP 80 Allow
			office -> web    TCP 81 Deny
			office -> node-1 TCP 80 Deny`,
	}},
	{row: row{
		name: "transit: neither end is on the host, which routes it on",
		objects: hep("all", "*") + gnp("forward", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: role == 'partner', namespaceSelector: all()}, destination: {ports: [80, 81]}}
			- {action: Allow, protocol: UDP}
			egress:
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Deny, protocol: UDP, destination: {nets: [198.51.100.99/32]}}
			- {action: Deny, protocol: UDP, destination: {nets: ["fd00:c:9::99/128"]}}
			- {action: Allow}`),
		flows: `
			office   -> world    TCP 80 Allow
			office   -> world    TCP 81 Deny # as it leaves
			office   -> world    TCP 82 Deny # as it comes in
			office   -> world    TCP 22 Deny # failsafes are the host's own
			office   -> world    ping   Deny
			world    -> office   TCP 80 Deny # as it comes in: who begins it
			world    -> node-2   UDP 9  Allow
			world    -> stranger UDP 9  Deny
			stranger -> world    UDP 9  Allow
			node-2   -> office   UDP 9  Allow`,
	}},
	{row: row{
		name: "transit: by which interface it comes in, and by which it leaves",
		objects: hep("office", "l-office") +
			labelled("side: world", object("projectcalico.org/v3", "HostEndpoint", "world", "node: node-1\ninterfaceName: l-world")) + gnp("office", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, 81]}}]`) + gnp("world", `
			selector: side == 'world'
			applyOnForward: true
			types: [Egress]
			egress: [{action: Allow, protocol: TCP, destination: {ports: [80, 82]}}]`),
		flows: `
			office   -> world    TCP 80 Allow
			office   -> world    TCP 81 Deny # where it leaves
			office   -> world    TCP 82 Deny # where it comes in
			office   -> stranger TCP 81 Allow
			stranger -> world    TCP 82 Allow
			stranger -> world    TCP 81 Deny
			world    -> office   TCP 83 Allow # nothing governs that direction
			stranger -> node-2   TCP 83 Allow`,
	}},
	{row: row{
		name: "transit: before DNAT, and the rest of the host's policy skipped",
		objects: hep("all", "*") + gnp("early", `
			selector: role == 'host'
			applyOnForward: true
			preDNAT: true
			order: 1
			types: [Ingress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}}
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}`) + gnp("forward", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [81, 82]}}]`),
		flows: `
			office -> world TCP 80 Allow
			office -> world TCP 81 Deny
			office -> world TCP 82 Allow
			office -> world TCP 83 Deny`,
	}},
	{row: row{
		name: "transit: without tracking, each direction by itself",
		objects: hep("all", "*") + gnp("raw", `
			selector: role == 'host'
			applyOnForward: true
			doNotTrack: true
			order: 1
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: UDP, destination: {ports: [80]}}
			- {action: Allow, protocol: UDP, source: {ports: [80]}}
			- {action: Deny, protocol: UDP, destination: {ports: [81]}}`) + gnp("forward", `
			selector: role == 'host'
			applyOnForward: true
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: UDP, destination: {ports: [81, 82]}}]
			egress: [{action: Deny, protocol: UDP, destination: {ports: [80]}}, {action: Allow}]`),
		flows: `
			office -> world UDP 80 Allow # what leaves is not asked about either
			office -> world UDP 81 Deny
			office -> world UDP 82 Allow
			office -> world UDP 83 Deny`,
	}},
	{row: row{
		name: "what is allowed without tracking is not asked before DNAT either",
		objects: hep("all", "*") + gnp("raw", `
			selector: role == 'host'
			applyOnForward: true
			doNotTrack: true
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: UDP, destination: {ports: [80]}}]
			egress: [{action: Allow, protocol: UDP, source: {ports: [80]}}]`) + gnp("early", `
			selector: role == 'host'
			applyOnForward: true
			preDNAT: true
			types: [Ingress]
			ingress: [{action: Deny, protocol: UDP, destination: {ports: [80, 81]}}]`),
		flows: `
			office -> node-1 UDP 80 Allow
			office -> node-1 UDP 81 Deny`,
	}},
	{toHost: policy.Deny, row: row{
		name: "before DNAT the node's own pods are asked as well",
		objects: hep("all", "*") + gnp("early", `
			selector: role == 'host'
			applyOnForward: true
			preDNAT: true
			types: [Ingress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}}
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Deny, source: {selector: app == 'db'}, protocol: UDP}`),
		flows: `
			web    -> db     TCP 80 Allow
			web    -> db     TCP 81 Deny
			web    -> db     TCP 82 Allow
			web    -> world  TCP 81 Deny
			web    -> world  TCP 82 Allow
			web    -> world  UDP 9  Allow
			db     -> world  UDP 9  Deny
			web    -> node-1 TCP 80 Deny # both must let it in: --endpoint-to-host says Drop
			web    -> node-1 TCP 81 Deny
			web    -> node-1 TCP 82 Deny
			db     -> node-1 UDP 68 Deny # a failsafe, but not one of pods
			node-1 -> web    TCP 81 Allow
			office -> web    TCP 81 Deny`,
	}},
	{row: row{
		name: "before DNAT at one interface: pods come in by another",
		objects: hep("office", "l-office") + gnp("early", `
			selector: role == 'host'
			applyOnForward: true
			preDNAT: true
			types: [Ingress]
			ingress: [{action: Deny}]`),
		flows: `
			web    -> db     TCP 80 Allow
			web    -> node-1 TCP 80 Allow
			office -> web    TCP 80 Deny
			office -> node-1 TCP 22 Allow # a failsafe
			office -> node-1 TCP 23 Deny
			world  -> web    TCP 80 Allow`,
	}},
}
