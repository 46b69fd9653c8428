package compact

import (
	"encoding/binary"
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// reader goes through what a writer wrote.
type reader struct {
	policies *Policies
	rest     string
	peerSets []*policy.PeerSet
}

func (r *reader) take(n int) string {
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) uint() uint64 {
	if b := r.rest[0]; b < 0x80 {
		r.rest = r.rest[1:]
		return uint64(b)
	}
	var b [binary.MaxVarintLen64]byte
	v, n := binary.Uvarint(b[:copy(b[:], r.rest)])
	r.rest = r.rest[n:]
	return v
}

// string returns a part of the packed policy.
func (r *reader) string() string { return r.take(int(r.uint())) }

func (r *reader) rule(out *policy.Rule) {
	out.Index = int(r.uint())
	b := r.byte()
	out.Action, out.Family = policy.Action(b>>4), policy.Family(b&15)
	bits := r.uint()
	if bits&hasProtocol != 0 {
		out.Protocol = &protocols[r.byte()]
	}
	if bits&hasNotProtocol != 0 {
		out.NotProtocol = &protocols[r.byte()]
	}
	if bits&hasICMP != 0 {
		out.ICMP = &policy.ICMPMatch{Type: r.optional(), Code: r.optional()}
	}
	if bits&hasNotICMP != 0 {
		out.NotICMP = &policy.ICMPMatch{Type: r.optional(), Code: r.optional()}
	}
	if bits&hasHTTP != 0 {
		out.HTTP = r.http()
	}
	r.peer(&out.Source, bits/firstOfPeer)
	r.peer(&out.Destination, bits/firstOfPeer/pastPeer)
}

// protocols are what rules point to: 256 values serve for all of them.
var protocols = func() (all [256]policy.Protocol) {
	for i := range all {
		all[i] = policy.Protocol(i)
	}
	return all
}()

func (r *reader) optional() *uint8 {
	if !r.bool() {
		return nil
	}
	v := r.byte()
	return &v
}

func (r *reader) http() *policy.HTTPMatch {
	m := &policy.HTTPMatch{}
	for range r.uint() {
		m.Methods = append(m.Methods, r.string())
	}
	for range r.uint() {
		m.Paths = append(m.Paths, policy.HTTPPath{Exact: r.string(), Prefix: r.string()})
	}
	return m
}

func (r *reader) peer(out *policy.Peer, bits uint64) {
	if bits&hasSet != 0 {
		out.Set, r.peerSets = r.peerSets[0], r.peerSets[1:]
	}
	if bits&hasNotSet != 0 {
		out.NotSet, r.peerSets = r.peerSets[0], r.peerSets[1:]
	}
	if bits&hasNets != 0 {
		out.Nets = r.nets()
	}
	if bits&hasNotNets != 0 {
		out.NotNets = r.nets()
	}
	if bits&hasPorts != 0 {
		out.Ports = r.ports()
	}
	if bits&hasNotPorts != 0 {
		out.NotPorts = r.ports()
	}
}

func (r *reader) nets() []netip.Prefix {
	nets := make([]netip.Prefix, r.uint())
	for i := range nets {
		addr, _ := netip.AddrFromSlice([]byte(r.take(int(r.byte())))) // none has no bytes
		nets[i] = netip.PrefixFrom(addr, int(r.byte()))               // 255 is invalid, as it was
	}
	return nets
}

func (r *reader) ports() *policy.Ports {
	p := &policy.Ports{}
	if n := r.uint(); n > 0 {
		p.Ranges = make([]policy.PortRange, n)
		for i := range p.Ranges {
			p.Ranges[i] = policy.PortRange{First: uint16(r.uint()), Last: uint16(r.uint())}
		}
	}
	if n := r.uint(); n > 0 {
		p.Names = make([]string, n)
		for i := range p.Names {
			p.Names[i] = r.string()
		}
	}
	return p
}
