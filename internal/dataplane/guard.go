package dataplane

import (
	"context"
	"net/netip"
)

// Guard is what is known of where local endpoints are, beside what their tables
// say: by which interface their packets come in.
type Guard struct {
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

// Guarded is a Dataplane that drops what comes in by a local endpoint's interface
// with a source that is not the endpoint's, before any table is asked.
type Guarded interface {
	Dataplane
	// SetGuard replaces the guard in one atomic step. Before the first Apply it
	// takes effect with that. On an error the guard is as it was.
	SetGuard(ctx context.Context, g Guard) error
	// Spoofed returns how many packets were dropped for their source, since the
	// tables were made.
	Spoofed(ctx context.Context) (uint64, error)
}
