package translate_test

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// Values that goldens are written with.

var (
	netipAddr   netip.Addr
	netipPrefix netip.Prefix
)

func sel(text string) *selector.Selector { return selector.MustParse(text) }

func entities(text string) *policy.PeerSet { return &policy.PeerSet{Selector: sel(text)} }

// endpointsOf is what Kubernetes selectors denote.
func endpointsOf(text string) *policy.PeerSet {
	return &policy.PeerSet{Selector: sel(text), EndpointsOnly: true}
}

func nets(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func proto(p policy.Protocol) *policy.Protocol { return &p }

func octet(n uint8) *uint8 { return &n }

// ports are single ones by number.
func ports(numbers ...uint16) *policy.Ports {
	out := &policy.Ports{}
	for _, n := range numbers {
		out.Ranges = append(out.Ranges, policy.PortRange{First: n, Last: n})
	}
	return out
}

func labels(pairs ...string) selector.Labels {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return selector.NewLabels(m)
}

func ingress(rules ...policy.Rule) [2][]policy.Rule {
	return [2][]policy.Rule{policy.Ingress: rules}
}

func egress(rules ...policy.Rule) [2][]policy.Rule {
	return [2][]policy.Rule{policy.Egress: rules}
}

func governs(directions ...policy.Direction) [2]bool {
	var out [2]bool
	for _, d := range directions {
		out[d] = true
	}
	return out
}

// withTier adds a tier that policies of the tests are in.
const tierApplication = `
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: application}
spec: {order: 300}
---
`
