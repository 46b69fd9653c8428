package judges

// Section 1 and 2: the order of policies in a tier, and which directions they govern.
var orderRows = []row{
	{
		name: "policies by order, those without last",
		objects: gnp("a-none", `
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP}, {action: Allow, protocol: UDP}]
			egress: [{action: Allow}]`) +
			gnp("z-low", `
			order: -1.5
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
			egress: [{action: Deny, protocol: UDP}]`) +
			np("shop/m", `
			order: 7
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}, {action: Allow, protocol: TCP, destination: {ports: [81]}}]`),
		flows: `
			web -> db  TCP 80 Allow
			web -> db  TCP 81 Allow
			web -> db  TCP 82 Deny
			web -> db  UDP 80 Allow
			db  -> web UDP 80 Deny
			db  -> web TCP 80 Allow
			web -> vault TCP 81 Deny`,
	},
	{
		name: "equal orders: a-b comes before a",
		objects: gnp("a", `
			order: 5
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP}]
			egress: [{action: Allow}]`) +
			gnp("a-b", `
			order: 5
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]
			egress: [{action: Deny, protocol: UDP}]`),
		flows: `
			web -> db  TCP 80 Allow
			web -> db  TCP 81 Deny
			db  -> web UDP 80 Deny
			db  -> web TCP 80 Allow`,
	},
	{
		name: "equal orders and names: global before namespaced, Kubernetes before Calico",
		objects: gnp("p", `
			order: 1000
			selector: app == 'db'
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}
			- {action: Allow, protocol: UDP, destination: {ports: [80]}}`) +
			np("shop/p", `
			order: 1000
			selector: app == 'db'
			ingress: [{action: Deny}]`) +
			knp("shop/p", `
			podSelector: {matchLabels: {app: db}}
			ingress: [{ports: [{port: 80}, {port: 81}]}]`),
		flows: `
			web -> db TCP 80 Deny  # p//GlobalNetworkPolicy
			web -> db UDP 80 Allow
			web -> db TCP 81 Allow # p/shop/KubernetesNetworkPolicy
			web -> db TCP 82 Deny  # p/shop/NetworkPolicy`,
	},
	{
		name: "equal orders without number: by name, whatever the scope",
		objects: gnp("m", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, 81]}}]`) +
			np("shop/l", `
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}]`) +
			np("shop/n", `
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [81]}}]`),
		flows: `
			web -> db    TCP 80 Deny
			web -> db    TCP 81 Allow
			web -> vault TCP 80 Allow`,
	},
	{
		name: "types: without egress rules Ingress",
		objects: np("shop/db", `
			selector: app == 'db'`),
		flows: `
			web -> db  TCP 80 Deny
			db  -> web TCP 80 Allow`,
	},
	{
		name: "types: with egress rules only Egress",
		objects: np("shop/db", `
			selector: app == 'db'
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> db  TCP 80 Allow
			db  -> web TCP 80 Deny
			db  -> web UDP 80 Allow`,
	},
	{
		name: "types: with rules of both directions both",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> db  TCP 80 Allow
			web -> db  UDP 80 Deny
			db  -> web TCP 80 Deny
			db  -> web UDP 80 Allow`,
	},
	{
		name: "types: empty is absent",
		objects: np("shop/db", `
			selector: app == 'db'
			types: []
			egress: [{action: Allow, protocol: UDP}]`) +
			np("shop/web", `
			selector: app == 'web'
			types: []`),
		flows: `
			web -> db  TCP 80 Allow
			db  -> job TCP 80 Deny
			db  -> job UDP 80 Allow
			db  -> web UDP 80 Deny
			web -> job TCP 80 Allow`,
	},
	{
		name: "types: rules of a direction that is not given never act",
		objects: np("shop/db", `
			selector: app == 'db'
			types: [Ingress]
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Deny}]`) +
			np("shop/web", `
			selector: app == 'web'
			types: [Egress]
			ingress: [{action: Deny}]
			egress: [{action: Allow, protocol: TCP}]`),
		flows: `
			web -> db  TCP 80 Allow
			web -> db  UDP 80 Deny
			db  -> web UDP 80 Allow
			job -> db  UDP 80 Deny`,
	},
	{
		name: "a policy selects in its own namespace, a global one everywhere",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`) +
			gnp("db", `
			selector: app == 'db'
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> db    TCP 81 Deny
			web -> vault TCP 81 Allow
			db    -> web TCP 80 Deny
			vault -> web TCP 80 Deny
			vault -> web UDP 80 Allow`,
	},
	{
		name: "staged policies are never enforced", // section 8
		objects: object("projectcalico.org/v3", "StagedGlobalNetworkPolicy", "db", `
			stagedAction: Set
			selector: app == 'db'
			types: [Ingress, Egress]`) +
			knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			ingress: [{ports: [{port: 80}]}]`) +
			object("projectcalico.org/v3", "StagedKubernetesNetworkPolicy", "shop/db", `
			stagedAction: Delete`),
		flows: `
			web -> db    TCP 80 Allow
			web -> db    TCP 81 Deny
			web -> vault TCP 80 Allow
			db  -> web   TCP 80 Allow`,
	},
}
