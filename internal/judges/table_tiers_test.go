package judges

// Section 1: tiers, the order of policies, and what ends an evaluation.
var tierRows = []row{
	{
		name: "no policy: profiles decide",
		flows: `
			web   -> db    TCP 80   Allow
			world -> db    UDP 53   Allow
			db    -> world TCP 443  Allow
			web   -> api   ping     Allow
			web   -> vault SCTP 99  Allow
			web   -> job   47       Allow
			web   -> vm    TCP 80   Deny   # no profile
			vm    -> web   TCP 80   Deny
			vm    -> vm    TCP 80   Allow`,
	},
	{
		name: "an endpoint without profile needs an Allow, also after a Pass",
		objects: gnp("vm", `
			selector: app == 'vm'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass, protocol: TCP, destination: {ports: [81]}}
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> vm  TCP 80 Allow
			web -> vm  TCP 81 Deny # passed to the profile it has not
			web -> vm  TCP 82 Deny
			vm  -> web UDP 53 Allow
			vm  -> web TCP 53 Deny`,
	},
	{
		name: "Allow and Deny are final",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Allow, protocol: TCP}
			- {action: Deny, protocol: TCP, destination: {ports: [82]}}
			egress:
			- {action: Allow, protocol: UDP, destination: {ports: [53]}}
			- {action: Deny, protocol: UDP}
			- {action: Allow}`),
		flows: `
			web -> db    TCP 80,82 Allow
			web -> db    TCP 81    Deny
			web -> db    UDP 80    Deny
			db  -> web   UDP 53    Allow
			db  -> web   UDP 54    Deny
			db  -> world TCP 443   Allow`,
	},
	{
		name: "both ends must allow",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: ["80:81"]}}]`) +
			np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, protocol: TCP, destination: {ports: ["81:82"]}}]`),
		flows: `
			web   -> db TCP 80    Deny
			web   -> db TCP 81    Allow
			web   -> db TCP 82    Deny
			world -> db TCP 80,81 Allow # has no say itself
			world -> db TCP 82    Deny
			web -> world TCP 82   Allow
			web -> world TCP 80   Deny`,
	},
	{
		name: "a node reaches its own pods, another node does not; a pod reaches itself",
		objects: gnp("nothing", `
			types: [Ingress, Egress]`),
		flows: `
			node-1 -> db     TCP 80 Allow
			node-1 -> vm     ping   Allow
			db     -> node-1 UDP 53 Deny
			node-2 -> db     TCP 80 Deny
			db     -> node-2 TCP 80 Deny
			db     -> db     TCP 80 Allow
			db     -> db     ping   Allow
			web    -> db     TCP 80 Deny`,
	},
	{
		name: "Log goes on, and a policy of Log only denies at the tier's end",
		objects: np("shop/db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress: [{action: Log}, {action: Allow, protocol: TCP}]
			egress: [{action: Log}]`),
		flows: `
			web -> db  TCP 80 Allow
			web -> db  UDP 80 Deny
			db  -> web TCP 80 Deny
			db  -> web ping   Deny`,
	},
	{
		name: "Pass skips the rest of the tier",
		objects: tier("first", `
			order: 10`) +
			gnp("pass", `
			tier: first
			order: 1
			selector: app == 'db'
			ingress: [{action: Pass, protocol: TCP, destination: {ports: [80, 81]}}]
			egress: [{action: Pass, protocol: UDP}]`) +
			gnp("rest", `
			tier: first
			order: 2
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP}, {action: Allow, protocol: UDP}]
			egress: [{action: Deny}]`) +
			np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`),
		flows: `
			web -> db    TCP 80 Allow # first passes, default allows
			web -> db    TCP 81 Deny  # first passes, default ends
			web -> db    TCP 82 Deny  # first denies
			web -> db    UDP 80 Allow # first allows
			web -> vault TCP 81 Allow # first passes, the profile allows
			db  -> web   UDP 53 Allow
			db  -> web   TCP 53 Deny`,
	},
	{
		name: "a tier ends with Deny, another with Pass",
		objects: tier("strict", `
			order: 1`) + tier("mild", `
			order: 2
			defaultAction: Pass`) +
			gnp("strict.one", `
			tier: strict
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]`) +
			gnp("mild.one", `
			tier: mild
			selector: app == 'web'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}]
			egress: [{action: Deny, protocol: UDP}]`),
		flows: `
			job -> db  TCP 80 Allow
			job -> db  TCP 81 Deny
			job -> web TCP 80 Deny
			job -> web TCP 81 Allow
			web -> job UDP 80 Deny
			web -> job TCP 80 Allow
			job -> job TCP 81 Allow
			db  -> job TCP 81 Allow # no tier governs egress`,
	},
	{
		name: "tiers in order: by number, then those without",
		objects: tier("zz", `
			order: 5`) + tier("aa", `
			order: 6`) + tier("none", `
			defaultAction: Deny`) +
			gnp("zz", `
			tier: zz
			selector: app == 'db'
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass}`) +
			gnp("aa", `
			tier: aa
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: ["80:81"]}}, {action: Pass}]`) +
			np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: ["80:82"]}}, {action: Pass}]`) +
			gnp("none", `
			tier: none
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: ["82:83"]}}, {action: Allow}]`),
		flows: `
			web -> db TCP 80 Allow # zz
			web -> db TCP 81 Deny  # aa
			web -> db TCP 82 Allow # default
			web -> db TCP 83 Deny  # none, after the tier with order 1,000,000
			web -> db TCP 84 Allow`,
	},
	{
		name: "tiers of one order: by name",
		objects: tier("b", `
			order: 5`) + tier("a", `
			order: 5`) + tier("a-b", `
			order: 5`) +
			gnp("of-b", `
			tier: b
			selector: app == 'db'
			ingress: [{action: Allow}]`) +
			gnp("of-a", `
			tier: a
			selector: app == 'db'
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}, {action: Pass}]`) +
			gnp("of-a-b", `
			tier: a-b
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}, {action: Deny, protocol: UDP}, {action: Pass}]`),
		flows: `
			web -> db TCP 80 Deny
			web -> db TCP 81 Allow
			web -> db UDP 81 Deny`,
	},
	{
		name: "the fixed tiers stand around the others",
		objects: gnp("admin", `
			tier: kube-admin
			selector: app == 'db'
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass, protocol: TCP, destination: {ports: [81]}}`) +
			np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: ["80:82"]}}
			- {action: Pass, protocol: TCP, destination: {ports: ["83:84"]}}`) +
			gnp("baseline", `
			tier: kube-baseline
			selector: app in {'db', 'job'}
			ingress: [{action: Deny, protocol: TCP, destination: {ports: [82, 83]}}]`),
		flows: `
			web -> db    TCP 80    Deny  # kube-admin
			web -> db    TCP 81,82 Allow # default, where kube-admin passes or ends with Pass
			web -> db    TCP 83    Deny  # kube-baseline
			web -> db    TCP 84    Allow # kube-baseline ends with Pass
			web -> db    TCP 85    Deny  # default ends
			web -> job   TCP 82    Deny
			web -> job   TCP 85    Allow
			web -> vault TCP 80    Deny
			web -> vault TCP 82    Deny
			web -> vault TCP 84    Allow`,
	},
}
