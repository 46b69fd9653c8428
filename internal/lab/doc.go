// Package lab builds hosts and pods as network namespaces on this machine, so
// that policy can be tried on real packets: by tests and by "tierwall demo".
//
// # Layout
//
// A [Lab] has one node, which is a router, and any number of hosts (pods, the
// outside world), each a network namespace joined to the node by a veth pair:
//
//	    host "web-1"             node                 host "outside"
//	┌────────────────┐   ┌──────────────────┐   ┌─────────────────────┐
//	│ eth0 10.0.1.1  │───│ tw1          tw2 │───│ eth0 192.0.2.1      │
//	│ fd00:1::1      │   │ lo 172.31.255.1  │   │ lo 198.51.100.0/24  │
//	└────────────────┘   └──────────────────┘   └─────────────────────┘
//
// Links are point to point, as Calico makes them: a host has its addresses as
// /32 and /128 and its default route at a gateway that exists on the link only
// (169.254.1.1 and fe80::1); the node has one route for each address. Without
// a bridge, every packet between two hosts crosses the node's forward hook,
// and every packet between a host and the node its input and output hooks.
// The node finds the hosts by ARP and neighbour discovery, as a real one does.
// Hosts can be on a bridge instead, as Flannel has them: see [Lab.AddBridge].
//
// A host can be a router and the node of others. A cluster of several nodes is
// such hosts on a bridge of the lab's own node, which is the network between
// them, each with pods that name it as their node; [Host.Route] has them find
// each other's pods.
//
// Connections come from ports 49152-65535 unless a port is asked for.
//
// # Nothing stays behind
//
// The namespaces have no names: file descriptors hold them, and the kernel frees
// them, with all links, routes and nftables tables in them, when the lab is
// closed or the process ends in whatever way. The namespace that the process
// came from is never touched. [Lab.Publish] gives names to the namespaces for
// other programs to use.
//
// # Rights
//
// As root a lab needs nothing else. Other users call [Enter] first, which runs
// the program again as root of a user namespace of its own.
package lab
