package judges

import "strings"

// profile makes a Profile.
func profile(name, spec string) string {
	return object("projectcalico.org/v3", "Profile", name, spec)
}

// vmWith makes the virtual machine of the cluster again, with profiles.
func vmWith(profiles string) string {
	return labelled("app: vm", object("projectcalico.org/v3", "WorkloadEndpoint", "bank/vm", `
		node: node-1
		workload: vm
		ipNetworks: [10.65.9.1, "fd00:65:9::1"]
		ports: [{name: http, protocol: TCP, port: 7070}]
		profiles: `+profiles))
}

// hepWith makes a HostEndpoint of all interfaces of node-1, with profiles.
func hepWith(profiles string) string {
	return strings.TrimRight(hep("all", "*"), "\n") + "\n  profiles: " + profiles + "\n"
}

// What profiles decide after the last tier.
var profileRows = []row{
	{
		name: "the profile of one's own namespace, and the one that allows everything",
		objects: vmWith("[kns.bank, none]") + profile("kns.bank", `
			ingress: [{action: Deny}]
			egress: [{action: Deny}]`),
		flows: `
			web -> vm TCP 80   Allow # what an object of its name says has no effect
			vm  -> web TCP 80  Allow
			web -> vault TCP 80 Allow`,
	},
	{
		name: "that of another namespace allows everything, and gives its labels",
		objects: vmWith("[kns.dmz]") + labelled("zone: dmz", object("v1", "Namespace", "dmz", "")) + np("shop/web", `
			selector: app == 'web'
			types: [Ingress]
			ingress:
			- {action: Allow, protocol: TCP, source: {namespaceSelector: zone == 'dmz'}}
			- {action: Allow, protocol: UDP, source: {namespaceSelector: team == 'blue'}}`),
		flows: `
			web -> vm  TCP 80 Allow
			vm  -> db  TCP 80 Allow
			vm  -> web TCP 80 Allow
			vm  -> web UDP 80 Allow # it is in its own namespace all the same
			api -> web TCP 80 Deny`,
	},
	{
		name:    "that of a namespace that does not exist denies",
		objects: vmWith("[kns.dmz, projectcalico-default-allow]"),
		flows: `
			web -> vm  TCP 80 Deny
			vm  -> web TCP 80 Deny`,
	},
	{
		name:    "a profile that does not exist denies, and those behind it are not asked",
		objects: vmWith("[none, projectcalico-default-allow]"),
		flows: `
			web -> vm  TCP 80 Deny
			vm  -> web UDP 53 Deny`,
	},
	{
		name: "a profile with rules: both directions, and what no rule decides is denied",
		objects: vmWith("[services]") + profile("services", `
			ingress:
			- {action: Deny, source: {selector: app == 'db'}}
			- {action: Allow, protocol: TCP, destination: {ports: [http, 80]}}
			- {action: Log}
			egress: [{action: Allow, protocol: UDP, destination: {nets: [10.65.1.1/32]}}]`),
		flows: `
			web   -> vm    TCP 80,7070 Allow
			db    -> vm    TCP 80      Deny
			vault -> vm    TCP 80      Deny
			web   -> vm    TCP 81      Deny
			web   -> vm    UDP 80      Deny
			vm    -> web   UDP 53  v4  Allow
			vm    -> web   UDP 53  v6  Deny
			vm    -> db    UDP 53      Deny
			world -> vm    TCP 80      Allow`,
	},
	{
		name: "several profiles, in the order in which the endpoint names them",
		objects: vmWith("[first, second, empty]") + profile("empty", `
			labelsToApply: {a: b}`) +
			profile("second", `
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: ["80:83"]}}
			- {action: Deny, protocol: UDP}`) +
			profile("first", `
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass, protocol: TCP, destination: {ports: [81]}}
			- {action: Deny, protocol: TCP, destination: {ports: ["81:82"]}}`),
		flows: `
			web -> vm TCP 80 Deny
			web -> vm TCP 81 Allow # passed to the next profile
			web -> vm TCP 82 Deny
			web -> vm TCP 83 Allow # no rule of the first
			web -> vm TCP 84 Deny
			web -> vm ping   Deny`,
	},
	{
		name: "the same in the other order",
		objects: vmWith("[second, first, projectcalico-default-allow]") + profile("second", `
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: ["80:83"]}}
			- {action: Deny, protocol: UDP}`) +
			profile("first", `
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}`),
		flows: `
			web -> vm  TCP 80,82 Allow
			web -> vm  TCP 84    Allow
			web -> vm  UDP 53    Deny
			vm  -> web UDP 53    Allow # no rule of a profile is of this direction`,
	},
	{
		name: "policies come before profiles",
		objects: vmWith("[services]") + profile("services", `
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow}]`) +
			gnp("vm", `
			selector: app == 'vm'
			types: [Ingress]
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass, destination: {}}`),
		flows: `
			web -> vm  TCP 80 Deny
			web -> vm  TCP 81 Allow # passed to the profile
			web -> vm  UDP 81 Deny
			vm  -> web TCP 80 Allow`,
	},
	{
		name: "labels that a profile gives: policies select by them, and rules",
		objects: vmWith("[first, second]") + profile("first", `
			labelsToApply: {role: first, app: web}
			ingress: [{action: Allow}]
			egress: [{action: Allow}]`) +
			profile("second", `
			labelsToApply: {role: second, level: low}`) +
			gnp("first", `
			selector: role == 'first' && level == 'low' && app == 'vm'
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP}]`) +
			np("shop/web", `
			selector: app == 'web'
			ingress: [{action: Deny, source: {selector: role == 'first', namespaceSelector: all()}}, {action: Allow}]`),
		flows: `
			web -> vm  TCP 80 Allow
			web -> vm  UDP 80 Deny
			vm  -> web TCP 80 Deny
			db  -> web TCP 80 Allow
			vm  -> db  TCP 80 Allow`,
	},
}

