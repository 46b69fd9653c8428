package judges

// Section 2: protocols, IP versions, ICMP types and codes.
var protocolRows = []row{
	{
		name: "protocols by name",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP}, {action: Allow, protocol: SCTP}]
			egress: [{action: Allow, protocol: UDP}, {action: Allow, protocol: ICMP}]`),
		flows: `
			web -> db  TCP 80  Allow
			web -> db  SCTP 80 Allow
			web -> db  UDP 80  Deny
			web -> db  ping    Deny
			web -> db  47      Deny
			db  -> web UDP 80  Allow
			db  -> web ping v4 Allow
			db  -> web ping v6 Deny # ICMPv6 is another protocol
			db  -> web TCP 80  Deny
			db  -> web SCTP 80 Deny`,
	},
	{
		name: "protocols by number",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: 6}, {action: Allow, protocol: 47}]
			egress: [{action: Allow, protocol: 17}, {action: Allow, protocol: 58}, {action: Allow, protocol: 132}]`),
		flows: `
			web -> db  TCP 80  Allow
			web -> db  47      Allow
			job -> db  253     Deny
			web -> db  UDP 80  Deny
			db  -> web UDP 80  Allow
			db  -> web SCTP 80 Allow
			db  -> web ping v6 Allow
			db  -> web ping v4 Deny
			db  -> job 47      Deny`,
	},
	{
		name: "a raw protocol number",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Deny, protocol: 47}, {action: Allow}]
			egress: [{action: Allow, protocol: 253}]`),
		flows: `
			web -> db  47     Deny
			job -> db  253    Allow
			web -> db  TCP 80 Allow
			db  -> api 253    Allow
			db  -> api 47     Deny`,
	},
	{
		name: "UDPLite, by name and number, is not UDP",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: UDPLite}]
			egress: [{action: Allow, protocol: 136}]`),
		flows: `
			web -> db  UDPLite Allow
			web -> db  UDP 80  Deny
			web -> db  47      Deny
			db  -> api 136     Allow
			db  -> web UDP 80  Deny`,
	},
	{
		name: "UDP is not UDPLite",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: UDP}]
			egress: [{action: Allow, notProtocol: UDPLite}]`),
		flows: `
			web -> db  UDP 80  Allow
			web -> db  UDPLite Deny
			db  -> web UDP 80  Allow
			db  -> api UDPLite Deny`,
	},
	{
		name: "notProtocol, by name and number",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, notProtocol: TCP}]
			egress: [{action: Allow, notProtocol: 47}]`),
		flows: `
			web -> db  TCP 80  Deny
			web -> db  UDP 80  Allow
			web -> db  ping    Allow
			job -> db  47      Allow
			db  -> web TCP 80  Allow
			db  -> web ping    Allow
			db  -> web 47      Deny
			db  -> web 253     Allow`,
	},
	{
		name: "protocol and notProtocol together",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: TCP, notProtocol: TCP}, {action: Allow, protocol: UDP, notProtocol: TCP}]
			egress: [{action: Deny, protocol: UDP, notProtocol: UDP}, {action: Allow}]`),
		flows: `
			web -> db  TCP 80 Deny
			web -> db  UDP 80 Allow
			db  -> web UDP 80 Allow`,
	},
	{
		name: "ipVersion",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Allow, ipVersion: 4, protocol: TCP}
			- {action: Allow, ipVersion: 6, protocol: UDP}
			egress:
			- {action: Deny, ipVersion: 6}
			- {action: Allow}`),
		flows: `
			web -> db  TCP 80 v4 Allow
			web -> db  TCP 80 v6 Deny
			web -> db  UDP 80 v4 Deny
			web -> db  UDP 80 v6 Allow
			db  -> web TCP 80 v4 Allow
			db  -> web TCP 80 v6 Deny
			db  -> web ping v6   Deny`,
	},
	{
		name: "ICMP type, and type with code",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Allow, protocol: ICMP, icmp: {type: 8}}
			- {action: Allow, protocol: ICMP, icmp: {type: 13, code: 2}}
			- {action: Allow, protocol: ICMPv6, icmp: {type: 128, code: 0}}
			egress:
			- {action: Deny, protocol: ICMP, icmp: {type: 8, code: 0}}
			- {action: Allow, protocol: ICMP}
			- {action: Deny, protocol: ICMPv6, icmp: {type: 128, code: 7}}
			- {action: Allow, protocol: ICMPv6, icmp: {type: 128}}`),
		flows: `
			web -> db  ping         Allow
			web -> db  ICMP 13/2    Allow
			web -> db  ICMP 13/1    Deny
			web -> db  ICMP 13      Deny
			web -> db  ICMPv6 144   Deny
			web -> db  ICMPv6 128/1 Deny
			web -> db  TCP 80       Deny
			db  -> web ping v4      Deny
			db  -> web ICMP 8/1     Allow
			db  -> web ICMP 13      Allow
			db  -> web ping v6      Allow
			db  -> web ICMPv6 128/7 Deny
			db  -> web ICMPv6 144   Deny`,
	},
	{
		name: "notICMP",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress:
			- {action: Allow, protocol: ICMP, notICMP: {type: 8}}
			- {action: Allow, protocol: ICMPv6, notICMP: {type: 128, code: 1}}
			egress:
			- {action: Deny, protocol: ICMP, notICMP: {type: 8}}
			- {action: Deny, protocol: ICMPv6, icmp: {type: 128}, notICMP: {type: 128, code: 0}}
			- {action: Allow}`),
		flows: `
			web -> db  ping v4      Deny
			web -> db  ICMP 13      Allow
			web -> db  ping v6      Allow
			web -> db  ICMPv6 128/1 Deny
			web -> db  TCP 80       Deny
			db  -> web ping         Allow
			db  -> web ICMP 13      Deny
			db  -> web ICMPv6 128/3 Deny
			db  -> web TCP 80       Allow`,
	},
	{
		name: "ICMP of the other family never comes",
		objects: np("shop/db", `
			selector: app == 'db'
			ingress: [{action: Allow, protocol: ICMPv6}]
			egress: [{action: Allow, protocol: 1}]`),
		flows: `
			web   -> db    ping v4   Deny
			web   -> db    ping v6   Allow
			world -> db    ICMPv6 128/9 Allow
			db    -> world ping v4   Allow
			db    -> world ping v6   Deny`,
	},
}
