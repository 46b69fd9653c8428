package kernel

import (
	"context"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// What a dataplane may do beside enforcing tables is asked of it here and nowhere
// else. A dataplane that cannot, or that is closed, is asked nothing.

func cutter(dp dataplane.Dataplane) (dataplane.Cutter, bool) {
	c, ok := dp.(dataplane.Cutter)
	return c, ok
}

// stated is a dataplane that can say what should be in force.
type stated interface{ State() *dataplane.State }

// SetAntiSpoofing says by which interfaces local endpoints send, in one atomic step.
func (k *Kernel) SetAntiSpoofing(ctx context.Context, g dataplane.Guard) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.Guarded); ok {
		return d.SetGuard(ctx, g)
	}
	return nil
}

// HasAntiSpoofing reports whether the dataplane checks the sources of packets.
func (k *Kernel) HasAntiSpoofing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.dataplane.(dataplane.Guarded)
	return ok
}

// Spoofed returns how many packets were dropped for their source.
func (k *Kernel) Spoofed(ctx context.Context) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.Guarded); ok {
		return d.Spoofed(ctx)
	}
	return 0, nil
}

// SetDNSQueue says which answers of DNS servers are to wait in the kernel's queue, in one
// atomic step.
func (k *Kernel) SetDNSQueue(ctx context.Context, t dataplane.Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.Tapped); ok {
		return d.SetTap(ctx, t)
	}
	return nil
}

// HasDNSQueue reports whether the dataplane can show answers of DNS servers.
func (k *Kernel) HasDNSQueue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.dataplane.(dataplane.Tapped)
	return ok
}

// QueuedAnswers returns how many answers of DNS servers the kernel has picked out.
func (k *Kernel) QueuedAnswers(ctx context.Context) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.Tapped); ok {
		return d.Answers(ctx)
	}
	return 0, nil
}

// CutDue reports whether changes since the last Cut may deny live connections.
func (k *Kernel) CutDue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := cutter(k.dataplane)
	return ok && c.CutDue()
}

// Cut ends the live connections that are denied.
func (k *Kernel) Cut(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := cutter(k.dataplane); ok {
		c.Cut(ctx)
	}
}

// ConnectionsCut returns how many connections were ended, by all dataplanes so far.
func (k *Kernel) ConnectionsCut() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := cutter(k.dataplane); ok {
		return k.connectionsCut + c.ConnectionsCut()
	}
	return k.connectionsCut
}

// State returns the tables that should be in force; nil if the dataplane cannot tell. It is
// for the loop: the next Apply changes it.
func (k *Kernel) State() *dataplane.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(stated); ok {
		return d.State()
	}
	return nil
}

// Decider finds a decider of the tables in force.
func (k *Kernel) Decider(id dataplane.DeciderID) (d dataplane.Decider, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.dataplane.(stated); ok {
		d, _, _, found = s.State().Decider(id)
	}
	return d, found
}

// CompareDNSQueue lists what a kernel that was read back has otherwise than the rules for
// answers of DNS servers say; nothing if it cannot tell.
func CompareDNSQueue(ctx context.Context, readBack dataplane.FlowDecider, t dataplane.Tap) ([]string, error) {
	d, ok := readBack.(interface {
		TapDifferences(ctx context.Context, t dataplane.Tap) ([]string, error)
	})
	if !ok {
		return nil, nil
	}
	return d.TapDifferences(ctx, t)
}
