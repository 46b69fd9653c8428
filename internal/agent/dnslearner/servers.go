package dnslearner

import (
	"bufio"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// DefaultService is the name that clusters give to their DNS service, whatever
// program is behind it.
var DefaultService = policy.Key{Kind: "Service", Namespace: "kube-system", Name: "kube-dns"}

// resolvConfs are where a host names its resolvers. With systemd-resolved the first
// names a stub on the host itself, which pods cannot use; the other names those that
// kubelets hand on to pods.
var resolvConfs = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// servers are the DNS servers that are trusted.
type servers struct {
	cfg     *Config
	log     *slog.Logger
	service []netip.Addr // the addresses of the cluster's DNS service
}

// list returns the servers that are trusted, sorted.
func (s *servers) list() []netip.Addr {
	all := slices.Clone(s.cfg.Servers)
	if all == nil {
		files := s.cfg.ResolvConf
		if files == nil {
			files = resolvConfs
		}
		for _, path := range files {
			found, err := readResolvConf(path)
			if err != nil {
				s.log.Warn("the host's DNS servers cannot be read, so they are not trusted", "error", err)
			}
			all = append(all, found...)
		}
		caches, err := nodeCaches()
		if err != nil {
			s.log.Warn("a DNS cache of this node cannot be looked for, so none is trusted", "error", err)
		}
		all = slices.Concat(all, s.service, caches)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// follow takes in what a batch says of the cluster's DNS service, and reports whether it has other
// addresses now.
func (s *servers) follow(b *store.Batch) (changed bool) {
	if s.cfg.Servers != nil {
		return false
	}
	before := s.service
	if slices.Contains(b.Deleted, s.cfg.Service) {
		s.service = nil
	}
	for i := range b.Updated {
		if o, ok := b.Updated[i].Object.(*corev1.Service); ok && b.Updated[i].Key == s.cfg.Service {
			s.service = serviceAddrs(o)
		}
	}
	return !slices.Equal(before, s.service)
}

// readResolvConf reads the name servers of a file; none if it is not there. Those
// on the loopback are left out: nobody else's questions get there.
func readResolvConf(path string) ([]netip.Addr, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var servers []netip.Addr
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && !addr.IsLoopback() {
			servers = append(servers, addr.Unmap().WithZone(""))
		}
	}
	return servers, lines.Err()
}

// serviceAddrs returns the addresses at which clients ask a service.
func serviceAddrs(s *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, text := range append([]string{s.Spec.ClusterIP}, s.Spec.ClusterIPs...) {
		if addr, err := netip.ParseAddr(text); err == nil && !slices.Contains(out, addr) { // "None" is none
			out = append(out, addr)
		}
	}
	return out
}

// clients returns whose answers are to be seen, sorted: the pods' and, if it has host endpoints,
// the host's, which asks for itself, and a server on itself from that server's address.
func clients(pods []netip.Addr, hosts bool, servers []netip.Addr) []netip.Addr {
	all := pods
	if hosts {
		all = append(all, hostAddrs()...)
		all = append(all, slices.DeleteFunc(localAddrs(), func(a netip.Addr) bool { return !slices.Contains(servers, a) })...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// hostAddrs returns the addresses of this host at which others answer it.
func hostAddrs() []netip.Addr {
	return slices.DeleteFunc(localAddrs(), func(a netip.Addr) bool { return a.IsLoopback() || a.IsLinkLocalUnicast() })
}

// localAddrs returns the addresses of this host's interfaces.
func localAddrs() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap().WithZone(""))
		}
	}
	return list
}