// The same at host endpoints: profiles decide what is for the host itself.
var hostProfileRows = []hostRow{
	{row: row{
		name:    "a host endpoint with the profile that allows everything",
		objects: hepWith("[projectcalico-default-allow]"),
		flows: `
			office -> node-1 TCP 80 Allow
			node-1 -> office UDP 99 Allow`,
	}},
	{row: row{
		name:    "a host endpoint with the profile of a namespace",
		objects: hepWith("[kns.shop]"),
		flows: `
			office -> node-1 TCP 80 Allow
			node-1 -> office UDP 99 Allow`,
	}},
	{row: row{
		name:    "a profile that does not exist denies",
		objects: hepWith("[none, projectcalico-default-allow]"),
		flows: `
			office -> node-1 TCP 22 Allow # a failsafe
			office -> node-1 TCP 80 Deny
			node-1 -> office UDP 99 Deny
			office -> web    TCP 80 Allow`,
	}},
	{row: row{
		name: "several profiles with rules",
		objects: hepWith("[first, second]") + profile("first", `
			ingress:
			- {action: Pass, protocol: TCP, destination: {ports: [82]}}
			- {action: Deny, protocol: TCP, destination: {ports: ["80:82"]}, source: {nets: [203.0.113.0/24]}}
			egress: [{action: Allow, protocol: UDP}]`) +
			profile("second", `
			ingress: [{action: Allow, protocol: TCP}]`),
		flows: `
			office -> node-1 TCP 80 v4 Deny
			office -> node-1 TCP 80 v6 Allow
			office -> node-1 TCP 82    Allow
			world  -> node-1 TCP 80    Allow
			world  -> node-1 UDP 80    Deny
			node-1 -> office UDP 99    Allow
			node-1 -> office TCP 99    Deny
			office -> web    TCP 80    Allow # routed: no profile is asked`,
	}},
	{row: row{
		name: "labels that a profile gives select policies of the host",
		objects: hepWith("[edge]") + profile("edge", `
			labelsToApply: {place: edge}`) +
			gnp("edge", `
			selector: place == 'edge'
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`),
		flows: `
			office -> node-1 TCP 80 Allow
			office -> node-1 TCP 81 Deny
			node-1 -> office TCP 80 Deny`,
	}},
}
