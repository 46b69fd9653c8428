package modeltest

import (
	"net/netip"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// The vocabulary is tiny on purpose: labels, addresses and ports that rules and
// endpoints draw from the same few values meet often.
var (
	namespaces = []string{"blue", "green", "red"}
	ownKeys    = []string{"app", "env", "role"}
	values     = []string{"a", "ab", "b", "ba"}
	nsKeys     = []string{"pcns.team", "pcns.zone"}
	portNames  = []string{"http", "dns", "odd"}

	domains = []string{"a.example", "*.a.example", "c.test"}

	// namespaceKey is the label that every namespaced object has.
	namespaceKey = "projectcalico.org/namespace"

	protocols = []policy.Protocol{
		policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6, policy.UDPLite, 47, 1, 255, 0,
	}
	// portEdges are where ranges begin and end.
	portEdges = []uint16{0, 1, 53, 79, 80, 81, 443, 1023, 1024, 8000, 9000, 49151, 49152, 50000, 65534, 65535}
	icmpEdges = []uint8{0, 3, 8, 128, 129, 255}

	// baseAddrs lie where prefixes are likely to hold several of them. Endpoints
	// hold some of them, others stand for the outside world.
	baseAddrs = [2][]netip.Addr{
		addrs("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.7", "10.0.1.1", "10.0.128.9", "192.168.0.1",
			"0.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.255"),
		addrs("fd00::", "fd00::1", "fd00::2", "fd00::3", "fd00::4", "fd00::7", "fd00::1:1", "fd01::9", "2001:db8::1",
			"::", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
	}
	// endpointAddrs is how many of the base addresses endpoints hold.
	endpointAddrs = 9
	prefixLengths = [2][]int{
		{0, 1, 8, 16, 24, 29, 30, 31, 32},
		{0, 1, 7, 16, 112, 125, 126, 127, 128},
	}
)

func addrs(texts ...string) []netip.Addr {
	out := make([]netip.Addr, len(texts))
	for i, s := range texts {
		out[i] = netip.MustParseAddr(s)
	}
	return out
}

// ownLabels draws the labels that an object has of its own.
func ownLabels(t *rapid.T) map[string]string {
	m := make(map[string]string)
	for _, k := range ownKeys {
		if coin.Draw(t, k) {
			m[k] = one(t, values, "value")
		}
	}
	return m
}

// objectLabels draws the labels of an object of a namespace: its own, and what
// the namespace, whose labels are given, adds. Namespace "" adds nothing.
func objectLabels(t *rapid.T, namespace string, nsLabels map[string]map[string]string) selector.Labels {
	m := ownLabels(t)
	if namespace != "" {
		m[namespaceKey] = namespace
		for k, v := range nsLabels[namespace] {
			m[k] = v
		}
	}
	return selector.NewLabels(m)
}

// namespaceLabels draws the labels that each namespace gives its objects.
func namespaceLabels(t *rapid.T) map[string]map[string]string {
	out := make(map[string]map[string]string)
	for _, ns := range namespaces {
		m := make(map[string]string)
		for _, k := range nsKeys {
			if coin.Draw(t, k) {
				m[k] = one(t, values[:2], "value")
			}
		}
		out[ns] = m
	}
	return out
}

// prefixOf draws a net of a family (0: IPv4, 1: IPv6).
func prefixOf(t *rapid.T, family int) netip.Prefix {
	addr := one(t, baseAddrs[family], "net")
	prefix, err := addr.Prefix(one(t, prefixLengths[family], "bits"))
	if err != nil {
		panic(err) // the lengths fit the family
	}
	return prefix
}

// netsOf draws a few nets, nearly always of one family.
func netsOf(t *rapid.T, lo, hi int) []netip.Prefix {
	family, mixed := below(t, 2, "family"), chance(t, 10, "mixed families")
	return some(t, lo, hi, "nets", func() netip.Prefix {
		if mixed {
			family = below(t, 2, "family")
		}
		return prefixOf(t, family)
	})
}
