package nft

import (
	"maps"
	"slices"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/policy"
)

// Answers of DNS servers wait in a queue until the addresses in them are in force,
// so that the first connection after an answer finds them. A table of its own, which
// is there only while some domain is in use, picks them out:
//
//	chain postrouting  jump answers       (forwarded answers, and those of this host)
//	chain input        jump answers       (answers to this host)
//	chain answers      for IPv4 and IPv6, UDP and TCP:
//	                   ct direction reply ct original proto-dst 53
//	                     ct original ip daddr @servers4 ip daddr @clients4 counter queue
//	chain output       without connection tracking: udp sport 53 ip saddr @servers4
//	                     ip daddr @clients4 counter queue (and so on)
//	chain pulse        (of this host's packets) meta mark, udp: update @reader, drop
//
// Packets are queued only while there is an element in the set reader, which lasts
// for heartbeatSpan: see Heartbeat.
//
// Whom a client has asked is what connection tracking says: an answer that comes from
// a pod behind a service passes before the service's address is put in its place, and
// a packet with a server's address in it that answers nothing belongs to no connection.
// A cache on the node that has its packets not tracked (NodeLocal DNSCache) is known
// by its address, and by being on this host: nobody else's packets leave by output.
//
// Both chains stand behind all that filters: what is denied is nobody's answer.

const (
	dnsSuffix      = "-dns"
	answers        = "answers"
	untrackedChain = "output"
	heartbeatChain = "pulse"
	answersComment = "answers of DNS servers"

	heartbeatPriority = -310 // before connection tracking and all that filters

	dnsPriority = 90 // behind filters, before addresses of sources are translated

	dnsPort = 53
)

func serversName(family int) string { return "servers" + familyDigit[family] }
func clientsName(family int) string { return "clients" + familyDigit[family] }

// queueKinds are the ways to queue a packet, the usual one first. Kernels without
// the expression for it may have the target of iptables.
var queueKinds = []codec.Kind{codec.QueueTo, codec.QueueTarget}

type dnsContent struct {
	entries map[sourceEntry]bool // the elements of servers and clients
	number  uint16
	queue   codec.Kind
	flags   uint32
}

func newDNSContent(t dataplane.DNSQueueRules) dnsContent {
	c := dnsContent{entries: map[sourceEntry]bool{}, number: t.Queue, flags: codec.QueueBypass}
	if len(t.Servers) == 0 {
		return c
	}
	for _, a := range t.Servers {
		c.entries[sourceEntry{serversName(familyOf(a)), addrKey(a)}] = true
	}
	for _, a := range t.Clients {
		c.entries[sourceEntry{clientsName(familyOf(a)), addrKey(a)}] = true
	}
	return c
}

func (c *dnsContent) emit(out sink) {
	for family := range familyDigit {
		for _, name := range []string{serversName(family), clientsName(family)} {
			out.AddSet(addrSet(name, family))
		}
	}
	out.AddSet(codec.SetSpec{Name: readerSet, KeyType: codec.InetProto, KeyLen: 1, Size: readerCapacity, Brief: true})
	for _, e := range slices.SortedFunc(maps.Keys(c.entries), compareEntries) {
		out.AddElement(e.set, codec.Element{Key: e.key})
	}
	var tracked, untracked []codec.Rule
	for family := range familyDigit {
		for _, p := range []policy.Protocol{policy.UDP, policy.TCP} {
			tracked = append(tracked, c.enqueue(join(
				isFamily(family), isProtocol(p),
				[]codec.Expr{{Kind: codec.CTLoad, Register: codec.Reg1, Key: codec.CTDirection}, is(codec.CTReply)},
				[]codec.Expr{{Kind: codec.CTOriginal, Register: codec.Reg1, Key: codec.CTProtoDst}, is(0, dnsPort)},
				[]codec.Expr{{Kind: codec.CTOriginal, Register: codec.Reg1, Key: [...]uint32{codec.CTDstIP, codec.CTDstIP6}[family]}, inSet(serversName(family))},
				[]codec.Expr{address(family, destination), inSet(clientsName(family))},
				isRead(),
			)))
			untracked = append(untracked, c.enqueue(join(
				isFamily(family), isProtocol(p), hasState(codec.StateUntracked),
				[]codec.Expr{payload(codec.TransportHeader, 0, 2), is(0, dnsPort)},
				[]codec.Expr{address(family, source), inSet(serversName(family))},
				[]codec.Expr{address(family, destination), inSet(clientsName(family))},
				isRead(),
			)))
		}
	}
	out.AddChain(codec.ChainRules{Name: answers, Rules: tracked})
	out.AddBaseChain(codec.ChainSpec{Name: "postrouting", Base: true, Hook: hookPostrouting, Priority: dnsPriority}, []codec.Rule{always(jumpTo(answers))})
	out.AddBaseChain(codec.ChainSpec{Name: "input", Base: true, Hook: hookInput, Priority: dnsPriority}, []codec.Rule{always(jumpTo(answers))})
	out.AddBaseChain(codec.ChainSpec{Name: heartbeatChain, Base: true, Hook: hookOutput, Priority: heartbeatPriority}, []codec.Rule{heartbeatRule()})
	out.AddBaseChain(codec.ChainSpec{Name: untrackedChain, Base: true, Hook: hookOutput, Priority: dnsPriority}, untracked)
}

// enqueue counts and queues.
func (c *dnsContent) enqueue(conditions []codec.Expr) codec.Rule {
	return codec.Rule{
		Exprs:   append(conditions, codec.Expr{Kind: codec.Counter}, codec.Expr{Kind: c.queue, Key: uint32(c.number), Length: c.flags}),
		Comment: answersComment,
	}
}

func compareEntries(a, b sourceEntry) int {
	if a.set != b.set {
		if a.set < b.set {
			return -1
		}
		return 1
	}
	if a.key < b.key {
		return -1
	}
	return 1
}
