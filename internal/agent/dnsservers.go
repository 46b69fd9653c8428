package agent

import (
	"bufio"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/policy"
)

// DefaultDNSService is the name that clusters give to their DNS service, whatever
// program is behind it.
var DefaultDNSService = policy.Key{Kind: "Service", Namespace: "kube-system", Name: "kube-dns"}

// resolvConfs are where a host names its resolvers. With systemd-resolved the first
// names a stub on the host itself, which pods cannot use; the other names those that
// kubelets hand on to pods.
var resolvConfs = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// servers returns the servers that are trusted, sorted.
func (n *names) servers(a *agent) []netip.Addr {
	all := slices.Clone(n.cfg.Servers)
	if all == nil {
		files := n.cfg.ResolvConf
		if files == nil {
			files = resolvConfs
		}
		for _, path := range files {
			found, err := readResolvConf(path)
			if err != nil {
				a.log.Warn("the host's DNS servers cannot be read, so they are not trusted", "error", err)
			}
			all = append(all, found...)
		}
		all = append(all, n.service...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
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

// noteDNSService takes in what a batch says of the cluster's DNS service.
func (a *agent) noteDNSService(b store.Batch) {
	n := a.names
	if n == nil || n.cfg.Servers != nil {
		return
	}
	before := n.service
	if slices.Contains(b.Deleted, n.cfg.Service) {
		n.service = nil
	}
	for i := range b.Updated {
		if s, ok := b.Updated[i].Object.(*corev1.Service); ok && b.Updated[i].Key == n.cfg.Service {
			n.service = serviceAddrs(s)
		}
	}
	a.retap = a.retap || !slices.Equal(before, n.service)
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
