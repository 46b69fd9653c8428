package judges

// podNamed writes a pod of namespace shop with the label app: db, beside the db of
// the cluster.
func podNamed(name, metadata, spec, status string) string {
	return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: shop, labels: {app: db}" + metadata + "}\n" +
		"spec: {nodeName: node-1, " + spec + "containers: [{name: c}]}\nstatus: {" + status + "}\n"
}

// The addresses of web, for a pod that claims them as well.
const claimsWeb = `podIPs: [{ip: 10.65.1.1}, {ip: "fd00:65:1::1"}]`

// noDB denies all to the pods of shop with the label app: db; onlyDB lets them,
// and no one else, reach the vault.
var (
	noDB = knp("shop/no-db", `
			podSelector: {matchLabels: {app: db}}`)
	onlyDB = knp("bank/only-db", `
			podSelector: {matchLabels: {app: db}}
			ingress:
			- from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: db}}}]`)
)

// Who has an address: pods that come, go, and are handed one.
var handoverRows = []row{
	{
		name:    "hand-over: the pod that its node has begun to run last has the address",
		objects: noDB + onlyDB + podNamed("next", "", "", claimsWeb+`, startTime: "2026-11-21T10:00:00Z"`),
		flows: `
			world -> web   TCP 80 Deny
			web   -> vault TCP 80 Allow
			job   -> vault TCP 80 Deny`,
	},
	{
		name: "hand-over: one that is about to end has nothing to say",
		objects: noDB + onlyDB + podNamed("next", `, deletionTimestamp: "2026-11-21T10:01:00Z"`, "",
			claimsWeb+`, startTime: "2026-11-21T10:00:00Z"`),
		flows: `
			world -> web   TCP 80 Allow
			web   -> vault TCP 80 Deny`,
	},
	{
		name:    "hand-over: one that is about to end keeps an address that no other claims",
		objects: noDB + onlyDB + podNamed("db", `, deletionTimestamp: "2026-11-21T10:01:00Z"`, "", `podIPs: [{ip: 10.65.1.2}, {ip: "fd00:65:1::2"}]`),
		flows: `
			world -> db    TCP 80 Deny
			db    -> vault TCP 80 Allow`,
	},
	{
		name: "hand-over: one that has ended has no address, whenever it began",
		objects: noDB + onlyDB + podNamed("done", "", "", claimsWeb+`, phase: Succeeded, startTime: "2026-11-21T10:00:00Z"`) +
			podNamed("failed", "", "", claimsWeb+`, phase: Failed, startTime: "2026-11-21T10:00:01Z"`),
		flows: `
			world -> web   TCP 80 Allow
			web   -> vault TCP 80 Deny`,
	},
	{
		name:    "hand-over: of pods that are equal otherwise, the first by labels",
		objects: noDB + onlyDB + podNamed("same", "", "", claimsWeb),
		flows: `
			world -> web   TCP 80 Deny
			web   -> vault TCP 80 Allow`, // app: db comes before app: web
	},
	{
		name:    "hand-over: one address of two",
		objects: noDB + onlyDB + podNamed("next", "", "", `podIPs: [{ip: 10.65.1.1}], startTime: "2026-11-21T10:00:00Z"`),
		flows: `
			world -> web   TCP 80 v4 Deny
			world -> web   TCP 80 v6 Allow
			web   -> vault TCP 80 v4 Allow
			web   -> vault TCP 80 v6 Deny`,
	},
	{
		name:    "a pod without an address yet",
		objects: noDB + onlyDB + podNamed("pending", "", "", "phase: Pending"),
		flows: `
			world -> web   TCP 80 Allow
			web   -> vault TCP 80 Deny
			world -> db    TCP 80 Deny`,
	},
	{
		name:    "a pod of its node's network is no endpoint, and its address the node's",
		objects: noDB + onlyDB + podNamed("host", "", "hostNetwork: true, ", `podIPs: [{ip: 192.0.2.2}, {ip: "fd00:a::2"}]`),
		flows: `
			web    -> node-2 TCP 80 Allow
			node-2 -> vault  TCP 80 Deny
			db     -> vault  TCP 80 Allow`,
	},
	{
		name:    "a pod with an IPv6 address only",
		objects: noDB + onlyDB + podNamed("db", "", "", `podIPs: [{ip: "fd00:65:1::2"}]`),
		flows: `
			world -> db    TCP 80 v4 Allow
			world -> db    TCP 80 v6 Deny
			db    -> vault TCP 80 v4 Deny
			db    -> vault TCP 80 v6 Allow`,
	},
}
