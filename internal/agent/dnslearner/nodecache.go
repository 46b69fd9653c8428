package dnslearner

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// A cache on the node (NodeLocal DNSCache) listens at an address that the node alone has,
// 169.254.20.10 as a rule, on an interface that is there for it, and has its packets not
// tracked. It is found by these: an interface of its kind, and a socket for DNS at exactly
// an address of it. Who opens such a socket is a process of the host's own network.

const (
	nodeCacheLink = "nodelocaldns" // as the cache calls its interface
	ipvsLink      = "kube-ipvs0"   // which holds the addresses of all services
	dnsPort       = 53
)

// nodeCaches returns the addresses of this host at which a cache for its pods listens.
func nodeCaches() ([]netip.Addr, error) {
	addrs, err := cacheAddrs()
	if err != nil || len(addrs) == 0 {
		return nil, err
	}
	var listening []netip.Addr
	for _, name := range []string{"udp", "udp6"} {
		// Of this thread's network namespace: that of the process may be another.
		f, err := os.Open("/proc/thread-self/net/" + name)
		if os.IsNotExist(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		found, err := readSockets(f, dnsPort)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		listening = append(listening, found...)
	}
	return slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !slices.Contains(listening, a) }), nil
}

// cacheAddrs returns the addresses of interfaces as a cache makes them.
func cacheAddrs() ([]netip.Addr, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("interfaces: %w", err)
	}
	var out []netip.Addr
	for _, l := range links {
		name := l.Attrs().Name
		if name != nodeCacheLink && (l.Type() != "dummy" || name == ipvsLink) {
			continue
		}
		list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", name, err)
		}
		for _, a := range list {
			// A link-local address of IPv6 is one that the kernel has made.
			if ip, ok := netip.AddrFromSlice(a.IP); ok && !(ip.Is6() && ip.Unmap().IsLinkLocalUnicast()) {
				out = append(out, ip.Unmap())
			}
		}
	}
	return out, nil
}

// maxSockets bounds what is read of the kernel's list.
const maxSockets = 1 << 16

// readSockets reads /proc/net/udp or udp6, and returns the addresses to which sockets of a
// port are bound: not those of sockets that are bound to none.
func readSockets(r io.Reader, port uint16) ([]netip.Addr, error) {
	var out []netip.Addr
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan() && n < maxSockets; n++ {
		fields := strings.Fields(lines.Text())
		if n == 0 || len(fields) < 2 {
			continue // the heading
		}
		if a, p, ok := parseSocket(fields[1]); ok && p == port && !a.IsUnspecified() {
			out = append(out, a)
		}
	}
	return out, lines.Err()
}

// parseSocket reads "0A14FEA9:0035": words of an address as numbers of this machine, and
// a port.
func parseSocket(text string) (netip.Addr, uint16, bool) {
	addr, port, found := strings.Cut(text, ":")
	b, err := hex.DecodeString(addr)
	p, err2 := hex.DecodeString(port)
	if !found || err != nil || err2 != nil || len(p) != 2 || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, 0, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap(), binary.BigEndian.Uint16(p), true
}
