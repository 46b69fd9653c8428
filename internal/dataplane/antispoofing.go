package dataplane

import "net/netip"

// AntiSpoofing is what is known of where local endpoints are, beside what their tables
// say: by which interface their packets come in.
type AntiSpoofing struct {
	// Links are the interfaces of local endpoints, at most one of each.
	Links []Link
	// PodNets are ranges in which this node has endpoints only: an address in them
	// that is none of Locals has no traffic. Nil leaves such addresses alone.
	PodNets []netip.Prefix
}

// Link is an interface that leads to one local endpoint and to nothing else.
type Link struct {
	Index int // the kernel's number of it
	// Port says that it is a port of a bridge.
	Port bool
	// Addrs are the addresses that packets from it may have as their source.
	Addrs []netip.Addr
}
