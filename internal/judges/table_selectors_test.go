package judges

// Section 2 and 11: selectors of labels, in policies and rules.
var selectorRows = []row{
	{
		name: "a selector in a rule of a namespaced policy means the namespace",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {selector: app == 'web'}}]
			egress: [{action: Allow, destination: {selector: app == 'web'}}]`),
		flows: `
			web   -> db TCP 80 Allow
			api   -> db TCP 80 Deny
			job   -> db TCP 80 Deny
			world -> db TCP 80 Deny
			db -> web   UDP 80 Allow
			db -> api   UDP 80 Deny
			db -> world UDP 80 Deny`,
	},
	{
		name: "a selector in a rule of a global policy means all namespaces",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: app == 'web'}}]
			egress: [{action: Deny, destination: {selector: app == 'web'}}, {action: Allow}]`),
		flows: `
			web   -> db    TCP 80 Allow
			api   -> db    TCP 80 Allow
			api   -> vault TCP 80 Allow
			job   -> db    TCP 80 Deny
			world -> db    TCP 80 Deny
			db -> web      TCP 80 Deny
			db -> api      TCP 80 Deny
			db -> world    TCP 80 Allow`,
	},
	{
		name: "selectors of the local side",
		objects: gnp("local", `
			types: [Ingress, Egress]
			ingress: [{action: Allow, destination: {selector: app == 'db'}}]
			egress: [{action: Allow, source: {selector: app == 'web', namespaceSelector: team == 'red'}}]`),
		flows: `
			world -> db    TCP 80 Allow
			world -> vault TCP 80 Allow
			world -> job   TCP 80 Deny
			web -> world   TCP 80 Allow
			web -> db      TCP 80 Allow
			api -> world   TCP 80 Deny
			web -> job     TCP 80 Deny`,
	},
	{
		name: "notSelector of a global policy: the outside world matches",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {notSelector: app == 'web'}}]
			egress: [{action: Allow, destination: {notSelector: has(role)}}]`),
		flows: `
			web      -> db TCP 80 Deny
			api      -> db TCP 80 Deny
			job      -> db TCP 80 Allow
			world    -> db TCP 80 Allow
			stranger -> db TCP 80 Allow
			db -> web      TCP 80 Allow
			db -> stranger TCP 80 Allow
			db -> world    TCP 80 Deny
			db -> office   TCP 80 Deny`,
	},
	{
		name: "only notSelector in a namespaced policy: in the namespace, and not that",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {notSelector: layer == 'front'}}]
			egress: [{action: Deny, destination: {notSelector: layer == 'front'}}, {action: Allow}]`),
		flows: `
			web    -> db TCP 80 Deny
			api    -> db TCP 80 Deny
			world  -> db TCP 80 Deny
			office -> db TCP 80 Allow # in a set of shop
			db -> web    TCP 80 Allow
			db -> office TCP 80 Deny
			db -> api    TCP 80 Allow
			db -> world  TCP 80 Allow`,
	},
	{
		name: "notSelector itself is of all namespaces",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {namespaceSelector: all(), notSelector: app == 'web'}}]
			egress: [{action: Allow, destination: {selector: all(), notSelector: role == 'partner'}}]`),
		flows: `
			web   -> db TCP 80 Deny
			api   -> db TCP 80 Deny
			vault -> db TCP 80 Allow
			job   -> db TCP 80 Allow
			world -> db TCP 80 Deny
			db -> web    TCP 80 Allow
			db -> office TCP 80 Deny
			db -> api    TCP 80 Deny`,
	},
	{
		name: "selector and notSelector together",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: has(layer), notSelector: app == 'web'}}]
			egress: [{action: Allow, destination: {selector: app == 'web', notSelector: layer == 'front'}}]`),
		flows: `
			db  -> vault TCP 80 Deny # its egress
			web -> vault TCP 80 Deny
			job -> vault TCP 80 Deny
			db  -> api   TCP 80 Allow
			db  -> web   TCP 80 Deny`,
	},
	{
		name: "selector and nets of one side must both match",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: app == 'web', nets: [10.65.2.0/24]}}]
			egress: [{action: Allow, destination: {selector: has(app), notNets: ["fd00:65:2::/64"]}}]`),
		flows: `
			api   -> db TCP 80 v4 Allow
			api   -> db TCP 80 v6 Deny
			web   -> db TCP 80    Deny
			vault -> db TCP 80    Deny
			db -> web   TCP 80 v6 Allow
			db -> web   TCP 80 v4 Deny
			db -> api   TCP 80 v6 Deny
			db -> world TCP 80 v6 Deny`,
	},
	{
		name: "an empty selector in a rule is no criterion",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {selector: "", notSelector: "  "}}]
			egress: [{action: Allow, destination: {namespaceSelector: ""}}]`),
		flows: `
			world -> db TCP 80 Allow
			api   -> db TCP 80 Allow
			db -> world TCP 80 Allow`,
	},
	{
		name: "all() in a rule is whoever has labels at all",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {selector: all()}}]
			egress: [{action: Allow, destination: {notSelector: all()}}]`),
		flows: `
			web      -> vault TCP 80 Allow
			vm       -> db TCP 80 Deny # its own end, without profile
			world    -> db TCP 80 Allow
			stranger -> db TCP 80 Deny
			db -> stranger TCP 80 Allow
			db -> world    TCP 80 Deny
			db -> web      TCP 80 Deny`,
	},
	{
		name: "criteria of all kinds in one rule",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- action: Allow
			  ipVersion: 4
			  protocol: TCP
			  source: {selector: app == 'web', nets: [10.65.1.0/24], ports: ["4400:4500"]}
			  destination: {ports: [sql], nets: [10.65.1.2/32]}
			egress:
			- action: Allow
			  protocol: UDP
			  notProtocol: TCP
			  source: {selector: app == 'db', notPorts: [4600]}
			  destination: {selector: has(app), notSelector: app == 'db', ports: [53, "1000:1010"], notPorts: [1005]}`),
		flows: `
			web -> db  TCP 4400>5432 v4 Allow
			web -> db  TCP 4400>5432 v6 Deny
			web -> db  TCP 4399>5432 v4 Deny
			web -> db  TCP 4400>5433 v4 Deny
			web -> db  UDP 4400>5432 v4 Deny
			api -> db  TCP 4400>5432 v4 Deny
			db  -> web UDP 53,1000,1010 Allow
			db  -> web UDP 1005,1011    Deny
			db  -> web UDP 4600>53      Deny
			db  -> api UDP 53           Deny`,
	},
}
