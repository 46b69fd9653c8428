package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
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
// see bridgetable.go.
//
// If the node has pod networks of its own, addresses in them that are no local
// endpoint's have no traffic:
//
//	chain forward      ip saddr 10.244.1.0/24 jump unknown-source4 (and so on)
//	chain unknown-source4  ip saddr @here4 return
//	                   counter drop
const (
	linksSet    = "links"
	sourceChain = "source"
	hereSet     = "here" // all local endpoints, with policies or without
)

func sourcesName(family int) string { return "sources" + familyDigit[family] }
func hereName(family int) string    { return hereSet + familyDigit[family] }

// unknownName names the chain of the addresses that may be no endpoint's.
func unknownName(family int, s side) string {
	return [...]string{"unknown-source", "unknown-destination"}[s] + familyDigit[family]
}

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
		putNativeUint32(index[:], uint32(l.Index))
		entries[sourceEntry{linksSet, string(index[:])}] = true
		for _, a := range l.Addrs {
			entries[sourceEntry{sourcesName(familyOf(a)), string(index[:]) + addrKey(a)}] = true
		}
	}
	return entries
}

// emitSources returns the sets of interfaces with their elements.
func emitSources(out sink, entries map[sourceEntry]bool) {
	out.addSet(setSpec{name: linksSet, keyType: ifIndex, keyLen: 4})
	for family := range familyDigit {
		out.addSet(setSpec{name: sourcesName(family), keyType: ifIndex<<concatBits | addrType(family), keyLen: 4 + addrLen(family)})
	}
	for e := range entries {
		out.addElement(e.set, element{key: e.key})
	}
}

// stepSources writes the way from some elements to others.
func stepSources(out *batch, was, is map[sourceEntry]bool) {
	for e := range is {
		if !was[e] {
			out.addElement(e.set, element{key: e.key})
		}
	}
	for e := range was {
		if !is[e] {
			out.delElement(e.set, element{key: e.key})
		}
	}
}

// fromLink matches packets from an interface of a local endpoint.
func fromLink() []expr {
	return []expr{{kind: metaLoad, register: reg1, key: metaIIF}, inSet(linksSet)}
}

// ownSource matches packets of which one field is an address of the interface.
func ownSource(family int, field expr) []expr {
	field.register = reg32Start + 1
	return []expr{{kind: metaLoad, register: reg1, key: metaIIF}, field, inSet(sourcesName(family))}
}

const spoofedComment = "not its own address"

// denied counts and drops.
func denied(conditions []expr, why string) rule {
	r := when(join(conditions, []expr{{kind: counter}}), drop)
	r.comment = why
	return r
}

// emitAntiSpoofing hands out the chains that check sources.
func (l *layout) emitAntiSpoofing(out sink) {
	emitSources(out, l.sources)
	rules := make([]rule, 0, 3)
	for family := range familyDigit {
		rules = append(rules, when(join(isFamily(family), ownSource(family, address(family, source))), returns))
	}
	out.addChain(chainRules{name: sourceChain, rules: append(rules, denied(nil, spoofedComment))})
	for family := range familyDigit {
		if !slices.ContainsFunc(l.podNets, func(p netip.Prefix) bool { return familyOf(p.Addr()) == family }) {
			continue
		}
		for _, s := range []side{source, destination} {
			out.addChain(chainRules{name: unknownName(family, s), rules: []rule{
				when(join(isFamily(family), []expr{address(family, s), inSet(hereName(family))}), returns),
				denied(nil, "no endpoint is known at this address of the node"),
			}})
		}
	}
}

// unknownRules send packets from and to the node's pod networks to where
// addresses that are not known end.
func unknownRules(nets []netip.Prefix) []rule {
	var rules []rule
	for _, p := range nets {
		for _, s := range []side{source, destination} {
			rules = append(rules, when(inNet(p, s), jumpTo(unknownName(familyOf(p.Addr()), s))))
		}
	}
	return rules
}

// inNet matches packets with one end in a net.
func inNet(p netip.Prefix, s side) []expr {
	family := familyOf(p.Addr())
	load := address(family, s)
	mask := bytes.Repeat([]byte{0xff}, p.Bits()/8)
	if rest := p.Bits() % 8; rest > 0 {
		mask = append(mask, byte(0xff<<(8-rest)))
	}
	mask = append(mask, make([]byte, int(load.length)-len(mask))...)
	return join(isFamily(family), []expr{
		load,
		{kind: bitwiseAnd, register: reg1, length: load.length, data: string(mask)},
		is(p.Masked().Addr().AsSlice()...),
	})
}

// SetAntiSpoofing brings what is known of interfaces to its next state.
func (b *Dataplane) SetAntiSpoofing(ctx context.Context, g dataplane.AntiSpoofing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.bridge.set(sourceEntries(g.Links, true)); err != nil {
		return err
	}
	sources, nets := sourceEntries(g.Links, false), normalNets(g.PodNets)
	if !b.inForce {
		b.sources, b.podNets = sources, nets
		return nil
	}
	if slices.Equal(nets, b.podNets) {
		out := newBatch(b.table)
		stepSources(out, b.sources, sources)
		err := b.send(out)
		if err == nil {
			b.sources = sources
			return nil
		}
		b.rewrites++
		b.log.Warn("the table is not as it was written; writing all of it anew", "table", b.table.name, "error", err)
	}
	next := b.relaid(b.state)
	next.sources, next.podNets = sources, nets
	if err := b.replace(b.table, next); err != nil {
		return err
	}
	b.layout = next
	return nil
}

// normalNets sorts nets, without their host bits and without those within others.
func normalNets(nets []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range nets {
		list = append(list, p.Masked())
	}
	// The wider of two comes first, and what is within it follows.
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Compare(b) })
	var apart []netip.Prefix
	for _, p := range list {
		if len(apart) == 0 || !apart[len(apart)-1].Overlaps(p) {
			apart = append(apart, p)
		}
	}
	return apart
}

// relaid derives everything from the state again; what is known of interfaces and the options stay.
func (b *Dataplane) relaid(s *dataplane.State) *layout {
	next := newLayout(s)
	if b.dns.isThere() {
		next.setSpare(dnsSpare)
	}
	next.sources, next.podNets, next.logging = b.sources, b.podNets, b.logging
	next.host.settings = b.host.settings
	next.renderHost()
	return next
}

// Spoofed sums up what was dropped for its source.
func (b *Dataplane) Spoofed(ctx context.Context) (uint64, error) {
	var sum uint64
	for _, t := range []tableID{b.table, b.bridge.table} {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		err := eachCounter(b.conn, t, func(_, comment string, n counted) {
			if comment == spoofedComment {
				sum += n.packets
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return 0, fmt.Errorf("nftables: table %s: reading counters: %w", t.name, err)
		}
	}
	return sum, nil
}

var _ dataplane.AntiSpoofer = (*Dataplane)(nil)

// hereEntry is a local endpoint in the set of all of them.
func hereEntry(a netip.Addr) entry {
	return entry{kind: entryHere, path: path{policy.Egress, familyOf(a)}, addr: a}
}
