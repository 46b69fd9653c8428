package judges

// Section 2 and 6: nets in rules, and network sets.
var netRows = []row{
	{
		name: "nets, of peers in the world and of pods",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {nets: [198.51.100.16/29, 10.65.2.0/24]}}]
			egress: [{action: Allow, destination: {nets: ["fd00:c:1::/64", "fd00:65:2::1/128"]}}]`),
		flows: `
			world    -> db TCP 80 v4 Allow
			stranger -> db TCP 80 v4 Deny
			api      -> db TCP 80 v4 Allow
			vault    -> db ping v4   Allow
			web      -> db TCP 80 v4 Deny
			world    -> db TCP 80 v6 Deny  # nets of one family match nothing of the other
			api      -> db TCP 80 v6 Deny
			db -> world    UDP 80 v6 Allow
			db -> stranger UDP 80 v6 Deny
			db -> api      UDP 80 v6 Allow
			db -> vault    UDP 80 v6 Deny
			db -> world    UDP 80 v4 Deny`,
	},
	{
		name: "nets of the local side: the pod's own address",
		objects: gnp("own", `
			types: [Ingress, Egress]
			ingress: [{action: Allow, destination: {nets: [10.65.1.0/31]}}, {action: Allow, destination: {nets: ["fd00:65:1::/64"]}}]
			egress: [{action: Allow, source: {nets: [10.65.3.0/24]}}, {action: Allow, source: {notNets: ["fd00:65:1::/64"]}}]`),
		flows: `
			world -> web   TCP 80    Allow
			world -> db    TCP 80 v4 Deny
			world -> db    TCP 80 v6 Allow
			world -> vault TCP 80    Deny
			job   -> world TCP 80    Allow
			vault -> world TCP 80 v4 Deny
			vault -> world TCP 80 v6 Allow
			db    -> world TCP 80    Deny`,
	},
	{
		name: "everybody of a family",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {nets: [0.0.0.0/0]}}]
			egress: [{action: Deny, destination: {nets: ["::/0"]}}, {action: Allow}]`),
		flows: `
			world -> db TCP 80 v4 Allow
			web   -> db TCP 80 v4 Allow
			web   -> db TCP 80 v6 Deny
			db -> web   TCP 80 v4 Allow
			db -> web   TCP 80 v6 Deny
			db -> world TCP 80 v6 Deny`,
	},
	{
		name: "nets within nets",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Deny, source: {nets: [10.65.1.1/32]}}
			- {action: Allow, protocol: TCP, source: {nets: [10.65.0.0/16, 10.65.1.0/24]}}
			- {action: Deny, source: {nets: [10.0.0.0/8]}}
			- {action: Allow, source: {nets: [0.0.0.0/1, 128.0.0.0/1]}}
			egress: [{action: Deny, destination: {nets: ["fd00:65:2::/48"]}}, {action: Allow, destination: {nets: ["fd00:65::/32"]}}]`),
		flows: `
			web   -> db TCP 80 v4 Deny
			api   -> db TCP 80 v4 Allow
			api   -> db UDP 80 v4 Deny
			world -> db UDP 80 v4 Allow
			db -> web   UDP 80 v6 Allow
			db -> api   UDP 80 v6 Deny
			db -> world UDP 80 v6 Deny`,
	},
	{
		name: "notNets, which make the rule one of their family",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {notNets: [198.51.100.0/24, 10.65.1.1/32]}}]
			egress: [{action: Deny, destination: {notNets: ["fd00:65::/32"]}}, {action: Allow}]`),
		flows: `
			world  -> db TCP 80 v4 Deny
			web    -> db TCP 80 v4 Deny
			office -> db TCP 80 v4 Allow
			api    -> db TCP 80 v4 Allow
			office -> db TCP 80 v6 Deny
			db -> web    TCP 80    Allow
			db -> world  TCP 80 v4 Allow
			db -> world  TCP 80 v6 Deny`,
	},
	{
		name: "nets and notNets together",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {nets: [198.51.100.0/24], notNets: [198.51.100.99/32]}}]
			egress: [{action: Allow, destination: {nets: ["fd00::/16"], notNets: ["fd00:c:9::/48", "fd00:65:1::1/128"]}}]`),
		flows: `
			world    -> db TCP 80 v4 Allow
			stranger -> db TCP 80 v4 Deny
			office   -> db TCP 80 v4 Deny
			db -> world    TCP 80 v6 Allow
			db -> stranger TCP 80 v6 Deny
			db -> web      TCP 80 v6 Deny
			db -> api      TCP 80 v6 Allow`,
	},
	{
		name: "nets of both sides in one rule, with a selector",
		objects: gnp("nets", `
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {nets: [10.65.0.0/16], selector: app == 'web'}, destination: {nets: [10.65.2.0/24]}}]
			egress: [{action: Allow, ipVersion: 4}]`),
		flows: `
			web -> api   TCP 80 v4 Allow
			web -> api   TCP 80 v6 Deny
			web -> vault TCP 80 v4 Allow
			job -> vault TCP 80 v4 Deny
			web -> db    TCP 80 v4 Deny`,
	},
}

// The pods' own sets are shop's partners (office) and the global feeds (world).
var setRows = []row{
	{
		name: "a selector matches NetworkSets of the namespace and GlobalNetworkSets",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, source: {selector: role == 'partner'}}]
			egress: [{action: Allow, protocol: UDP, destination: {selector: role == 'feed', namespaceSelector: global()}}]`) +
			np("bank/vault", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {selector: role == 'partner'}}]
			egress: [{action: Allow, destination: {selector: role == 'feed'}}]`),
		flows: `
			office -> db    TCP 80 Allow
			office -> db    UDP 80 Deny
			world  -> db    TCP 80 Deny
			web    -> db    TCP 80 Deny
			db -> world     UDP 80 Allow
			db -> stranger  UDP 80 Deny
			db -> office    UDP 80 Deny
			office -> vault TCP 80 Deny # the set is not of bank
			vault -> world  TCP 80 Deny # neither is the global one`,
	},
	{
		name: "a global policy's selector matches sets of every namespace",
		objects: gnp("sets", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: has(role)}}]
			egress: [{action: Deny, destination: {selector: role == 'partner'}}, {action: Allow}]`),
		flows: `
			office   -> db    TCP 80 Allow
			world    -> vault TCP 80 Allow
			stranger -> db    TCP 80 Deny
			web      -> db    TCP 80 Deny
			db -> office      ping   Deny
			db -> world       ping   Allow
			db -> web         ping   Allow`,
	},
	{
		name: "a namespaceSelector selects the NetworkSets of the namespace",
		objects: gnp("sets", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {namespaceSelector: team == 'red'}}]
			egress: [{action: Allow, destination: {namespaceSelector: global()}}]`),
		flows: `
			office -> db    TCP 80 Allow
			web    -> vault TCP 80 Allow
			api    -> vault TCP 80 Deny
			world  -> db    TCP 80 Deny
			db -> world     TCP 80 Allow
			db -> office    TCP 80 Deny
			db -> web       TCP 80 Deny`,
	},
	{
		name: "a pod whose address is in a set matches like the set",
		objects: set("pods", "role: feed", `[10.65.2.0/24, "fd00:65:2::2/128"]`) +
			gnp("sets", `
			selector: app in {'db', 'job'}
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: role == 'feed'}}]
			egress: [{action: Deny, destination: {selector: role == 'feed'}}, {action: Allow}]`),
		flows: `
			world -> db   TCP 80    Allow
			vault -> db   TCP 80    Allow
			api   -> vault TCP 80 v4 Allow
			api   -> vault TCP 80 v6 Deny
			api   -> db   TCP 80 v4 Allow
			api   -> db   TCP 80 v6 Deny
			web   -> db   TCP 80    Deny
			job   -> vault TCP 80   Deny
			job   -> api  TCP 80 v4 Deny
			job   -> api  TCP 80 v6 Allow
			job   -> web  TCP 80    Allow`,
	},
	{
		name: "overlapping and duplicate nets, within a set and in several",
		objects: set("one", "role: x", `[198.51.100.0/24, 198.51.100.0/24, 198.51.100.20/32, 198.51.0.0/16]`) +
			set("two", "role: x", `[198.51.100.20/32, "fd00:c::/32", "fd00:c:1::/64", "fd00:c:1::20/128"]`) +
			set("shop/three", "role: y", `[198.51.100.20/30, 203.0.113.10, "fd00:c:1::/64"]`) +
			gnp("sets", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: role == 'x'}}
			- {action: Allow, protocol: UDP, source: {selector: role == 'y'}}
			egress:
			- {action: Allow, destination: {selector: role == 'x', notSelector: role == 'y'}}`),
		flows: `
			world    -> db TCP 80    Allow
			world    -> db UDP 80    Allow
			stranger -> db TCP 80    Allow
			stranger -> db UDP 80    Deny
			office   -> db TCP 80    Deny
			office   -> db UDP 80 v4 Allow
			office   -> db UDP 80 v6 Deny
			db -> world    TCP 80    Deny
			db -> stranger TCP 80    Allow
			db -> office   TCP 80    Deny`,
	},
	{
		name: "those sets with fewer nets",
		objects: set("one", "role: x", `[198.51.100.96/27]`) +
			set("two", "role: x", `["fd00:c:1::20/128"]`) +
			set("shop/three", "role: y", `[]`) +
			gnp("sets", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: role == 'x'}}
			- {action: Allow, protocol: UDP, source: {selector: role == 'y'}}
			egress:
			- {action: Allow, destination: {selector: role == 'x', notSelector: role == 'y'}}`),
		flows: `
			world    -> db TCP 80 v4 Deny
			world    -> db TCP 80 v6 Allow
			world    -> db UDP 80    Deny
			stranger -> db TCP 80 v4 Allow
			stranger -> db TCP 80 v6 Deny
			db -> world    TCP 80 v6 Allow
			db -> stranger TCP 80 v4 Allow
			db -> stranger TCP 80 v6 Deny`,
	},
	{
		name: "a set that holds everybody",
		objects: set("all", "role: all", `[0.0.0.0/0, "::/0"]`) +
			gnp("sets", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: role == 'all'}}]
			egress: [{action: Allow, destination: {notSelector: role == 'all'}}]`),
		flows: `
			world -> db TCP 80 Allow
			web   -> db TCP 80 Allow
			db -> web   TCP 80 Deny
			db -> world TCP 80 Deny`,
	},
}
