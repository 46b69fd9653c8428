package judges

// Section 2 and 11: namespaces and service accounts, in policies and rules.
var namespaceRows = []row{
	{
		name: "namespaceSelector in rules of a namespaced policy",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {namespaceSelector: team == 'blue'}}]
			egress: [{action: Allow, destination: {namespaceSelector: env == 'prod', selector: app == 'web'}}]`),
		flows: `
			api   -> db TCP 80 Allow
			vault -> db TCP 80 Allow
			web   -> db TCP 80 Deny
			world -> db TCP 80 Deny
			db -> web   TCP 80 Allow
			db -> api   TCP 80 Allow
			db -> vault TCP 80 Deny
			db -> job   TCP 80 Deny`,
	},
	{
		name: "namespaceSelector by name",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {namespaceSelector: projectcalico.org/name == 'lone'}}]
			egress: [{action: Allow, destination: {namespaceSelector: "kubernetes.io/metadata.name in {'bank', 'lone'}"}}]`),
		flows: `
			job -> db TCP 80 Allow
			web -> db TCP 80 Deny
			db -> job TCP 80 Allow
			db -> api TCP 80 Allow
			db -> web TCP 80 Deny`,
	},
	{
		name: "namespaceSelector all() and global()",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {namespaceSelector: all()}}]
			egress: [{action: Allow, destination: {namespaceSelector: global()}}]`),
		flows: `
			web      -> db TCP 80 Allow
			job      -> db TCP 80 Allow
			office   -> db TCP 80 Allow # a NetworkSet is in a namespace
			world    -> db TCP 80 Deny
			stranger -> db TCP 80 Deny
			db -> world    TCP 80 Allow
			db -> office   TCP 80 Deny
			db -> stranger TCP 80 Deny
			db -> web      TCP 80 Deny`,
	},
	{
		name: "a negative namespaceSelector also matches what has no namespace",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {namespaceSelector: team != 'red'}}]
			egress: [{action: Allow, destination: {namespaceSelector: "!has(env)"}}]`),
		flows: `
			api      -> db TCP 80 Allow
			job      -> db TCP 80 Allow
			world    -> db TCP 80 Allow # in a global set
			office   -> db TCP 80 Deny
			web      -> db TCP 80 Deny
			stranger -> db TCP 80 Deny  # in no set at all
			db -> job      TCP 80 Allow
			db -> world    TCP 80 Allow
			db -> api      TCP 80 Deny
			db -> stranger TCP 80 Deny`,
	},
	{
		name: "namespaceSelector of a policy",
		objects: gnp("red", `
			namespaceSelector: team == 'red'
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow, protocol: TCP}]`) +
			gnp("not-prod", `
			namespaceSelector: env != 'prod'
			selector: app == 'job'
			ingress: [{action: Allow, protocol: UDP}]`),
		flows: `
			world -> db    UDP 80 Deny
			world -> db    TCP 80 Allow
			web   -> world UDP 80 Deny
			world -> vault UDP 80 Allow
			world -> job   UDP 80 Allow
			world -> job   TCP 80 Deny
			job   -> world UDP 80 Allow`,
	},
	{
		name: "namespaceSelector all() of a policy selects whatever has a namespace",
		objects: gnp("all", `
			namespaceSelector: all()
			selector: app in {'vm', 'job'}
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> vm  TCP 80 Allow
			web -> vm  UDP 80 Deny
			web -> job TCP 80 Allow
			job -> web TCP 80 Deny
			vm  -> web UDP 80 Allow`,
	},
	{
		name: "serviceAccountSelector of a policy",
		objects: gnp("high", `
			serviceAccountSelector: trust == 'high'
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow, protocol: TCP}]`) +
			np("bank/front", `
			serviceAccountSelector: projectcalico.org/name == 'front'
			ingress: [{action: Allow, protocol: UDP}]`),
		flows: `
			job -> web   TCP 80 Allow
			job -> web   UDP 80 Deny
			web -> job   UDP 80 Deny
			job -> api   UDP 80 Allow
			job -> api   TCP 80 Deny
			job -> vault TCP 80 Allow
			job -> db    UDP 80 Allow`,
	},
	{
		name: "selectors of a policy must all match",
		objects: gnp("and", `
			selector: app == 'web'
			namespaceSelector: env == 'prod'
			serviceAccountSelector: trust == 'low'
			types: [Ingress, Egress]`),
		flows: `
			job -> api TCP 80 Deny
			api -> job TCP 80 Deny
			job -> web TCP 80 Allow
			job -> db  TCP 80 Allow`,
	},
	{
		name: "service accounts by name, of the policy's namespace",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {serviceAccounts: {names: [front, none]}}}]
			egress: [{action: Deny, destination: {serviceAccounts: {names: [front]}}}, {action: Allow}]`),
		flows: `
			web   -> db TCP 80 Allow
			api   -> db TCP 80 Deny
			job   -> db TCP 80 Deny
			world -> db TCP 80 Deny
			db -> web   TCP 80 Deny
			db -> api   TCP 80 Allow
			db -> world TCP 80 Allow`,
	},
	{
		name: "service accounts by label, and of other namespaces",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, source: {namespaceSelector: all(), serviceAccounts: {selector: trust == 'low'}}}]
			egress: [{action: Allow, destination: {serviceAccounts: {selector: trust == 'low'}}}]`) +
			gnp("vault", `
			selector: app == 'db' && !has(layer)
			types: [Ingress, Egress]
			ingress: [{action: Allow, source: {serviceAccounts: {names: [default]}}}]
			egress: [{action: Allow, destination: {serviceAccounts: {names: [front], selector: trust == 'low'}}}]`),
		flows: `
			api   -> db    TCP 80 Allow
			web   -> db    TCP 80 Deny
			job   -> db    TCP 80 Deny
			db    -> web   TCP 80 Deny
			db    -> api   TCP 80 Deny
			job   -> vault TCP 80 Allow
			web   -> vault TCP 80 Deny
			world -> vault TCP 80 Deny
			vault -> api   TCP 80 Allow
			vault -> web   TCP 80 Deny`,
	},
	{
		name: "service accounts of the local side",
		objects: gnp("local", `
			types: [Ingress, Egress]
			ingress: [{action: Allow, destination: {serviceAccounts: {names: [front]}}}]
			egress: [{action: Allow, source: {serviceAccounts: {selector: has(trust)}}}]`),
		flows: `
			world -> web   TCP 80 Allow
			world -> api   TCP 80 Allow
			world -> db    TCP 80 Deny
			db  -> world   TCP 80 Allow
			job -> world   TCP 80 Deny`,
	},
}
