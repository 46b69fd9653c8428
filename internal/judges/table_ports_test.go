package judges

import "strings"

// Section 2: ports, by number, range and name, on both sides. The names stand for
// other ports on other pods: http is 8080 of web and 9090 of api, sql 5432 of db and
// 6432 of vault.
var portRows = []row{
	{
		name: "destination ports: numbers and ranges",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, "443", "8000:8002", 65535]}}]
			egress: [{action: Allow, protocol: UDP, destination: {ports: ["1:53"]}}]`),
		flows: `
			web -> db  TCP 80,443,8000,8001,8002,65535 Allow
			web -> db  TCP 79,81,7999,8003,65534       Deny
			web -> db  UDP 80                          Deny
			db  -> web UDP 1,53                        Allow
			db  -> web UDP 54                          Deny
			db  -> web TCP 53                          Deny`,
	},
	{
		name: "source ports",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, source: {ports: ["4000:4001"]}}]
			egress: [{action: Allow, protocol: UDP, source: {ports: [4053]}}, {action: Allow, protocol: SCTP, source: {ports: [7]}}]`),
		flows: `
			web -> db  TCP 4000>80 Allow
			web -> db  TCP 4001>81 Allow
			web -> db  TCP 4002>80 Deny
			web -> db  TCP 80      Deny
			db  -> web UDP 4053>99 Allow
			db  -> web UDP 4054>99 Deny
			db  -> web SCTP 7>99   Allow
			db  -> web SCTP 8>99   Deny`,
	},
	{
		name: "source and destination ports together",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, source: {ports: ["4100:4200"]}, destination: {ports: ["80:90"]}}]
			egress: [{action: Deny, protocol: TCP, source: {notPorts: [4300]}, destination: {ports: [80]}}, {action: Allow}]`),
		flows: `
			web -> db  TCP 4100>80 Allow
			web -> db  TCP 4200>90 Allow
			web -> db  TCP 4201>90 Deny
			web -> db  TCP 4200>91 Deny
			db  -> web TCP 4300>80 Allow
			db  -> web TCP 4301>80 Deny
			db  -> web TCP 4301>81 Allow`,
	},
	{
		name: "SCTP ports",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: SCTP, destination: {ports: [sig, "3000:3001"]}}]
			egress: [{action: Allow, protocol: 132, destination: {notPorts: [9]}}]`),
		flows: `
			web -> db  SCTP 2905,3000,3001 Allow
			web -> db  SCTP 2904,3002      Deny
			web -> db  TCP 2905            Deny
			db  -> web SCTP 8              Allow
			db  -> web SCTP 9              Deny`,
	},
	{
		name: "named destination ports, of whoever is the destination",
		objects: gnp("named", `
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [http, sql, 99]}}]`),
		flows: `
			job -> web   TCP 8080 Allow
			job -> web   TCP 9090,5432 Deny
			job -> api   TCP 9090 Allow
			job -> api   TCP 8080 Deny
			job -> db    TCP 5432 Allow
			job -> vault TCP 6432 Allow
			job -> vault TCP 5432 Deny
			web -> vm    TCP 7070 Allow
			web -> job   TCP 8080 Deny
			web -> job   TCP 99   Allow`,
	},
	{
		name: "named destination ports in egress, looked up at the peer",
		objects: np("shop/web", `
			selector: app == 'web'
			egress: [{action: Allow, protocol: TCP, destination: {ports: [sql, http]}}]`),
		flows: `
			web -> db    TCP 5432 Allow
			web -> db    TCP 6432 Deny
			web -> vault TCP 6432 Allow
			web -> vault TCP 5432 Deny
			web -> api   TCP 9090 Allow
			web -> api   TCP 8080 Deny
			web -> world TCP 5432 Deny
			web -> job   TCP 5432 Deny`,
	},
	{
		name: "a named port has a protocol",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: UDP, destination: {ports: [sql, dns]}}, {action: Allow, protocol: TCP, destination: {ports: [dns]}}]`),
		flows: `
			web -> db UDP 5353 Allow
			web -> db TCP 5353 Deny
			web -> db UDP 5432 Deny
			web -> db TCP 5432 Deny`,
	},
	{
		name: "named source ports, looked up at the source",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, source: {ports: [http]}}]
			egress: [{action: Allow, protocol: TCP, source: {ports: [sql]}}]`),
		flows: `
			web   -> db  TCP 8080>80 Allow
			web   -> db  TCP 8081>80 Deny
			web   -> db  TCP 8080    Deny
			api   -> db  TCP 9090>80 Allow
			api   -> db  TCP 8080>80 Deny
			world -> db  TCP 8080>80 Deny
			db    -> web TCP 5432>80 Allow
			db    -> web TCP 5433>80 Deny`,
	},
	{
		name: "notPorts: numbers and ranges, destination and source",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {notPorts: [80, "90:92"]}}]
			egress: [{action: Allow, protocol: UDP, source: {notPorts: ["4000:4001"]}}]`),
		flows: `
			web -> db  TCP 79,81,89,93 Allow
			web -> db  TCP 80,90,91,92 Deny
			web -> db  UDP 81          Deny
			db  -> web UDP 4002>80     Allow
			db  -> web UDP 3999>80     Allow
			db  -> web UDP 4000>80     Deny
			db  -> web UDP 4001>80     Deny`,
	},
	{
		name: "named notPorts: who has no such name passes",
		objects: gnp("named", `
			types: [Ingress, Egress]
			ingress: [{action: Allow, protocol: TCP, destination: {notPorts: [sql, 99]}}]
			egress: [{action: Allow, protocol: TCP, destination: {notPorts: [http]}}]`),
		flows: `
			job   -> db    TCP 5432    Deny
			job   -> db    TCP 6432    Allow
			job   -> vault TCP 6432    Deny
			job   -> vault TCP 5432    Allow
			job   -> web   TCP 5432    Allow
			job   -> web   TCP 99      Deny
			job   -> web   TCP 8080    Deny # egress
			job   -> api   TCP 8080    Allow
			job   -> api   TCP 9090    Deny
			world -> web   TCP 8080    Allow
			job   -> world TCP 8080    Allow
			job   -> world UDP 8080    Deny`,
	},
	{
		name: "named source notPorts",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, source: {notPorts: [http]}}]
			egress: [{action: Allow, protocol: TCP, source: {notPorts: [sql]}}]`),
		flows: `
			web   -> db  TCP 8080>80 Deny
			web   -> db  TCP 9090>80 Allow
			api   -> db  TCP 9090>80 Deny
			world -> db  TCP 8080>80 Allow
			db    -> web TCP 5432>80 Deny
			db    -> web TCP 80      Allow`,
	},
	{
		name: "ports and notPorts together",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, destination: {ports: ["5000:6000"], notPorts: [sql]}}]
			egress: [{action: Allow, protocol: TCP, destination: {ports: [http], notPorts: [8080]}}]`),
		flows: `
			web -> db  TCP 5000,5431,5433,6000 Allow
			web -> db  TCP 5432,4999,6001      Deny
			db  -> web TCP 8080                Deny
			db  -> api TCP 9090                Allow`,
	},
	{
		name: "a name that several ports have",
		objects: strings.Replace(object("v1", "Pod", "lone/job", `
			nodeName: node-1
			containers:
			- {name: a, ports: [{name: web, containerPort: 80}]}
			- {name: b, ports: [{name: web, containerPort: 81}, {name: web, containerPort: 82, protocol: UDP}]}
			`), "spec:", `status: {podIPs: [{ip: 10.65.3.1}, {ip: "fd00:65:3::1"}]}`+"\nspec:", 1) +
			np("lone/job", `
			ingress: [{action: Allow, protocol: TCP, destination: {ports: [web]}}]`),
		flows: `
			web -> job TCP 80,81 Allow
			web -> job TCP 82    Deny`,
	},
}
