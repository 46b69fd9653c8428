package judges

// Section 4: Kubernetes' NetworkPolicy.
var kubernetesRows = []row{
	{
		name: "Kubernetes: without rules nothing comes in",
		objects: knp("shop/deny", `
			podSelector: {}`),
		flows: `
			web   -> db     TCP 80 Deny
			world -> web    ping   Deny
			db    -> world  TCP 80 Allow
			web   -> vault  TCP 80 Allow
			db    -> db     TCP 80 Allow
			node-1 -> db    TCP 80 Allow
			node-2 -> db    TCP 80 Deny`,
	},
	{
		name: "Kubernetes: policyTypes",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			egress: [{ports: [{port: 80}]}]`) + // both, since it has egress rules
			knp("shop/web", `
			podSelector: {matchLabels: {app: web}}
			policyTypes: [Egress]
			ingress: [{ports: [{port: 9}]}]`) +
			knp("bank/all", `
			podSelector: {}
			policyTypes: [Ingress]
			egress: [{ports: [{port: 9}]}]`),
		flows: `
			world -> db    TCP 80 Deny
			db    -> world TCP 80 Allow
			db    -> world TCP 81 Deny
			world -> web   TCP 80 Allow
			web   -> world TCP 80 Deny
			world -> api   TCP 80 Deny
			api   -> world TCP 80 Allow`,
	},
	{
		name: "Kubernetes: empty and absent lists",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [], ports: [{port: 80}]}, {ports: [{port: 81}]}]
			egress: [{to: [{podSelector: {}}], ports: []}, {to: [{ipBlock: {cidr: 198.51.100.0/24}}]}]`) +
			knp("bank/vault", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{}]`) +
			knp("lone/none", `
			podSelector: {}
			ingress: []`),
		flows: `
			world -> db    TCP 80,81 Allow
			world -> db    TCP 82    Deny
			world -> db    UDP 80    Deny
			db -> web      47        Allow
			db -> web      UDP 7     Allow
			db -> api      UDP 7     Deny
			db -> world    ping v4   Allow
			world -> vault ping      Allow
			vault -> world ping      Deny
			world -> job   TCP 80    Deny`,
	},
	{
		name: "Kubernetes: podSelector and namespaceSelector in one item are AND",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: web}}}]}]
			egress: [{to: [{namespaceSelector: {matchLabels: {env: prod}}, podSelector: {matchLabels: {app: db}}}]}]`),
		flows: `
			api   -> db TCP 80 Allow
			vault -> db TCP 80 Deny
			web   -> db TCP 80 Deny
			db -> vault TCP 80 Allow
			db -> api   TCP 80 Deny
			db -> job   TCP 80 Deny`,
	},
	{
		name: "Kubernetes: two items are OR",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {app: web}}}]}]
			egress: [{to: [{podSelector: {}}, {ipBlock: {cidr: "fd00:c:1::/64"}}]}]`),
		flows: `
			api   -> db TCP 80    Allow
			vault -> db TCP 80    Allow
			web   -> db TCP 80    Allow
			job   -> db TCP 80    Deny
			db -> web   TCP 80    Allow
			db -> api   TCP 80    Deny
			db -> world TCP 80 v6 Allow
			db -> world TCP 80 v4 Deny`,
	},
	{
		name: "Kubernetes: an empty namespaceSelector is every pod, and nothing else",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [{namespaceSelector: {}}]}]
			egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]`),
		flows: `
			web    -> db TCP 80 Allow
			job    -> db TCP 80 Allow
			world  -> db TCP 80 Deny
			office -> db TCP 80 Deny # sets are no pods
			db -> web    TCP 80 Allow
			db -> api    TCP 80 Allow
			db -> job    TCP 80 Deny`,
	},
	{
		name: "Kubernetes: matchExpressions",
		objects: knp("shop/db", `
			podSelector: {matchExpressions: [{key: layer, operator: Exists}, {key: app, operator: NotIn, values: [web]}]}
			policyTypes: [Ingress, Egress]
			ingress:
			- from: [{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [blue, green]}]}}]
			  ports: [{port: 80}]
			- from: [{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]
			  ports: [{port: 81}]
			- from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: layer, operator: NotIn, values: [front, middle]}]}}]
			  ports: [{port: 82}]
			egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}, matchExpressions: [{key: layer, operator: NotIn, values: [front]}]}}]}]`),
		flows: `
			api   -> db TCP 80       Allow
			api   -> db TCP 81,82    Deny
			job   -> db TCP 81,82    Allow # an absent label is in no list
			job   -> db TCP 80       Deny
			vault -> db TCP 80,82    Allow
			web   -> db TCP 80,81,82 Deny
			world -> db TCP 81,82    Deny
			db -> api   TCP 80       Allow
			db -> web   TCP 80       Deny
			job -> web  TCP 80       Allow # not selected`,
	},
	{
		name: "Kubernetes: namespaces by name",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: lone}}}]}]`),
		flows: `
			job -> db TCP 80 Allow
			web -> db TCP 80 Deny
			api -> db TCP 80 Deny`,
	},
	{
		name: "Kubernetes: ports, ranges and protocols",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress:
			- ports: [{port: 80}, {port: 90, endPort: 92}, {port: 53, protocol: UDP}, {port: 7, endPort: 8, protocol: SCTP}]
			egress:
			- ports: [{protocol: UDP}]`),
		flows: `
			web -> db TCP 80,90,91,92 Allow
			web -> db TCP 81,89,93,53 Deny
			web -> db UDP 53          Allow
			web -> db UDP 80          Deny
			web -> db SCTP 7,8        Allow
			web -> db SCTP 9          Deny
			web -> db ping            Deny
			db -> web UDP 1,65535     Allow
			db -> web TCP 53          Deny
			db -> web ping            Deny`,
	},
	{
		name: "Kubernetes: named ports",
		objects: knp("shop/db", `
			podSelector: {}
			policyTypes: [Ingress, Egress]
			ingress: [{ports: [{port: sql}, {port: dns, protocol: UDP}, {port: sig, protocol: SCTP}]}]
			egress: [{to: [{namespaceSelector: {}}], ports: [{port: http}, {port: sql}]}]`),
		flows: `
			job -> db  TCP 5432  Allow
			job -> db  TCP 5433  Deny
			job -> db  UDP 5353  Allow
			job -> db  TCP 5353  Deny
			job -> db  SCTP 2905 Allow
			job -> db  SCTP 2906 Deny
			job -> web TCP 5432  Deny
			db  -> api TCP 9090  Allow
			db  -> api TCP 8080  Deny
			db  -> vault TCP 6432 Allow
			db  -> world TCP 5432 Deny
			web -> db  TCP 5432  Allow
			web -> db  UDP 5353  Deny # its egress has TCP only`,
	},
	{
		name: "Kubernetes: ipBlock with except, in either family",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress:
			- from: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.96/27]}}, {ipBlock: {cidr: "fd00:65::/32", except: ["fd00:65:1::/64", "fd00:65:2::2/128"]}}]
			egress:
			- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.65.0.0/16]}}]
			  ports: [{port: 80}]`),
		flows: `
			world    -> db TCP 80 v4 Allow
			stranger -> db TCP 80 v4 Deny
			office   -> db TCP 80 v4 Deny
			api      -> db TCP 80 v6 Allow
			vault    -> db TCP 80 v6 Deny
			web      -> db TCP 80    Deny
			world    -> db TCP 80 v6 Deny
			db -> world    TCP 80 v4 Allow
			db -> world    TCP 81 v4 Deny
			db -> web      TCP 80 v4 Deny
			db -> world    TCP 80 v6 Deny`,
	},
	{
		name: "Kubernetes: an excepted address may come by another item",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			ingress:
			- from:
			  - ipBlock: {cidr: 10.65.0.0/16, except: [10.65.1.0/24]}
			  - podSelector: {matchLabels: {app: web}}`),
		flows: `
			api -> db TCP 80 v4 Allow
			api -> db TCP 80 v6 Deny
			web -> db TCP 80    Allow`,
	},
	{
		name: "Kubernetes: selectors see only own labels and match no sets",
		objects: set("shop/alike", "app: web", `[198.51.100.20/32, "fd00:c:1::20/128", 10.65.3.1/32]`) +
			knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]
			egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {projectcalico.org/orchestrator: k8s}}}]}]`),
		flows: `
			web   -> db TCP 80 Allow
			world -> db TCP 80 Deny
			job   -> db TCP 80 Deny
			db -> web   TCP 80 Deny`,
	},
	{
		name: "Kubernetes: several policies add up",
		objects: knp("shop/one", `
			podSelector: {matchLabels: {app: db}}
			ingress: [{ports: [{port: 80}]}]`) +
			knp("shop/two", `
			podSelector: {}
			ingress: [{from: [{podSelector: {}}], ports: [{port: 81}]}]`) +
			knp("shop/zero", `
			podSelector: {}
			policyTypes: [Ingress, Egress]`) +
			knp("shop/out", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Egress]
			egress: [{ports: [{port: 443}]}]`),
		flows: `
			world -> db  TCP 80 Allow
			world -> db  TCP 81 Deny
			world -> web TCP 80 Deny
			db -> world  TCP 443 Allow
			db -> world  TCP 444 Deny
			web -> world TCP 443 Deny`,
	},
	{
		name: "Kubernetes: earlier and later Calico policies of tier default",
		objects: knp("shop/db", `
			podSelector: {matchLabels: {app: db}}
			policyTypes: [Ingress, Egress]
			ingress: [{ports: [{port: 80, endPort: 85}]}]`) +
			np("shop/before", `
			order: 999
			selector: app == 'db'
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [80]}}
			- {action: Pass, protocol: TCP, destination: {ports: [90]}}`) +
			np("shop/after", `
			order: 1001
			selector: app == 'db'
			ingress:
			- {action: Deny, protocol: TCP, destination: {ports: [81]}}
			- {action: Allow, protocol: UDP}
			egress: [{action: Allow, protocol: UDP}]`),
		flows: `
			web -> db TCP 80 Deny
			web -> db TCP 81 Allow # Kubernetes' policy decides first
			web -> db TCP 86 Deny
			web -> db TCP 90 Allow # passed to the profile
			web -> db UDP 80 Allow # asked after Kubernetes' policy
			db -> web UDP 80 Allow
			db -> web TCP 80 Deny`,
	},
	{
		name: "Kubernetes: an endpoint that is no pod is neither selected nor a peer",
		objects: gnp("vm", `
			selector: app == 'vm'
			order: 2000
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: TCP}]
			egress: [{action: Allow}]`) +
			knp("bank/all", `
			podSelector: {}
			policyTypes: [Ingress, Egress]
			ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}, {namespaceSelector: {}, podSelector: {matchLabels: {app: vm}}}]}]
			egress: [{to: [{podSelector: {matchLabels: {app: vm}}}, {namespaceSelector: {matchLabels: {team: red}}}]}]`),
		flows: `
			web -> vm    TCP 80 Allow
			web -> vm    UDP 80 Deny
			vm  -> job   TCP 80 Allow
			vm  -> vault TCP 80 Deny
			api -> vm    TCP 80 Deny
			web -> vault TCP 80 Allow
			api -> web   TCP 80 Allow
			api -> vault TCP 80 Deny`,
	},
}
