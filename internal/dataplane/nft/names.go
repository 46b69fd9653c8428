package nft

import (
	"fmt"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/policy"
)

// The table, for one family and one direction ("egress4"; a side note in
// parentheses):
//
//	chain forward      from interfaces of local endpoints: see antispoofing.go
//	                   established and related connections pass; then, by family,
//	chain forward4     ip saddr vmap @egress4 (local endpoints: jump egress4)
//	                   ip daddr vmap @ingress4 (jump ingress4)
//	chain egress4      ip saddr . ip daddr @self4 return
//	                   jump strict
//	                   ip daddr @known4 goto egress4-node-… (addresses with a class of their own)
//	                   ip daddr vmap @nets4-egress (intervals: goto egress4-class-…)
//	                   drop
//	chain egress4-node-LEVEL-N   one digit of the class's slot: which child to go to
//	chain egress4-class-N        ip saddr vmap @egress4-class-N (locals whose row differs: goto row-…;
//	                             up to maxLinear of them are rules instead)
//	                             goto egress4-base
//	chain egress4-base           ip saddr vmap @egress4-base (locals: goto row-…)
//	                             drop
//	                             (or to row-…-except-…, which goes on to the base: rowchains.go)
//	chain row-N        protocol and ports: goto allow-…, goto deny-…
//	chain allow-N      counter return (on to the other direction); what is logged
//	                   before, at a limited rate: log.go
//	chain deny-N       counter drop
//
// What local endpoints send to the node itself has a base chain of its own: tonode.go.
//
// A chain that is entered by goto returns to the chain that jumped, forward4. A
// lookup that finds nothing where something must be ends in drop.
//
// Addresses are in plain sets, not in a map to verdicts: at every commit that
// adds an element with a chain, the kernel walks all elements of all verdict maps
// to look for loops (20 ms with 100,000 of them here, seconds on kernels before
// 6.18). So a class has a number of its own in its family, its slot, and the sets
// known4-digit… say what its digits are; see slots.

// path is one direction of one family.
type path struct {
	dir    policy.Direction
	family int // 0 is IPv4, 1 is IPv6
}

var paths = [4]path{{policy.Egress, 0}, {policy.Ingress, 0}, {policy.Egress, 1}, {policy.Ingress, 1}}

func (p path) String() string { return p.dir.String() + familyDigit[p.family] }

// local and peer say which end of a packet is which.
func (p path) local() side { return side(p.dir) }
func (p path) peer() side  { return 1 - side(p.dir) }

// holds reports whether a class has addresses or nets in the path's family.
func (p path) holds(use dataplane.ClassUse) bool {
	return use.Addrs+use.Nets > 0 && use.Family.Index() == p.family
}

// The kernel's hooks that base chains of ours are at, beside codec.HookForward.
const (
	hookPrerouting  = 0 // NF_INET_PRE_ROUTING, NF_BR_PRE_ROUTING
	hookInput       = 1 // NF_INET_LOCAL_IN
	hookOutput      = 3 // NF_INET_LOCAL_OUT
	hookPostrouting = 4 // NF_INET_POST_ROUTING
)

const (
	forwardChain = "forward"
	inputChain   = "input" // what local endpoints send to their own node: see tonode.go
	strictChain  = "strict"

	// The tables see a packet after DNAT, a little before others that filter.
	priority = -10
)

func (p path) baseName() string                      { return p.String() + "-base" }
func (p path) netsName() string                      { return "nets" + familyDigit[p.family] + "-" + p.dir.String() }
func (p path) className(id dataplane.ClassID) string { return fmt.Sprintf("%v-class-%d", p, id) }

func selfName(family int) string  { return "self" + familyDigit[family] }
func knownName(family int) string { return "known" + familyDigit[family] }

func digitSetName(family, digitSet int) string {
	if digitSet < 0 {
		return knownName(family)
	}
	return fmt.Sprintf("known%s-digit%d-is-%d", familyDigit[family], digitSet/3, digitSet%3+1)
}

// rowPrefix begins the name of every chain that is a row, or exceptions from one.
const rowPrefix = "row-"

func rowName(id dataplane.RowID) string { return fmt.Sprintf("%s%d", rowPrefix, id) }

func deciderName(id dataplane.DeciderID, allow bool) string {
	if allow {
		return fmt.Sprintf("allow-%d", id)
	}
	return fmt.Sprintf("deny-%d", id)
}

// Sets and chains of the anti-spoofing check: see antispoofing.go.
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
