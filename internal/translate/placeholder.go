package translate

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// Endpoints of manifests often have no addresses: those come with a cluster.
// Policy decides about addresses, so each gets a placeholder,
// from a block of addresses that no CIDR of the model tells apart: no CIDR lies
// in the block and none holds it, except those that hold a whole family.

// givePlaceholders gives every endpoint without an address one per family. It
// replaces the endpoints that it changes.
func givePlaceholders(m *policy.Model, staged []source.Staged, ipv6 bool) {
	var real4, real6, missing bool
	for _, e := range m.Endpoints {
		for _, a := range e.Addrs {
			real4 = real4 || a.Is4()
			real6 = real6 || !a.Is4()
		}
		missing = missing || lacksAddrs(e)
	}
	if !missing {
		return
	}
	used := prefixesOf(m, staged)
	var families []*addrPool
	if real4 || !real6 {
		families = append(families, newPool(used, blocks4()))
	}
	if ipv6 || real6 && !real4 {
		families = append(families, newPool(used, blocks6()))
	}
	for i, e := range m.Endpoints {
		if !lacksAddrs(e) {
			continue
		}
		changed := *e
		changed.PlaceholderAddrs = true
		for _, pool := range families {
			changed.Addrs = append(changed.Addrs, pool.next())
		}
		m.Endpoints[i] = &changed
	}
}

// lacksAddrs reports whether an endpoint needs a placeholder. A host endpoint does
// not: its host may have addresses that nobody tells.
func lacksAddrs(e *policy.Endpoint) bool { return len(e.Addrs) == 0 && e.Host == nil }

// prefixesOf returns every block of addresses that the model can tell from the
// rest of its family.
func prefixesOf(m *policy.Model, staged []source.Staged) []netip.Prefix {
	seen := map[netip.Prefix]struct{}{}
	add := func(nets []netip.Prefix) {
		for _, p := range nets {
			if p.Bits() > 0 {
				seen[p] = struct{}{}
			}
		}
	}
	addAddrs := func(addrs []netip.Addr) {
		for _, a := range addrs {
			seen[netip.PrefixFrom(a, a.BitLen())] = struct{}{}
		}
	}
	addPolicy := func(p *policy.Policy) {
		for _, rules := range p.Rules {
			for i := range rules {
				for _, side := range []*policy.Peer{&rules[i].Source, &rules[i].Destination} {
					add(side.Nets)
					add(side.NotNets)
				}
			}
		}
	}
	for _, p := range m.Policies {
		addPolicy(p)
	}
	for _, s := range staged {
		addPolicy(s.Policy)
	}
	for _, s := range m.Sets {
		add(s.Nets)
	}
	for _, e := range m.Endpoints {
		addAddrs(e.Addrs)
	}
	for _, n := range m.Nodes {
		addAddrs(n.Addrs)
	}
	out := make([]netip.Prefix, 0, len(seen))
	for p := range seen {
		out = append(out, p)
	}
	return out
}

// addrPool is the addresses of a block, one after the other.
type addrPool struct {
	last netip.Addr
}

func (p *addrPool) next() netip.Addr {
	p.last = p.last.Next()
	return p.last
}

// newPool returns the first block that none of the prefixes touches. If there is
// none (CIDRs that together hold the whole family, each less than all of it), it
// returns the first one that none of them lies in, where at least all addresses
// are alike.
func newPool(used []netip.Prefix, blocks []netip.Prefix) *addrPool {
	fallback := blocks[0]
	found := false
	for _, b := range blocks {
		touched, split := false, false
		for _, p := range used {
			if p.Overlaps(b) {
				touched = true
				split = split || p.Bits() > b.Bits()
			}
		}
		if !touched {
			return &addrPool{last: b.Addr()}
		}
		if !split && !found {
			fallback, found = b, true
		}
	}
	return &addrPool{last: fallback.Addr()}
}

// blocks4 returns the /8s of IPv4: first those that no one uses, 240 to 254, then
// the others, from the top, without loopback and this network.
func blocks4() []netip.Prefix {
	var out []netip.Prefix
	add := func(first byte) {
		out = append(out, netip.PrefixFrom(netip.AddrFrom4([4]byte{first}), 8))
	}
	for first := 240; first < 255; first++ {
		add(byte(first))
	}
	for first := 239; first > 0; first-- {
		if first != 127 {
			add(byte(first))
		}
	}
	return out
}

// blocks6 returns /16s of IPv6: first those of e000::/4, which no one uses, then
// all the others of the same kind, from the top.
func blocks6() []netip.Prefix {
	var out []netip.Prefix
	add := func(first int) {
		out = append(out, netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(first >> 8), byte(first)}), 16))
	}
	for first := 0xe000; first < 0xf000; first++ {
		add(first)
	}
	for first := 0xdfff; first > 0; first-- {
		add(first)
	}
	return out
}
