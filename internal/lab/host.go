package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/vishvananda/netns"
)

// Host is one network namespace of a lab: the node, a pod, the outside world.
// Its methods may be called concurrently.
type Host struct {
	lab    *Lab
	name   string
	iface  string // the node's side of the link; empty for the node
	node   *Host  // that the link leads to; nil for the lab's node
	router bool
	// bridge is what the link is plugged into; nil: nothing.
	bridge *BridgeConfig
	addrs  []netip.Addr
	nets   []netip.Prefix

	nsMu sync.RWMutex
	ns   netns.NsHandle // closed only with nsMu held

	mu      sync.Mutex
	servers map[service]*server
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Addrs returns the host's addresses, without those of its nets.
func (h *Host) Addrs() []netip.Addr { return slices.Clone(h.addrs) }

// Addr4 returns the host's first IPv4 address, the zero Addr if it has none.
func (h *Host) Addr4() netip.Addr { return h.first(true) }

// Addr6 returns the host's first IPv6 address, the zero Addr if it has none.
func (h *Host) Addr6() netip.Addr { return h.first(false) }

func (h *Host) first(is4 bool) netip.Addr {
	for _, a := range h.addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return netip.Addr{}
}

// Interface returns the name of the node's side of the host's link; it is empty
// for the node.
func (h *Host) Interface() string { return h.iface }

// FD returns the file descriptor of the network namespace, for libraries that take
// one. It belongs to the lab: do not close it.
func (h *Host) FD() int {
	h.nsMu.RLock()
	defer h.nsMu.RUnlock()
	return int(h.ns)
}

// EnterCommand returns the start of a shell command that runs a program in the
// host, while this process lives: "nsenter --net=/proc/123/fd/7".
func (h *Host) EnterCommand() string {
	user := ""
	if inside() {
		user = fmt.Sprintf(" --user=/proc/%d/ns/user --preserve-credentials", os.Getpid())
	}
	return fmt.Sprintf("nsenter%s --net=/proc/%d/fd/%d", user, os.Getpid(), h.FD())
}

// Do runs the function in the host's network namespace and gives its error. The
// sockets it makes and the processes it starts belong to the host and stay there
// afterwards: h.Do(cmd.Start) runs a command in the host. Goroutines that it
// starts do not run in the host.
func (h *Host) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("lab: the function ended its goroutine")
		defer func() { result <- err }()
		// The thread changes its namespace. If it cannot be changed back, the
		// goroutine ends locked to it and the runtime discards the thread.
		runtime.LockOSThread()
		if enterErr := h.enter(); enterErr != nil {
			err = fmt.Errorf("lab: enter the namespace of %s: %w", h.name, enterErr)
			return
		}
		defer func() {
			if base, baseErr := baseNamespace(); baseErr == nil && netns.Set(base) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = f()
	}()
	return <-result
}

// enter puts the thread into the host's namespace.
func (h *Host) enter() error {
	h.nsMu.RLock()
	defer h.nsMu.RUnlock()
	if !h.ns.IsOpen() {
		return errors.New("it is closed")
	}
	return netns.Set(h.ns)
}

// DialContext connects from the host; the address must be an IP address with a
// port, not a name. It suits http.Transport.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.dial(ctx, net.Dialer{}, network, address)
}

// DialFrom is DialContext from the given address of the host and source port; a
// zero address or port leaves the choice to the kernel.
func (h *Host) DialFrom(ctx context.Context, network string, from, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: localAddr(network, from)}
	return h.dial(ctx, d, network, to.String())
}

func (h *Host) dial(ctx context.Context, d net.Dialer, network, address string) (net.Conn, error) {
	d.Control = shareSource
	d.SetMultipathTCP(false)
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens in the host as net.Listen does.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	lc := net.ListenConfig{Control: allowAnySource}
	lc.SetMultipathTCP(false)
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = lc.Listen(context.Background(), network, address)
		return err
	})
	return ln, err
}

// ListenPacket listens in the host as net.ListenPacket does.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: allowAnySource}
	var conn net.PacketConn
	err := h.Do(func() (err error) {
		conn, err = lc.ListenPacket(context.Background(), network, address)
		return err
	})
	return conn, err
}

// close ends the servers and lets go of the namespace.
func (h *Host) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, s := range h.servers {
		errs = append(errs, s.close())
	}
	h.servers = nil
	h.nsMu.Lock()
	defer h.nsMu.Unlock()
	if h.ns.IsOpen() {
		errs = append(errs, h.ns.Close())
	}
	return errors.Join(errs...)
}
