package budget

import (
	"fmt"
	"math/bits"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// TestWork checks that to compute a cost takes no more steps than the size of the policy times its
// logarithm, where what is computed is a product.
func TestWork(t *testing.T) {
	tcp := policy.TCP
	port := func(i int) *policy.Ports {
		return &policy.Ports{Ranges: []policy.PortRange{{First: uint16(i), Last: uint16(i)}}}
	}
	many := &policy.Ports{}
	for i := range 5000 {
		many.Ranges = append(many.Ranges, port(2*i).Ranges...)
	}
	for name, rule := range map[string]func(i int) policy.Rule{
		"source ports by destination ports": func(i int) policy.Rule {
			return policy.Rule{Protocol: &tcp, Source: policy.Peer{Ports: port(i)}, Destination: policy.Peer{Ports: port(2 * i)}}
		},
		"nets in nets": func(i int) policy.Rule {
			return policy.Rule{Protocol: &tcp, Source: policy.Peer{
				Nets:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
				NotNets: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255))},
			}, Destination: policy.Peer{Ports: port(i)}}
		},
		"one list of ports for all": func(i int) policy.Rule {
			return policy.Rule{Protocol: &tcp, Source: policy.Peer{Nets: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255))}}, Destination: policy.Peer{Ports: many}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 3000
			var rules []policy.Rule
			for i := range n {
				r := rule(i)
				r.Action = policy.Allow
				rules = append(rules, r) // all of one rule of the source, as those of many peers are
			}
			s := newSide(policy.Ingress, rules)
			all := s.regions(s.boxes)
			world := s.regions(s.worldBoxes())
			s.groups(&all, &world)
			size := 4*n + len(many.Ranges)
			if most := int64(8 * size * bits.Len(uint(size))); s.work > most || s.work == 0 {
				t.Errorf("%d steps for a size of %d, of at most %d", s.work, size, most)
			}
		})
	}
}
