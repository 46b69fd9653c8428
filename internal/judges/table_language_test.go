package judges

// Section 3: the selector language, and the labels that are added.
var languageRows = []row{
	{
		name: "equal, unequal, in, not in",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}, source: {selector: layer == 'front'}}
			- {action: Allow, protocol: TCP, destination: {ports: [81]}, source: {selector: layer != 'front'}}
			- {action: Allow, protocol: TCP, destination: {ports: [82]}, source: {selector: "layer in {'front', 'middle',}"}}
			- {action: Allow, protocol: TCP, destination: {ports: [83]}, source: {selector: "layer notin{'front'} && app not  in {'job'}"}}
			egress: [{action: Allow, destination: {selector: "app in {}"}}]`),
		flows: `
			web   -> db TCP 80,82 Allow
			web   -> db TCP 81,83 Deny
			api   -> db TCP 81,82,83 Allow
			api   -> db TCP 80    Deny
			job   -> db TCP 81    Allow # an absent label is unequal
			job   -> db TCP 82,83 Deny
			world -> db TCP 81,83 Allow # a set without that label
			db -> web   TCP 80    Deny`,
	},
	{
		name: "has, contains, starts with, ends with",
		objects: gnp("db", `
			selector: has( app ) && app starts with "d" && app endswith 'b'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}, source: {selector: has(layer)}}
			- {action: Allow, protocol: TCP, destination: {ports: [81]}, source: {selector: layer contains 'dd'}}
			- {action: Allow, protocol: TCP, destination: {ports: [82]}, source: {selector: layer startswith 'fr'}}
			- {action: Allow, protocol: TCP, destination: {ports: [83]}, source: {selector: "layer ends with ''"}}
			egress: [{action: Allow, destination: {selector: "!has(layer)"}}]`),
		flows: `
			web -> vault TCP 80,82,83 Allow
			web -> vault TCP 81       Deny
			api -> db    TCP 80,81,83 Allow
			api -> db    TCP 82       Deny
			job -> db    TCP 80,81,82,83 Deny
			db -> job    TCP 80       Allow
			db -> world  TCP 80       Allow
			db -> web    TCP 80       Deny`,
	},
	{
		name: "not binds tightest, then and, then or",
		objects: gnp("db", `
			selector: app == 'db'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, source: {selector: app == 'job' || app == 'web' && layer == 'middle'}}
			- {action: Allow, protocol: UDP, source: {selector: (app == 'job' || app == 'web') && layer == 'middle'}}
			egress:
			- {action: Allow, protocol: TCP, destination: {selector: "!app == 'web' && has(app)"}}
			- {action: Allow, protocol: UDP, destination: {selector: "!!(app == 'web')"}}`),
		flows: `
			job -> db TCP 80 Allow
			api -> db TCP 80 Allow
			web -> db TCP 80 Deny
			job -> db UDP 80 Deny
			api -> db UDP 80 Allow
			db -> job TCP 80 Allow
			db -> web TCP 80 Deny
			db -> web UDP 80 Allow
			db -> job UDP 80 Deny`,
	},
	{
		name: "labels that are added",
		objects: gnp("db", `
			selector: projectcalico.org/namespace == 'shop' && app == 'db'
			types: [Ingress, Egress]
			ingress:
			- {action: Allow, protocol: TCP, destination: {ports: [80]}, source: {selector: projectcalico.org/namespace == 'bank'}}
			- {action: Allow, protocol: TCP, destination: {ports: [81]}, source: {selector: pcns.team == 'red'}}
			- {action: Allow, protocol: TCP, destination: {ports: [82]}, source: {selector: projectcalico.org/serviceaccount == 'default'}}
			- {action: Allow, protocol: TCP, destination: {ports: [83]}, source: {selector: pcsa.trust == 'low'}}
			egress: [{action: Allow, destination: {selector: projectcalico.org/orchestrator == 'k8s'}}]`),
		flows: `
			api    -> db TCP 80,83 Allow
			api    -> db TCP 81,82 Deny
			web    -> db TCP 81    Allow
			web    -> db TCP 80,82,83 Deny
			office -> db TCP 81    Allow # the set has its namespace's labels
			office -> db TCP 80    Deny
			job    -> db TCP 82    Allow
			vault  -> db TCP 80,82 Allow
			db -> web    TCP 80    Allow
			db -> vm     TCP 80    Deny
			db -> world  TCP 80    Deny`,
	},
}
