// Package wire is what the CNI plugin and the agent say to each other: a request
// and an answer, each one line of JSON, over a unix socket that belongs to root;
// and the records of pods that both keep beside the socket.
//
// It imports little, because the plugin is run for every pod that starts or ends
// (see package early).
package wire

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/utils"
)

// Bounds of what is taken in. They are far above anything real.
const (
	MaxAddrs = 64       // of one pod
	maxName  = 253      // of a namespace, a pod or a network; of a pod's UID and a container's ID: below
	maxID    = 200      // with the interface it becomes the name of a file
	maxPath  = 4096     // of a network namespace
	maxValid = 1 << 14  // attachments that a GC names
	maxLine  = 4 << 20  // bytes of a request, which is longest for a GC
	maxReply = 64 << 10 // bytes of an answer
)

// Attachment names one interface of one sandbox: what an ADD makes and a DEL ends.
type Attachment struct {
	// Container is the sandbox's ID, as the container runtime gives it.
	Container string `json:"container"`
	// Interface is the name of the interface within the pod: "eth0".
	Interface string `json:"interface"`
}

func (a Attachment) String() string { return a.Container + "/" + a.Interface }

// Check says what is wrong with the attachment.
func (a Attachment) Check() error {
	if err := utils.ValidateContainerID(a.Container); err != nil {
		return fmt.Errorf("container %q: %w", shorten(a.Container), err)
	}
	if len(a.Container) > maxID {
		return fmt.Errorf("container %q: has %d characters: at most %d are taken", shorten(a.Container), len(a.Container), maxID)
	}
	if err := utils.ValidateInterfaceName(a.Interface); err != nil {
		return fmt.Errorf("interface %q: %w", shorten(a.Interface), err)
	}
	if strings.ContainsFunc(a.Interface, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return fmt.Errorf("interface %q: has characters that no interface's name has", shorten(a.Interface))
	}
	return nil
}

// PodID names a pod in one of its sandboxes. A pod whose sandbox is made anew may
// have two for a moment: the end of the old one must not end the new one.
type PodID struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// UID is empty if the container runtime does not tell it.
	UID string `json:"uid,omitempty"`
	Attachment
}

// String returns the pod as people write it, "web/frontend-1".
func (id PodID) String() string { return id.Namespace + "/" + id.Name }

// Pod is a pod whose network has just been made, and which has not sent a packet yet.
type Pod struct {
	PodID
	// Network is the name of the CNI network.
	Network string `json:"network"`
	// Addrs are the pod's addresses, of both families, each once: at least one, at
	// most MaxAddrs, none with a zone or mapped from IPv4 to IPv6.
	Addrs []netip.Addr `json:"addrs"`
	// HostInterface is the host's end of the pod's link, and HostIndex its number,
	// which the kernel never gives twice. They are "" and 0 if the network plugin
	// gives pods no link of their own, or none that could be found.
	HostInterface string `json:"hostInterface,omitempty"`
	HostIndex     int    `json:"hostIndex,omitempty"`
	// MAC is the address of the pod's end of the link, as in "0a:58:0a:f4:01:02", by the
	// result of the plugin that made it; empty if that does not say.
	MAC string `json:"mac,omitempty"`
	// NetNS is the path of the pod's network namespace on the host, which is
	// not a path within the agent's own container.
	NetNS string `json:"netns,omitempty"`
	// Runtime is the name of the program that ran the plugin: "containerd", "crio".
	Runtime string `json:"runtime,omitempty"`
}

// Check says what is wrong with the pod: what it does not refuse can be kept in
// a record and be enforced for.
func (p Pod) Check() error {
	if err := p.Attachment.Check(); err != nil {
		return err
	}
	for _, field := range []struct {
		name, value string
		required    bool
		max         int
	}{
		{"namespace", p.Namespace, true, maxName},
		{"name", p.Name, true, maxName},
		{"uid", p.UID, false, maxName},
		{"network", p.Network, true, maxName},
		{"netns", p.NetNS, false, maxPath},
		{"mac", p.MAC, false, 64},
		{"runtime", p.Runtime, false, 64},
	} {
		switch {
		case field.value == "" && field.required:
			return fmt.Errorf("pod: %s is missing", field.name)
		case len(field.value) > field.max:
			return fmt.Errorf("pod: %s %q has %d characters: at most %d are taken", field.name, shorten(field.value), len(field.value), field.max)
		case strings.ContainsFunc(field.value, notPlain):
			return fmt.Errorf("pod: %s %q has characters other than printable ASCII", field.name, shorten(field.value))
		}
	}
	if p.HostIndex < 0 || p.HostIndex > 0 && p.HostInterface == "" {
		return fmt.Errorf("pod %s: hostIndex is %d, hostInterface %q: expected both or none", p.PodID, p.HostIndex, shorten(p.HostInterface))
	}
	if p.HostInterface != "" {
		if err := (Attachment{Container: p.Container, Interface: p.HostInterface}).Check(); err != nil {
			return fmt.Errorf("pod %s: host %w", p.PodID, err)
		}
	}
	if p.MAC != "" {
		if _, err := net.ParseMAC(p.MAC); err != nil {
			return fmt.Errorf("pod %s: mac: %w", p.PodID, err)
		}
	}
	return p.checkAddrs()
}

func (p Pod) checkAddrs() error {
	if len(p.Addrs) == 0 || len(p.Addrs) > MaxAddrs {
		return fmt.Errorf("pod %s: has %d addresses: expected 1 to %d", p.PodID, len(p.Addrs), MaxAddrs)
	}
	for i, a := range p.Addrs {
		switch {
		case !a.IsValid() || a.Zone() != "" || a.Is4In6():
			return fmt.Errorf("pod %s: address %q: expected a plain IPv4 or IPv6 address", p.PodID, a)
		case a.IsUnspecified() || a.IsLoopback() || a.IsMulticast():
			return fmt.Errorf("pod %s: address %s: is none that a pod can have", p.PodID, a)
		case slices.Contains(p.Addrs[:i], a):
			return fmt.Errorf("pod %s: address %s: is there twice", p.PodID, a)
		}
	}
	return nil
}

// notPlain keeps out what could confuse a log, a terminal or a file's name.
func notPlain(r rune) bool { return r <= ' ' || r > '~' }

// shorten keeps errors about overlong input short.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
