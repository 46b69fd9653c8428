package nft

import (
	"context"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// Old names, for as long as the agent uses them.

// Pulse is Heartbeat.
type Pulse = Heartbeat

// PulseInterval is HeartbeatInterval.
const PulseInterval = HeartbeatInterval

// OpenPulse is OpenHeartbeat.
func OpenPulse(netns string) (*Heartbeat, error) { return OpenHeartbeat(netns) }

// CompareTap is CompareDNSQueue.
func CompareTap(ctx context.Context, o Options, r dataplane.DNSQueueRules) ([]string, error) {
	return CompareDNSQueue(ctx, o, r)
}

// SetGuard is SetAntiSpoofing.
func (b *Dataplane) SetGuard(ctx context.Context, a dataplane.AntiSpoofing) error {
	return b.SetAntiSpoofing(ctx, a)
}

// SetTap is SetDNSQueue.
func (b *Dataplane) SetTap(ctx context.Context, r dataplane.DNSQueueRules) error {
	return b.SetDNSQueue(ctx, r)
}

// Answers is QueuedAnswers.
func (b *Dataplane) Answers(ctx context.Context) (uint64, error) { return b.QueuedAnswers(ctx) }
