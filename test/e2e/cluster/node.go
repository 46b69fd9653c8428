package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Node is a host of the cluster: a set of namespaces.
type Node struct {
	cluster *Cluster
	name    string
	index   int // 0 for the control plane

	mu      sync.Mutex
	host    *host // nil while it is down
	daemons []*Daemon
}

// Name is the host's name: "n1", "n2", ..., or "cp" for the control plane.
func (n *Node) Name() string { return n.name }

// current is the host that is up, or nil.
func (n *Node) current() *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host
}

// PID is the first process in the node's namespaces, as this process sees it.
// It changes when the node is rebooted.
func (n *Node) PID() int {
	if h := n.current(); h != nil {
		return h.pid
	}
	return 0
}

// disk is the directory of what is the node's own and outlives a reboot.
func (n *Node) disk() string { return filepath.Join(n.cluster.dir, "disks", n.name) }

// CNIConfigDir is the node's /etc/cni/net.d, as a path of the machine. It lives
// for as long as the cluster, reboots included.
func (n *Node) CNIConfigDir() string { return filepath.Join(n.disk(), "cni/net.d") }

// CNIBinDir is the node's /opt/cni/bin, as a path of the machine.
func (n *Node) CNIBinDir() string { return filepath.Join(n.disk(), "cni/bin") }

// Do calls f on a thread that is in the node's network namespace: sockets that
// f makes are the node's. f must not start goroutines that make sockets.
func (n *Node) Do(f func() error) error {
	h := n.current()
	if h == nil {
		return fmt.Errorf("%s: it is down", n.name)
	}
	return enter(h.pidfd, unix.CLONE_NEWNET, f)
}

// Reboot ends everything in the node at once, as if it lost power, and starts it again with its
// disk: what is in /var/lib, /etc and /opt stays; /run, processes, interfaces and packet filters are
// gone. It returns when the kubelet says that the node is ready; pods follow.
func (n *Node) Reboot(ctx context.Context) error {
	if err := n.PowerOff(); err != nil {
		return err
	}
	return n.PowerOn(ctx)
}

// PowerOff is the first half of Reboot.
func (n *Node) PowerOff() error {
	if n.index == 0 {
		return errors.New("cp: it cannot be rebooted, the nodes hang on it")
	}
	n.mu.Lock()
	h := n.host
	n.host = nil
	n.mu.Unlock()
	if h == nil {
		return fmt.Errorf("%s: it is down already", n.name)
	}
	if err := h.end(); err != nil {
		return err
	}
	for _, d := range n.daemons {
		d.ended()
	}
	return n.removeGroups()
}

// PowerOn is the second half of Reboot.
func (n *Node) PowerOn(ctx context.Context) error {
	if n.current() != nil {
		return fmt.Errorf("%s: it is up already", n.name)
	}
	if err := n.boot(); err != nil {
		return err
	}
	for _, d := range n.daemons {
		if err := d.Start(ctx); err != nil {
			return err
		}
	}
	return n.waitReady(ctx)
}

// stopped returns back what belonged to the node, after its end.
func (n *Node) stopped() {
	n.mu.Lock()
	h := n.host
	n.host = nil
	n.mu.Unlock()
	if h != nil {
		_ = h.end() // the janitor ended it
	}
}
