package nft

import (
	"testing"

	"github.com/tierwall/tierwall/internal/lab"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// from is a rule that allows everything from pods of a selector.
func from(sel string) policy.Rule {
	return policy.Rule{Action: policy.Allow, Source: policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse(sel)}}}
}

// to is a rule that allows everything to pods of a selector.
func to(sel string) policy.Rule {
	return policy.Rule{Action: policy.Allow, Destination: policy.Peer{Set: &policy.PeerSet{Selector: selector.MustParse(sel)}}}
}

// TestAcrossNodes has pods, nodes and the outside connect from one node to the other: what
// policy allows goes through, and nothing else.
func TestAcrossNodes(t *testing.T) {
	onTwoNodes(t, []overlay{nil, vxlan{8472}, ipip{}, &byHand{}}, func(n *twoNodes) {
		n.policies(
			governs("pod == 'c'", []policy.Direction{policy.Ingress}, from("pod == 'a'")),
			governs("pod == 'b'", []policy.Direction{policy.Egress}, to("pod == 'd'")),
		)
		for family := range familyDigit {
			ping := policy.Flow{Protocol: [2]policy.Protocol{policy.ICMP, policy.ICMPv6}[family], ICMPType: [2]uint8{8, 128}[family]}
			tcp := policy.Flow{Protocol: policy.TCP, DstPort: 80}
			for _, x := range []struct {
				from, to *lab.Host
				flow     policy.Flow
				want     lab.Verdict
			}{
				{n.a, n.c, tcp, lab.Allowed}, {n.a, n.c, ping, lab.Allowed}, {n.a, n.c, policy.Flow{Protocol: policy.UDP, DstPort: 53}, lab.Allowed},
				{n.b, n.c, tcp, lab.Denied}, {n.b, n.c, ping, lab.Denied}, {n.b, n.d, tcp, lab.Allowed},
				{n.d, n.c, tcp, lab.Denied}, {n.c, n.b, tcp, lab.Allowed}, {n.c, n.a, ping, lab.Allowed},
				{n.two.node, n.c, tcp, lab.Allowed}, {n.one.node, n.b, ping, lab.Allowed}, {n.one.node, n.d, tcp, lab.Allowed},
			} {
				x.flow.Src, x.flow.Dst = addrOf(x.from, family), addrOf(x.to, family)
				n.one.probe(x.flow, x.want)
			}
		}
		n.one.wants("", 0)
		n.two.wants("", 0)
	})
}
