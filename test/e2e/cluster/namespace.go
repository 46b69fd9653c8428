package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/test/e2e/internal/keeper"
)

// Namespace is the network namespace of a pod: a test can be in a pod without a program of the
// pod's. It does not outlive the pod: what is opened in it does, without a link to anywhere.
type Namespace struct {
	fd int
}

// ErrNoPod is that no pod of the node has an address.
var ErrNoPod = errors.New("no pod has the address")

// PodNamespace finds the pod of the node that has the address. Close it when done.
func (n *Node) PodNamespace(address netip.Addr) (*Namespace, error) {
	// The node's /run is not the machine's.
	dir := fmt.Sprintf("/proc/%d/root/run/netns", n.PID())
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	for _, e := range entries {
		ns, err := netns.GetFromPath(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // gone just now
		}
		if hasAddress(ns, address) {
			return &Namespace{int(ns)}, nil
		}
		_ = ns.Close()
	}
	return nil, fmt.Errorf("%s: %s: %w", n.name, address, ErrNoPod)
}

func hasAddress(ns netns.NsHandle, address netip.Addr) bool {
	nl, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return false
	}
	defer nl.Close()
	all, err := nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false
	}
	for _, a := range all {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip.Unmap() == address.Unmap() {
			return true
		}
	}
	return false
}

// Close returns the namespace back.
func (n *Namespace) Close() error { return unix.Close(n.fd) }

// Do calls f on a thread that is in the namespace; see Node.Do.
func (n *Namespace) Do(f func() error) error { return enter(n.fd, unix.CLONE_NEWNET, f) }

// Dial connects from the pod. The address must be an IP address with a port.
func (n *Namespace) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	return dialFrom(ctx, n, network, address)
}

// Listen listens in the pod.
func (n *Namespace) Listen(network, address string) (l net.Listener, err error) {
	err = n.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket listens in the pod, for packets.
func (n *Namespace) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = n.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial connects from the node. The address must be an IP address with a port.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialFrom(ctx, n, network, address)
}

func dialFrom(ctx context.Context, where interface{ Do(func() error) error }, network, address string) (conn net.Conn, err error) {
	err = where.Do(func() (err error) {
		var d net.Dialer
		d.SetMultipathTCP(false)
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Processes returns the PIDs, as this process sees them, of the pods' processes on the node whose
// arguments match.
func (n *Node) Processes(match func(argv []string) bool) ([]int, error) {
	dirs, err := keeper.Groups(n.group())
	if err != nil || len(dirs) == 0 {
		return nil, fmt.Errorf("%s: control groups: %w", n.name, err)
	}
	var pids []int
	err = filepath.WalkDir(dirs[0], func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // ended just now, as below
		}
		if err != nil || e.Name() != "cgroup.procs" {
			return err
		}
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			argv, err := os.ReadFile("/proc/" + field + "/cmdline")
			if pid, _ := strconv.Atoi(field); err == nil && match(strings.Split(strings.TrimSuffix(string(argv), "\x00"), "\x00")) {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}
