package dataplane

import "context"

// Old names, for as long as the agent uses them.

type (
	// Guard is AntiSpoofing.
	Guard = AntiSpoofing
	// Tap is DNSQueueRules.
	Tap = DNSQueueRules
)

// Guarded is AntiSpoofer by its old name.
type Guarded interface {
	Dataplane
	SetGuard(ctx context.Context, g Guard) error
	Spoofed(ctx context.Context) (uint64, error)
}

// Tapped is DNSQueuer by its old name.
type Tapped interface {
	Dataplane
	SetTap(ctx context.Context, t Tap) error
	Answers(ctx context.Context) (uint64, error)
}
