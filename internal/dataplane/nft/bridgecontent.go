package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Behind a bridge, the rules for IP see the bridge as the interface of a packet,
// not its port. So what the ports of local endpoints may send is checked by a
// table of the bridge family, which is there only while there are such ports:
//
//	chain prerouting   iif @links jump source
//	chain source       IP with an address of the port: return
//	                   ARP that claims an address of the port: return
//	                   ICMPv6 neighbour advertisements: goto advert
//	                   IPv6 with an address of the port, or a link-local one: return
//	                   without an address yet (DHCP, probes): return
//	                   other IP, ARP, IPv6: counter drop
//	chain advert       for an address of the port, or a link-local one: return
//	                   counter drop
//
// Frames of other protocols pass: nothing here decides about them.

const (
	bridgeChain    = "prerouting"
	advertChain    = "advert"
	bridgePriority = -300 // before br_netfilter has the rules for IP asked
)

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

type bridgeContent struct{ sources map[sourceEntry]bool }

func (*bridgeContent) emitAddrs(sink) {}

func (c *bridgeContent) emit(out sink) error {
	emitSources(out, c.sources)
	out.AddBaseChain(codec.ChainSpec{Name: bridgeChain, Base: true, Hook: hookPrerouting, Priority: bridgePriority},
		[]codec.Rule{when(fromLink(), jumpTo(sourceChain))})
	out.AddChain(codec.ChainRules{Name: sourceChain, Rules: portRules()})
	out.AddChain(codec.ChainRules{Name: advertChain, Rules: advertRules()})
	return nil
}

func isEther(typ uint16) []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaProtocol}, is(byte(typ>>8), byte(typ))}
}

// portRules check what a port sends.
func portRules() []codec.Rule {
	arpSource := payload(codec.NetworkHeader, 14, 4)
	isAdvert := join(isEther(etherIPv6), isProtocol(policy.ICMPv6), []codec.Expr{payload(codec.TransportHeader, 0, 1), is(136)})
	return []codec.Rule{
		when(join(isEther(etherIPv4), ownSource(0, address(0, source))), returns),
		when(join(isEther(etherARP), ownSource(0, arpSource)), returns),
		when(isAdvert, goTo(advertChain)),
		when(join(isEther(etherIPv6), ownSource(1, address(1, source))), returns),
		when(join(isEther(etherIPv6), linkLocal(address(1, source))), returns),
		when(join(isEther(etherIPv6), []codec.Expr{address(1, source), is(make([]byte, 16)...)}), returns),
		when(join(isEther(etherIPv4), []codec.Expr{address(0, source), is(0, 0, 0, 0)}), returns),
		when(join(isEther(etherARP), []codec.Expr{arpSource, is(0, 0, 0, 0)}), returns),
		denied(isEther(etherIPv4), spoofedComment),
		denied(isEther(etherARP), spoofedComment),
		denied(isEther(etherIPv6), spoofedComment),
	}
}

// advertRules check what a neighbour advertisement says where the sender is.
func advertRules() []codec.Rule {
	target := payload(codec.TransportHeader, 8, 16)
	return []codec.Rule{
		when(join(isEther(etherIPv6), isProtocol(policy.ICMPv6), ownSource(1, target)), returns),
		when(join(isEther(etherIPv6), isProtocol(policy.ICMPv6), linkLocal(target)), returns),
		denied(nil, spoofedComment),
	}
}

// linkLocal matches a field that holds an address of fe80::/10.
func linkLocal(field codec.Expr) []codec.Expr {
	mask, want := make([]byte, 16), make([]byte, 16)
	mask[0], mask[1], want[0], want[1] = 0xff, 0xc0, 0xfe, 0x80
	return []codec.Expr{field, {Kind: codec.BitwiseAnd, Register: codec.Reg1, Length: 16, Data: string(mask)}, is(want...)}
}
