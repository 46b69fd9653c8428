package dns

import (
	"encoding/binary"
	"net/netip"
)

// Reason is why an address that a name has is not one that a domain opens; the zero
// value is none.
type Reason uint8

// The reasons. Those up to Broadcast are of the address alone; the others say whose of
// the cluster it is.
const (
	NoReason Reason = iota
	Unspecified
	Loopback
	LinkLocal
	Multicast
	Broadcast
	ClusterIP
	EndpointAddress
	NodeAddress
)

// Reasons are all of them.
var Reasons = []Reason{Unspecified, Loopback, LinkLocal, Multicast, Broadcast, ClusterIP, EndpointAddress, NodeAddress}

var reasonTexts = [...]struct{ label, text string }{
	Unspecified: {"unspecified", "an address of no host (0.0.0.0/8, ::)"},
	Loopback:    {"loopback", "a loopback address"},
	LinkLocal:   {"link-local", "a link-local address"},
	Multicast:   {"multicast", "a multicast address"},
	Broadcast:   {"broadcast", "the broadcast address"},

	ClusterIP:       {"cluster-ip", "a ClusterIP"},
	EndpointAddress: {"endpoint", "an address of a pod or another endpoint"},
	NodeAddress:     {"node", "an address of a node"},
}

// Label returns one word for metrics and JSON; "" for no reason.
func (r Reason) Label() string { return reasonTexts[r].label }

// ReasonOf returns the reason with a label, or NoReason.
func ReasonOf(label string) Reason {
	for _, r := range Reasons {
		if r.Label() == label {
			return r
		}
	}
	return NoReason
}

// String returns what the address is, as in "a ClusterIP".
func (r Reason) String() string { return reasonTexts[r].text }

// IsInternal reports whether the reason is that the address belongs to the cluster.
func (r Reason) IsInternal() bool { return r >= ClusterIP }

// Describe says what an address is that is refused for a reason.
func (r Reason) Describe(a netip.Addr) string {
	for inner := range embedded(a) {
		return r.String() + ", as it carries " + inner.String()
	}
	return r.String()
}

// special returns what keeps an address from being any host's beyond this link. Names
// that have such addresses are blocked by a resolver, or lead to what a link has for
// itself: an instance's metadata and credentials, a neighbour's daemons.
func special(a netip.Addr) Reason {
	switch {
	case a.Is4() && a.As4()[0] == 0, a.IsUnspecified():
		return Unspecified
	case a.IsLoopback():
		return Loopback
	case a.IsLinkLocalUnicast():
		return LinkLocal
	case a.IsMulticast():
		return Multicast
	case a == broadcast:
		return Broadcast
	}
	return NoReason
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// IPv6 addresses with an IPv4 address in them, which translators and tunnels go on to.
var (
	compatible  = netip.MustParsePrefix("::/96")
	mapped      = netip.MustParsePrefix("::ffff:0:0/96")
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96")
	sixToFour   = netip.MustParsePrefix("2002::/16")
	teredo      = netip.MustParsePrefix("2001::/32")
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	nat64OfHere = netip.MustParsePrefix("64:ff9b:1::/48") // with a prefix of any length in it: RFC 6052, 2.2
)

// embedded yields the IPv4 addresses that an IPv6 address may lead to. What is part of
// no known form yields none.
func embedded(a netip.Addr) func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		if !a.Is6() {
			return
		}
		b := a.As16()
		at := func(places ...int) bool {
			return yield(netip.AddrFrom4([4]byte{b[places[0]], b[places[1]], b[places[2]], b[places[3]]}))
		}
		switch {
		case compatible.Contains(a), mapped.Contains(a), translated.Contains(a), nat64.Contains(a):
			at(12, 13, 14, 15)
		case sixToFour.Contains(a):
			at(2, 3, 4, 5)
		case teredo.Contains(a): // the server, and the client in ones' complement
			_ = at(4, 5, 6, 7) && yield(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
		case nat64OfHere.Contains(a):
			for _, p := range [][4]int{{6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}, {12, 13, 14, 15}} {
				if b[p[0]] != 0 && !at(p[0], p[1], p[2], p[3]) { // else the address is in another place
					return
				}
			}
		case binary.BigEndian.Uint32(b[8:])&^0x02000000 == 0x5efe:
			at(12, 13, 14, 15) // ISATAP
		}
	}
}
