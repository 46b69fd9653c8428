package kernel

import (
	"context"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// What a dataplane may do beside enforcing tables (see dataplane.Feature) is asked of it here
// and nowhere else. A dataplane that cannot, or that is closed, is asked nothing: that what
// was asked for by a flag can be had is checked when it is opened.

// Requirement is a feature that a setting asks for.
type Requirement struct {
	Feature dataplane.Feature
	Setting string // such as "--check-sources"
}

// HasAntiSpoofing reports whether the dataplane checks the sources of packets.
func (k *Kernel) HasAntiSpoofing() bool { return k.has(dataplane.FeatureAntiSpoofing) }

// HasDNSQueue reports whether the dataplane can hold up answers of DNS servers.
func (k *Kernel) HasDNSQueue() bool { return k.has(dataplane.FeatureDNSQueue) }

func (k *Kernel) has(f dataplane.Feature) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return dataplane.Has(k.dataplane, f)
}

// SetAntiSpoofing says by which interfaces local endpoints send, in one atomic step.
func (k *Kernel) SetAntiSpoofing(ctx context.Context, a dataplane.AntiSpoofing) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.AntiSpoofer); ok {
		return d.SetAntiSpoofing(ctx, a)
	}
	return nil
}

// Spoofed returns how many packets were dropped for their source.
func (k *Kernel) Spoofed(ctx context.Context) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.AntiSpoofer); ok {
		return d.Spoofed(ctx)
	}
	return 0, nil
}

// SpoofedSources returns what was dropped lately, by interface and source; told is false if the dataplane cannot tell.
func (k *Kernel) SpoofedSources(ctx context.Context) (list []dataplane.SpoofedSource, told bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.SpoofReporter); ok {
		list, err = d.SpoofedSources(ctx)
		return list, true, err
	}
	return nil, false, nil
}

// Guards returns what each guard has dropped, and who of the local endpoints was pretended to
// be elsewhere; nothing where the dataplane has no guards.
func (k *Kernel) Guards(ctx context.Context) (list []dataplane.GuardCounter, outside []dataplane.SourceCounter, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, ok := k.dataplane.(dataplane.Guarder)
	if !ok {
		return nil, nil, nil
	}
	if list, err = d.GuardCounters(ctx); err != nil {
		return nil, nil, err
	}
	outside, err = d.OutsideSources(ctx)
	return list, outside, err
}

// SetDNSQueue says which answers of DNS servers are to wait in the kernel's queue, in one
// atomic step.
func (k *Kernel) SetDNSQueue(ctx context.Context, r dataplane.DNSQueueRules) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.DNSQueuer); ok {
		return d.SetDNSQueue(ctx, r)
	}
	return nil
}

// QueuedAnswers returns how many answers of DNS servers the kernel has picked out.
func (k *Kernel) QueuedAnswers(ctx context.Context) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.dataplane.(dataplane.DNSQueuer); ok {
		return d.QueuedAnswers(ctx)
	}
	return 0, nil
}

// CutDue reports whether changes since the last Cut may deny live connections.
func (k *Kernel) CutDue() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.dataplane.(dataplane.Cutter)
	return ok && c.CutDue()
}

// Cut ends the live connections that are denied.
func (k *Kernel) Cut(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c, ok := k.dataplane.(dataplane.Cutter); ok {
		c.Cut(ctx)
	}
}

// ConnectionsCut returns how many connections were ended, by all dataplanes so far.
func (k *Kernel) ConnectionsCut() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.connectionsCut + cutBy(k.dataplane)
}

func cutBy(dp dataplane.Dataplane) uint64 {
	if c, ok := dp.(dataplane.Cutter); ok {
		return c.ConnectionsCut()
	}
	return 0
}

// Fresh reports whether no tables were in force before those of this process.
func (k *Kernel) Fresh() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.dataplane.(dataplane.Resumer)
	return ok && r.Fresh()
}

// Resume has the kernel track the connections that segments are of, as far as policy allows
// them, and returns those.
func (k *Kernel) Resume(ctx context.Context, segments []policy.Flow) ([]policy.Flow, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.dataplane.(dataplane.Resumer); ok {
		return r.Resume(ctx, segments)
	}
	return nil, nil
}

// CompareDNSQueue lists what a kernel that was read back has otherwise than the rules for
// answers of DNS servers say; nothing if it cannot tell.
func CompareDNSQueue(ctx context.Context, readBack dataplane.FlowDecider, r dataplane.DNSQueueRules) ([]string, error) {
	if d, ok := readBack.(dataplane.DNSQueueComparer); ok {
		return d.DNSQueueDifferences(ctx, r)
	}
	return nil, nil
}
