package nft

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
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
	readerSet      = "reader"
	answersComment = "answers of DNS servers"

	hookInput       = 1 // NF_INET_LOCAL_IN
	hookOutput      = 3 // NF_INET_LOCAL_OUT
	hookPostrouting = 4 // NF_INET_POST_ROUTING

	heartbeatPriority = -310 // before connection tracking and all that filters

	dnsPriority = 90 // behind filters, before addresses of sources are translated

	dnsPort = 53
)

func serversName(family int) string { return "servers" + familyDigit[family] }
func clientsName(family int) string { return "clients" + familyDigit[family] }

// dnsTable is the table that picks answers out.
type dnsTable struct {
	*writer
	table   tableID
	content dnsContent
	// inForce says that the kernel holds what content says, as far as we know.
	inForce bool
	// queue is how this kernel is told to queue packets: see queueKinds.
	queue kind
}

// queueKinds are the ways to queue a packet, the usual one first. Kernels without
// the expression for it may have the target of iptables.
var queueKinds = []kind{queueTo, queueTarget}

type dnsContent struct {
	entries map[sourceEntry]bool // the elements of servers and clients
	number  uint16
	queue   kind
	flags   uint32
}

func newDNSContent(t dataplane.DNSQueueRules) dnsContent {
	c := dnsContent{entries: map[sourceEntry]bool{}, number: t.Queue, flags: queueBypass}
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

// SetDNSQueue brings the rules to their next state: elements of sets, unless there is no table.
func (b *Dataplane) SetDNSQueue(ctx context.Context, t dataplane.DNSQueueRules) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := b.dnsTable()
	next := newDNSContent(t)
	if p.inForce && len(p.content.entries) > 0 && len(next.entries) > 0 && p.content.number == next.number {
		out := newBatch(p.table)
		stepSources(out, p.content.entries, next.entries)
		err := p.send(out)
		if err == nil {
			p.content.entries = next.entries
			return nil
		}
		p.log.Warn("the table is not as it was written; writing all of it anew", "table", p.table.String(), "error", err)
	}
	return p.write(next)
}

// dnsTable returns the dataplane's table of DNS answers.
func (b *Dataplane) dnsTable() *dnsTable {
	if b.dns == nil {
		b.dns = &dnsTable{writer: b.writer, table: inet(b.table.name + dnsSuffix)}
	}
	return b.dns
}

// write writes the whole table in one atomic step; none if there is nothing to pick out.
func (p *dnsTable) write(c dnsContent) error {
	if len(c.entries) == 0 {
		if err := p.deleteTable(p.table); err != nil {
			return err
		}
		p.content, p.inForce = c, true
		return nil
	}
	var errs []error
	for _, k := range queueKinds {
		if p.queue != 0 && k != p.queue {
			continue
		}
		c.queue = k
		out := newBatch(p.table)
		out.replace = true
		c.emit(out)
		err := p.send(out)
		if err == nil {
			p.content, p.inForce, p.queue = c, true, k
			return nil
		}
		errs = append(errs, err)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
			break
		}
	}
	return fmt.Errorf("answers of DNS servers cannot be queued, so the addresses of domains are not learned"+
		" (the kernel needs CONFIG_NFT_QUEUE, or CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_TARGET_NFQUEUE): %w", errors.Join(errs...))
}

// compare lists what differs between the kernel's table and what it should be.
func (p *dnsTable) compare() ([]string, error) {
	if p == nil || !p.inForce || len(p.content.entries) == 0 {
		return nil, nil
	}
	c := newComparison()
	p.content.emit(c)
	findings, err := c.with(p.conn, p.table)
	for i := range findings {
		findings[i] = fmt.Sprintf("table %s: %s", p.table, findings[i])
	}
	return findings, err
}

func (c *dnsContent) emit(out sink) {
	for family := range familyDigit {
		for _, name := range []string{serversName(family), clientsName(family)} {
			out.addSet(addrSet(name, family))
		}
	}
	out.addSet(setSpec{name: readerSet, keyType: inetProto, keyLen: 1, size: readerCapacity, brief: true})
	for _, e := range slices.SortedFunc(maps.Keys(c.entries), compareEntries) {
		out.addElement(e.set, element{key: e.key})
	}
	var tracked, untracked []rule
	for family := range familyDigit {
		for _, p := range []policy.Protocol{policy.UDP, policy.TCP} {
			tracked = append(tracked, c.enqueue(join(
				isFamily(family), isProtocol(p),
				[]expr{{kind: ctLoad, register: reg1, key: ctDirection}, is(ctReply)},
				[]expr{{kind: ctOriginal, register: reg1, key: ctProtoDst}, is(0, dnsPort)},
				[]expr{{kind: ctOriginal, register: reg1, key: [...]uint32{ctDstIP, ctDstIP6}[family]}, inSet(serversName(family))},
				[]expr{address(family, destination), inSet(clientsName(family))},
				isRead(),
			)))
			untracked = append(untracked, c.enqueue(join(
				isFamily(family), isProtocol(p), hasState(stateUntracked),
				[]expr{payload(transportHeader, 0, 2), is(0, dnsPort)},
				[]expr{address(family, source), inSet(serversName(family))},
				[]expr{address(family, destination), inSet(clientsName(family))},
				isRead(),
			)))
		}
	}
	out.addChain(chainRules{name: answers, rules: tracked})
	out.addBaseChain(chainSpec{name: "postrouting", base: true, hook: hookPostrouting, priority: dnsPriority}, []rule{always(jumpTo(answers))})
	out.addBaseChain(chainSpec{name: "input", base: true, hook: hookInput, priority: dnsPriority}, []rule{always(jumpTo(answers))})
	out.addBaseChain(chainSpec{name: heartbeatChain, base: true, hook: hookOutput, priority: heartbeatPriority}, []rule{heartbeatRule()})
	out.addBaseChain(chainSpec{name: untrackedChain, base: true, hook: hookOutput, priority: dnsPriority}, untracked)
}

// enqueue counts and queues.
func (c *dnsContent) enqueue(conditions []expr) rule {
	return rule{
		exprs:   append(conditions, expr{kind: counter}, expr{kind: c.queue, key: uint32(c.number), length: c.flags}),
		comment: answersComment,
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

// QueuedAnswers sums up what was queued.
func (b *Dataplane) QueuedAnswers(ctx context.Context) (uint64, error) {
	p := b.dns
	if p == nil || !p.inForce || len(p.content.entries) == 0 {
		return 0, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var sum uint64
	err := eachCounter(b.conn, p.table, func(_, comment string, n counted) {
		if comment == answersComment {
			sum += n.packets
		}
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return 0, fmt.Errorf("nftables: table %s: reading counters: %w", p.table.name, err)
	}
	return sum, nil
}

var _ dataplane.DNSQueuer = (*Dataplane)(nil)

// isThere reports whether the table is in force.
func (p *dnsTable) isThere() bool { return p != nil && p.inForce && len(p.content.entries) > 0 }

// dnsSpare is how much more capacity the sets of addresses get while addresses are
// learned. When they are full the whole table changes hands, and the kernel drops
// every packet that waits in any queue whenever anybody takes a chain off a hook:
// clients ask again, but only after seconds.
const dnsSpare = 8192

// setSpare gives the sets of addresses more capacity.
func (l *layout) setSpare(n int) {
	l.spare = n
	for name, u := range l.capacity {
		u.capacity += n
		l.capacity[name] = u
	}
}
