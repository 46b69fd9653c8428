package dataplane

import (
	"context"

	"github.com/tierwall/tierwall/policy"
)

// What tables can be asked. FlowDecider is required of all: of State, of what a backend
// should have in force, of what was read back from a kernel. The others are optional
// parts, of a kernel's tables above all; who verifies them asks as much as they can tell:
//
//	HostDecider        what host endpoints decide at one hook
//	HookDecider        what all base chains at one hook do to a packet
//	LinkDecider        what guards do to a frame on its link
//	AttachmentLister   at which attachments host endpoints govern
//	BoundaryLister     where verdicts may change
//	DNSQueueComparer   what the rules for answers of DNS servers differ in

// Verdict is what tables say of one end of a flow.
type Verdict struct {
	Governed bool // false: the end has no say
	Allow    bool
	Decider  DeciderID
}

// FlowDecider decides flows by tables.
type FlowDecider interface {
	Decide(f policy.Flow) (egress, ingress Verdict)
	// DecideToNode decides what a local endpoint sends to the node that it is on.
	DecideToNode(f policy.Flow) Verdict
}

// HostDecider decides what host endpoints say at one hook, failsafes aside.
type HostDecider interface {
	// DecideHost decides a flow at the attachment of a hook and an interface. An
	// interface without an attachment of its own has that of all interfaces.
	DecideHost(at AttachmentKey, f policy.Flow) Verdict
}

// HookDecider is a kernel whose base chains can be walked. Both hooks of forwarding
// stand for all that happens where packets are routed, unless a packet is Alone.
type HookDecider interface {
	// AtHook walks all base chains that are at the place of a hook in the kernel,
	// policies of base chains included, as a packet does.
	AtHook(h policy.Hook, p HookPacket) HookOutcome
	// Misplaced says what is wrong with where base chains are, one line each.
	Misplaced() []string
	// Links returns the numbers of interfaces of local endpoints, of which the kernel
	// checks the sources of packets.
	Links() []uint32
	// Failsafes returns what the kernel holds always open.
	Failsafes() []policy.Failsafe
}

// AttachmentLister is a kernel that says where host endpoints govern.
type AttachmentLister interface {
	// Attachments lists the attachments, in no order. Their node is not known there.
	Attachments() []AttachmentKey
}

// BoundaryLister is a kernel that says where its verdicts may change.
type BoundaryLister interface {
	Boundaries() Boundaries
}

// DNSQueueComparer is a kernel whose rules for answers of DNS servers can be compared.
type DNSQueueComparer interface {
	// DNSQueueDifferences lists what they have otherwise than r, one line each. It reads
	// the kernel.
	DNSQueueDifferences(ctx context.Context, r DNSQueueRules) ([]string, error)
}
