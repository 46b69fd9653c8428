// Package conntrack ends live connections that policy does not allow any more.
// Packets of established connections skip the tables, so a change of the tables
// does not reach them; once the kernel forgets such a connection, its next
// packet meets the tables again.
//
// Tables change first, connections are cut afterwards. A packet that the old
// tables allowed, and that is still on its way through the host while the
// kernel's list is read, may make an entry that this pass does not see; the next
// pass does. So passes run now and then as well, without any change.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/nfnl"
	"github.com/tierwall/tierwall/policy"
)

// Table is the kernel's list of connections in one network namespace. It is not
// safe for concurrent use.
type Table struct {
	conn   *nfnl.Conn
	routes *netlink.Handle
}

// Open opens the list of the network namespace that a file stands for; empty is
// the caller's. It needs CAP_NET_ADMIN there.
func Open(namespace string) (*Table, error) {
	conn, err := nfnl.Dial(namespace)
	if err != nil {
		return nil, fmt.Errorf("conntrack: %w", err)
	}
	routes, err := openRoutes(namespace)
	if err != nil {
		return nil, fmt.Errorf("conntrack: routes: %w", errors.Join(err, conn.Close()))
	}
	return &Table{conn, routes}, nil
}

func openRoutes(namespace string) (*netlink.Handle, error) {
	if namespace == "" {
		return netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	ns, err := netns.GetFromPath(namespace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }()
	return netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
}

// Close closes the sockets.
func (t *Table) Close() error {
	t.routes.Close()
	return t.conn.Close()
}

// retries bounds how often the list is read again that changes meanwhile.
const retries = 5

// Entries reads all connections. A list that keeps changing is not an error:
// connections come and go all the time, and what was there throughout is in it.
func (t *Table) Entries(ctx context.Context) ([]Entry, error) {
	var entries []Entry
	var err error
	for range retries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries = entries[:0]
		var w nfnl.Writer
		w.Begin(unix.NFNL_SUBSYS_CTNETLINK, messageGet, unix.NLM_F_DUMP, unix.AF_UNSPEC)
		w.End()
		err = t.conn.Dump(&w, func(m nfnl.Message) error {
			e, ok, err := parseEntry(m)
			if ok {
				entries = append(entries, e)
			}
			return err
		})
		if !errors.Is(err, nfnl.ErrInterrupted) {
			break
		}
	}
	if err != nil && !errors.Is(err, nfnl.ErrInterrupted) {
		return nil, fmt.Errorf("conntrack: reading: %w", err)
	}
	return entries, nil
}

// Cut ends every connection that is forwarded through this host and that the
// decider denies, and leaves all others alone. Connections of the host's own
// processes are not forwarded: they are cut only if the decider is a ConnectionDecider
// and denies them. A connection that belongs to another (of FTP, for example)
// ends with that one.
func (t *Table) Cut(ctx context.Context, decider dataplane.FlowDecider) ([]Entry, error) {
	local, err := t.localAddrs()
	if err != nil {
		return nil, err
	}
	entries, err := t.Entries(ctx)
	if err != nil {
		return nil, err
	}
	hosts, _ := decider.(ConnectionDecider)
	via := &ways{routes: t.routes, known: map[netip.Addr]string{}}
	var cut []Entry
	denied := map[string]bool{}
	for _, e := range entries {
		if e.master != "" {
			continue
		}
		seen := HostView{OwnSrc: local.Contains(e.Flow.Src), OwnDst: local.Contains(e.Flow.Dst), PreNATDst: e.before, Via: via.to}
		if seen.OwnSrc && seen.OwnDst {
			continue
		}
		if allowed(decider, hosts, e.Flow, seen) {
			continue
		}
		denied[e.original] = true
		cut = append(cut, e)
	}
	for _, e := range entries {
		if denied[e.master] {
			cut = append(cut, e)
		}
	}
	for _, e := range cut {
		if err := t.delete(e); err != nil {
			return cut, fmt.Errorf("conntrack: cutting %v: %w", e, err)
		}
	}
	return cut, nil
}

// allowed reports whether policy allows a connection. hosts is the decider, if it knows of
// the host's own connections; else these are allowed.
func allowed(decider dataplane.FlowDecider, hosts ConnectionDecider, f policy.Flow, seen HostView) bool {
	if !seen.OwnSrc && !seen.OwnDst {
		if egress, ingress := decider.Decide(f); !egress.Allow || !ingress.Allow {
			return false
		}
	}
	return hosts == nil || !hosts.DeniesHost(f, seen)
}

// delete removes an entry; one that is gone already is fine.
func (t *Table) delete(e Entry) error {
	var w nfnl.Writer
	writeDelete(&w, e)
	err := t.conn.Do(&w, 1, nil)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// localAddrs returns the addresses at which the host itself receives.
func (t *Table) localAddrs() (*bart.Lite, error) {
	local := &bart.Lite{}
	// A host without an address of its own sends from the unspecified one.
	local.Insert(netip.PrefixFrom(netip.IPv4Unspecified(), 32))
	local.Insert(netip.PrefixFrom(netip.IPv6Unspecified(), 128))
	filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := t.routes.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("conntrack: reading the host's addresses: %w", err)
		}
		for _, r := range routes {
			if r.Type != unix.RTN_LOCAL || r.Dst == nil {
				continue
			}
			if a, ok := netip.AddrFromSlice(r.Dst.IP); ok {
				ones, _ := r.Dst.Mask.Size()
				local.Insert(netip.PrefixFrom(a.Unmap(), ones).Masked())
			}
		}
	}
	return local, nil
}
