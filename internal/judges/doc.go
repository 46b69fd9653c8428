// Package judges holds one table of cases of docs/semantics.md, and the test that
// puts each of them before all judges: the reference (evaluate), the engine's
// tables in memory, the kernel's tables as they are read back, and real packets
// through those tables. It has no code of its own.
//
// # A row
//
// All rows play in one small cluster (cluster_test.go), which has pods in three
// namespaces, an endpoint without a profile, hosts outside and a few network sets,
// all of them with an address of either family. A row adds objects to it and lists
// connections with the verdict that policy's meaning demands: worked out by hand,
// never copied from a judge.
//
//	{
//		name: "protocol by name",
//		objects: np("shop/db", `
//			selector: app == 'db'
//			ingress: [{action: Allow, protocol: TCP}]`),
//		flows: `
//			web -> db TCP 80  Allow
//			web -> db UDP 80  Deny`,
//	},
//
// A flow reads FROM -> TO PROTOCOL [PORTS | TYPE] [v4|v6] VERDICT:
//
//   - FROM, TO: the name of a pod or host.
//   - TCP, UDP and SCTP need ports, "80" or "80,443"; "5000>80" comes from port
//     5000, otherwise the source port is an ephemeral one.
//   - "ping" is an echo request, of either family. "ICMP 13" and "ICMPv6 130/1" have
//     a type and code, and the family of their name.
//   - Any other protocol is a number.
//   - Without v4 or v6 both families get that verdict.
//
// A # begins a comment.
//
// # Order
//
// One lab and one engine serve the whole table: what differs between a row and
// the one before is one delta. So every row also tests a transition, and rows that
// give their objects the names of others test updates. After each row all that the
// kernel could be asked is compared with the reference, not only the row's flows.
package judges
