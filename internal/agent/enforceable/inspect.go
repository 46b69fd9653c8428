package enforceable

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// ours is how the names of this program's tables begin.
const ours = "tierwall"

// Inspect looks for other programs in the caller's network namespace. It needs CAP_NET_ADMIN. What
// could not be looked at is in the error; the rest holds nevertheless.
func Inspect() (Programs, error) {
	var p Programs
	conn, err := nfnl.Dial("")
	if err != nil {
		return p, fmt.Errorf("look for other engines: %w", err)
	}
	defer func() { _ = conn.Close() }()
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("look for %s: %w", what, err))
		}
	}
	legacy, err := legacyChains("filter")
	note("chains of iptables", err)
	for _, e := range engines {
		found, err := e.present(conn, legacy)
		note(e.name, err)
		if found {
			p.Engines = append(p.Engines, e.name)
		}
	}
	p.ServiceProxies, err = serviceProxies(conn)
	note("what translates addresses of services", err)
	p.Flowtables, err = flowtables(conn)
	note("flowtables", err)
	p.Flowtables = append(p.Flowtables, offloadModules("/sys/module")...)
	p.Filters, err = filters()
	note("filters of traffic control", err)
	return p, errors.Join(errs...)
}

// present reports whether an engine has a chain or a table.
func (e *engine) present(conn *nfnl.Conn, legacy map[string]int) (bool, error) {
	for _, chain := range e.chains {
		if _, found := legacy[chain]; found {
			return true, nil
		}
		for _, family := range []uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
			if found, err := exists(conn, unix.NFT_MSG_GETCHAIN, family, "filter", chain); err != nil || found {
				return found, err
			}
		}
	}
	for _, table := range e.tables {
		for _, family := range []uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6, unix.NFPROTO_INET} {
			if found, err := exists(conn, unix.NFT_MSG_GETTABLE, family, table, ""); err != nil || found {
				return found, err
			}
		}
	}
	return false, nil
}

// exists asks for one table of nftables, or one chain of it.
func exists(conn *nfnl.Conn, typ, family uint8, table, chain string) (bool, error) {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, unix.NLM_F_ACK, family)
	w.String(unix.NFTA_TABLE_NAME, table) // a chain's table is an attribute of the same number
	if chain != "" {
		w.String(unix.NFTA_CHAIN_NAME, chain)
	}
	w.End()
	err := conn.Do(&w, 1, nil)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// The kernel's numbers for flowtables, which package unix does not have.
const (
	msgGetFlowtable   = 23 // NFT_MSG_GETFLOWTABLE
	attrFlowtableTab  = 1  // NFTA_FLOWTABLE_TABLE
	attrFlowtableName = 2  // NFTA_FLOWTABLE_NAME
)

// flowtables lists those of other programs.
func flowtables(conn *nfnl.Conn) ([]string, error) {
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, msgGetFlowtable, unix.NLM_F_DUMP, unix.NFPROTO_UNSPEC)
	w.End()
	var names []string
	err := conn.Dump(&w, func(m nfnl.Message) error {
		table, name := m.Attrs.Get(attrFlowtableTab).String(), m.Attrs.Get(attrFlowtableName).String()
		if !strings.HasPrefix(table, ours) {
			names = append(names, fmt.Sprintf("flowtable %s of table %s", name, table))
		}
		return nil
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return nil, nil // this kernel has none
	}
	slices.Sort(names)
	return names, err
}

// offloadModules lists modules that do what flowtables do for rules of iptables, if some rule uses them.
func offloadModules(dir string) []string {
	const module = "xt_FLOWOFFLOAD"
	users, err := os.ReadFile(dir + "/" + module + "/refcnt")
	if count := strings.TrimSpace(string(users)); err != nil || count == "" || count == "0" {
		return nil
	}
	return []string{"iptables target FLOWOFFLOAD"}
}

// filters lists those by which programs or redirections take what comes in at interfaces that may be pods'.
func filters() ([]Filter, error) {
	qdiscs, err := netlink.QdiscList(nil)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	var list []Filter
	for _, q := range qdiscs {
		parent := uint32(0)
		switch q.Type() {
		case "clsact":
			parent = netlink.HANDLE_MIN_INGRESS
		case "ingress":
			parent = 0xffff0000 // "ffff:"
		default:
			continue
		}
		link, err := netlink.LinkByIndex(q.Attrs().LinkIndex)
		if err != nil {
			continue // it went away
		}
		found, err := netlink.FilterList(link, parent)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			continue // so did its filters
		}
		for _, f := range found {
			if t, takes := taking(f); takes {
				list = append(list, Filter{link.Attrs().Name, t})
			}
		}
	}
	slices.SortFunc(list, func(a, b Filter) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Program, b.Program))
	})
	return slices.Compact(list), nil
}

// taking reports whether a filter may take packets away from the stack: by an eBPF program, whose
// name it returns, or by sending them to another interface.
func taking(f netlink.Filter) (program string, takes bool) {
	var actions []netlink.Action
	switch f := f.(type) {
	case *netlink.BpfFilter:
		return f.Name, f.Name != ""
	case *netlink.U32:
		actions = f.Actions
	case *netlink.MatchAll:
		actions = f.Actions
	case *netlink.Flower:
		actions = f.Actions
	}
	for _, a := range actions {
		if m, ok := a.(*netlink.MirredAction); ok && (m.MirredAction == netlink.TCA_EGRESS_REDIR || m.MirredAction == netlink.TCA_INGRESS_REDIR) && !comesBack(m.Ifindex) {
			return "", true
		}
	}
	return "", false
}

// comesBack reports whether packets that are sent to an interface come back to where they were taken: those
// of an ifb do, by which plugins limit bandwidth.
func comesBack(index int) bool {
	l, err := netlink.LinkByIndex(index)
	return err == nil && l.Type() == "ifb"
}
