package dataplane

import (
	"context"
	"net/netip"
)

// Tap says which answers of DNS servers are shown to somebody who holds them up
// until what they state is in force.
type Tap struct {
	// Servers are the servers that are trusted, by the addresses at which clients ask
	// them: for a service, its own address. Without any there is no tap.
	Servers []netip.Addr
	// Clients are who the answers are for.
	Clients []netip.Addr
	// Queue is the number of the kernel's queue in which answers wait. What nobody
	// takes out of the queue, because nobody has opened it, passes.
	Queue uint16
}

// Tapped is a Dataplane that can show answers of DNS servers.
type Tapped interface {
	Dataplane
	// SetTap replaces the tap in one atomic step. On an error it is as it was.
	SetTap(ctx context.Context, t Tap) error
	// Answers returns how many packets with answers the kernel has put into the queue,
	// or would have if somebody had opened it, since the tap was made.
	Answers(ctx context.Context) (uint64, error)
}
