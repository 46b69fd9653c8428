package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

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

// bridgeTable is the table of the bridge family.
type bridgeTable struct {
	*writer
	table   codec.TableID
	sources map[sourceEntry]bool
	// inForce says that the kernel holds what sources says, as far as we know.
	inForce bool
	// unable is why this kernel has no such tables; nil if it has, or was not asked.
	unable error
}

// set brings the table to its next state: elements of sets, unless there is no table.
func (p *bridgeTable) set(sources map[sourceEntry]bool) error {
	if p.unable != nil {
		return nil
	}
	if !p.inForce {
		return p.write(sources)
	}
	if len(sources) > 0 {
		out := codec.NewBatch(p.table)
		stepSources(out, p.sources, sources)
		err := p.send(out)
		if err == nil {
			p.sources = sources
			return nil
		}
		p.log.Warn("the table is not as it was written; writing all of it anew", "table", p.table.String(), "error", err)
	}
	return p.write(sources)
}

// write writes the whole table; none if nothing is to be checked.
func (p *bridgeTable) write(sources map[sourceEntry]bool) error {
	var err error
	if len(sources) == 0 {
		err = errors.Join(p.deleteTable(p.table), p.deleteTable(staging(p.table)))
	} else {
		err = p.replace(p.table, &bridgeContent{sources})
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		p.unable = err
		if len(sources) > 0 {
			p.log.Warn("this kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): a pod behind a bridge that may send raw packets can use the address of another",
				"error", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	p.sources, p.inForce = sources, true
	return nil
}

// compare lists what differs between the kernel's table and what it should be.
func (p *bridgeTable) compare() ([]string, error) {
	if !p.inForce || len(p.sources) == 0 {
		return nil, nil
	}
	c := newComparison()
	if err := (&bridgeContent{p.sources}).emit(c); err != nil {
		return nil, err
	}
	findings, err := c.with(p.conn, p.table)
	for i := range findings {
		findings[i] = fmt.Sprintf("table %s: %s", p.table, findings[i])
	}
	return findings, err
}

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

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

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
