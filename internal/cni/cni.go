// Package cni is the agent's part of the chained CNI plugin, "tierwall cni".
//
// A pod's network is made by the container runtime, which runs the plugins of the
// host's CNI configuration one after the other. Ours is the last: it holds the pod
// up until the agent has the pod's policy in the kernel, so that no packet of a
// pod is ever decided without it.
//
//   - [Server] answers the plugin on a unix socket within the agent, and keeps a
//     record of every pod, so that the next agent knows their addresses at once.
//   - [Installer] puts the plugin into the runtime's directories, keeps it there,
//     and takes it away.
//   - Package plugin is the other end, package wire what they say to each other,
//     package conflist changes a CNI configuration without disturbing the rest of it.
package cni

import (
	"context"

	"github.com/tierwall/tierwall/internal/cni/wire"
)

// Pod is a pod whose network has just been made.
type Pod = wire.Pod

// PodID names a pod, in one of its sandboxes.
type PodID = wire.PodID

// Record is a pod that the server knows, since when, and whether the pod started
// although its policy was not in the kernel in time.
type Record = wire.Record

// Paths on a host, unless told otherwise.
const (
	DefaultSocket  = wire.DefaultSocket
	DefaultConfDir = "/etc/cni/net.d"
	DefaultBinDir  = "/opt/cni/bin"
)

// Enforcer puts the policy of pods into the kernel of this host. Both methods are
// called from many goroutines at once, for one PodID from one at a time.
type Enforcer interface {
	// Ensure takes in that the pod is on this host with these addresses, which holds
	// from now on until Forget, whatever Ensure returns and whatever the API
	// says about the pod's addresses; and waits until the kernel holds the
	// policy of the pod for all of them. It returns nil then, at once if it does
	// already. If the context ends first, its error says what it was waiting for.
	//
	// A pod that the store does not know yet is waited for. A PodID that is told again
	// replaces what was told before. An address belongs to whom it was told of
	// last: the server forgets the one before first.
	Ensure(ctx context.Context, pod Pod) error
	// Forget takes back what Ensure took in. It does not wait for the kernel. A
	// PodID that is not known is no error.
	Forget(ctx context.Context, id PodID)
}
