package enforceable

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// Addresses of services are not tierwall's to translate: kube-proxy or something in its place does it, and policy
// is asked about the endpoint that a connection ends at. When somebody flushes those rules, connections to services
// meet policy with an address that no rule is about, and end nowhere: whoever looks at policy first should
// learn why.

// serviceProxy is a program that translates addresses of services by rules, and how it is known: by a chain that is
// never without rules.
type serviceProxy struct {
	name         string
	table, chain string // of nftables, and of iptables where legacy
	legacy       bool
}

var serviceRules = []serviceProxy{
	{name: "kube-proxy", table: "nat", chain: "KUBE-SERVICES", legacy: true},
	{name: "kube-proxy in nftables mode", table: "kube-proxy", chain: "services"},
}

// serviceInterfaces are those of programs that translate addresses of services without rules that we know.
var serviceInterfaces = map[string]string{
	ipvsInterface: "kube-proxy in IPVS mode", "kube-dummy-if": "kube-router", "cilium_host": "Cilium", "bpfin.cali": "Calico's eBPF dataplane",
	"antrea-gw0": "Antrea", "ovn-k8s-mp0": "OVN-Kubernetes", "ovn0": "Kube-OVN",
}

// serviceProxies returns those of which there are rules.
func serviceProxies(conn *nfnl.Conn) (names []string, err error) {
	legacy, err := legacyChains("nat")
	for _, p := range serviceRules {
		found := p.legacy && legacy[p.chain] > 0
		for _, family := range []uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
			if found {
				break
			}
			var failed error
			found, failed = hasRules(conn, family, p.table, p.chain)
			err = errors.Join(err, failed)
		}
		if found {
			names = append(names, p.name)
		}
	}
	return names, err
}

// hasRules reports whether a chain of nftables is there and has a rule.
func hasRules(conn *nfnl.Conn, family uint8, table, chain string) (bool, error) {
	if there, err := exists(conn, unix.NFT_MSG_GETCHAIN, family, table, chain); err != nil || !there {
		return false, err
	}
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, family)
	w.String(unix.NFTA_RULE_TABLE, table)
	w.String(unix.NFTA_RULE_CHAIN, chain)
	w.End()
	found := false
	err := conn.Dump(&w, func(m nfnl.Message) error {
		found = found || m.Attrs.Get(unix.NFTA_RULE_TABLE).String() == table && m.Attrs.Get(unix.NFTA_RULE_CHAIN).String() == chain
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return found, err
}

// services keeps whether addresses of services are translated on this host.
type services struct {
	had  []string // what translated them before, if anything ever did
	gone bool     // and nothing does any more
}

// look takes in what there is now.
func (s *services) look(h Host) {
	now := slices.Clone(h.Programs.ServiceProxies)
	for _, i := range h.Links.Interfaces {
		if name, known := serviceInterfaces[i.Name]; known {
			now = append(now, name)
		}
	}
	if s.gone = len(now) == 0 && len(s.had) > 0; !s.gone {
		s.had = now
	}
}

// warning says what is wrong; "" if nothing is.
func (s *services) warning() string {
	if !s.gone {
		return ""
	}
	return fmt.Sprintf("the rules of %s are gone, and nothing else translates addresses of services on this host: connections to services end nowhere, whatever policy says; start its pod again",
		strings.Join(s.had, " and "))
}
