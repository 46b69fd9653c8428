// Package keeper is what runs as the first process of a node and of each pod, and what
// cleans up after a cluster. Package cluster starts it; both know the same types.
package keeper

// The modes of the command, its first argument.
const (
	HostMode    = "host"
	JanitorMode = "janitor"
)

// The file descriptors of a host, beside the standard ones.
const (
	// LifelineFD is the reading end of a pipe: it has a [Host] as JSON, and when
	// it ends, so does the host.
	LifelineFD = 3
	// ReportFD is the writing end of a pipe, for [Ready] or what went wrong.
	ReportFD = 4
)

// Ready is what a host reports when it is set up.
const Ready = "ready"

// Host is what a host's namespaces are like, beyond being its own.
type Host struct {
	Name   string
	Mounts []Mount // in this order
}

// Mount is a mount in a host's mount namespace. Missing directories are made.
type Mount struct {
	Kind   Kind
	Source string // Bind: the directory or file; Overlay: the directory that takes what is written
	Target string
}

// Kind is a kind of mount.
type Kind string

// The kinds of mounts.
const (
	Tmpfs   Kind = "tmpfs"   // an empty directory in memory
	Bind    Kind = "bind"    // the source, at the target as well
	Overlay Kind = "overlay" // the target as it is, to be written to without changing the machine's
	Sysfs   Kind = "sysfs"   // of the host's network namespace, with the machine's control groups in it
	Shared  Kind = "shared"  // no mount: what is mounted below the target from now on is seen in containers too
)
