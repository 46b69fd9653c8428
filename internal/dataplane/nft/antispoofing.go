package nft

import (
	"net/netip"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
)

// Who can send raw packets can write any source into them. The tables go by
// addresses, so that must be found out before: what comes in by a local endpoint's
// interface must have its address. For interfaces that are routed the forward
// chain begins with
//
//	iif @links jump source
//	chain source       iif . ip saddr @sources4 return
//	                   iif . ip6 saddr @sources6 return
//	                   counter drop
//
// and does so for packets of established connections too, which go by addresses
// as well. Interfaces are known by their number, not by their name: a number is not used
// again while it could be mistaken. Ports of bridges have a table of their own,
// see bridgecontent.go.
//
// If the node has pod networks of its own, addresses in them that are no local
// endpoint's have no traffic:
//
//	chain forward      ip saddr 10.244.1.0/24 jump unknown-source4 (and so on)
//	chain unknown-source4  ip saddr @here4 return
//	                   counter drop

// sourceEntry is one element of the sets of interfaces and their sources.
type sourceEntry struct{ set, key string }

// sourceEntries returns the elements for interfaces that are ports, or are not.
func sourceEntries(links []dataplane.Link, ports bool) map[sourceEntry]bool {
	entries := map[sourceEntry]bool{}
	for _, l := range links {
		if l.Port != ports || l.Index <= 0 {
			continue
		}
		var index [4]byte
		codec.PutNativeUint32(index[:], uint32(l.Index))
		entries[sourceEntry{linksSet, string(index[:])}] = true
		for _, a := range l.Addrs {
			entries[sourceEntry{sourcesName(familyOf(a)), string(index[:]) + addrKey(a)}] = true
		}
	}
	return entries
}

// emitSources returns the sets of interfaces with their elements.
func emitSources(out sink, entries map[sourceEntry]bool) {
	out.AddSet(codec.SetSpec{Name: linksSet, KeyType: codec.IfIndex, KeyLen: 4})
	for family := range familyDigit {
		out.AddSet(codec.SetSpec{Name: sourcesName(family), KeyType: codec.IfIndex<<codec.ConcatBits | addrType(family), KeyLen: 4 + addrLen(family)})
	}
	for e := range entries {
		out.AddElement(e.set, codec.Element{Key: e.key})
	}
}

// stepSources writes the way from some elements to others.
func stepSources(out *codec.Batch, was, is map[sourceEntry]bool) {
	for e := range is {
		if !was[e] {
			out.AddElement(e.set, codec.Element{Key: e.key})
		}
	}
	for e := range was {
		if !is[e] {
			out.DelElement(e.set, codec.Element{Key: e.key})
		}
	}
}

// fromLink matches packets from an interface of a local endpoint.
func fromLink() []codec.Expr {
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIF}, inSet(linksSet)}
}

// ownSource matches packets of which one field is an address of the interface.
func ownSource(family int, field codec.Expr) []codec.Expr {
	field.Register = codec.Reg32Start + 1
	return []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: codec.MetaIIF}, field, inSet(sourcesName(family))}
}

const spoofedComment = "not its own address"

// unknownRules send packets from and to the node's pod networks to where
// addresses that are not known end.
func unknownRules(nets []netip.Prefix) []codec.Rule {
	var rules []codec.Rule
	for _, p := range nets {
		for _, s := range []side{source, destination} {
			rules = append(rules, when(inNet(p, s), jumpTo(unknownName(familyOf(p.Addr()), s))))
		}
	}
	return rules
}
