package dataplane

import (
	"context"
	"net/netip"
)

// SpoofedSource is what was dropped of one source that came in by one interface.
type SpoofedSource struct {
	Link    int // the kernel's number of the interface
	Source  netip.Addr
	Packets uint64
}

// SpoofReporter is an AntiSpoofer that also tells where what it drops comes in, so that an interface which is
// not the endpoint's alone is noticed. It keeps a bounded number of sources, and forgets those of which nothing comes any more.
type SpoofReporter interface {
	AntiSpoofer
	// SpoofedSources returns what was dropped lately, by interface and source.
	SpoofedSources(ctx context.Context) ([]SpoofedSource, error)
}
