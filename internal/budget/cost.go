package budget

import (
	"net/netip"

	"github.com/tierwall/tierwall/policy"
)

// Amount is how much of one thing a policy needs, and which rule needs most of it.
type Amount struct {
	N int64
	// Dir and Rule name the rule of the source that needs most, and Share what it needs. Share
	// is 0 if no rule needs any.
	Dir   policy.Direction
	Rule  int
	Share int64
}

// Cost is what one policy costs the nodes that it decides on.
type Cost struct {
	Rules, Nets, Ports, HTTP Amount
	// Regions is the largest row that a peer may have, in regions.
	Regions Amount
	// Differences is the sum, over all groups of nets that rules tell apart, of the ports in which
	// the group's row differs from the world's.
	Differences Amount
	// RowRegions is the sum of the regions of all rows.
	RowRegions Amount
}

// Check returns what a policy has too much of; nil if it is within budget. Of what is plainly
// small, as nearly all policies are, nothing is computed.
func Check(p *policy.Policy) []Excess {
	if isSmall(p) {
		return nil
	}
	c := OfPolicy(p)
	return c.Over()
}

// isSmall reports whether what the rules list is so little that no product of it is over a limit:
// with n in all and one dimension of ports, a row has less than 10 n regions, and there are at most 2 n groups.
func isSmall(p *policy.Policy) bool {
	n := 0
	for _, dir := range policy.Directions {
		n += len(p.Rules[dir])
		for i := range p.Rules[dir] {
			r := &p.Rules[dir][i]
			if r.Source.Ports != nil || r.Source.NotPorts != nil || r.ICMP != nil || r.NotICMP != nil {
				return false // rules may cut two dimensions
			}
			n += len(r.Source.Nets) + len(r.Source.NotNets) + len(r.Destination.Nets) + len(r.Destination.NotNets)
			for _, l := range []*policy.Ports{r.Destination.Ports, r.Destination.NotPorts} {
				if l != nil {
					n += len(l.Ranges) + len(l.Names)
				}
			}
			if r.HTTP != nil {
				n += len(r.HTTP.Methods) + len(r.HTTP.Paths)
			}
			if n > small {
				return false
			}
		}
	}
	return true
}

const small = 150

// OfPolicy returns what a policy costs. What is over the limits in the number of rules, nets or
// ports is not asked further: then Regions, Differences and RowRegions are zero.
func OfPolicy(p *policy.Policy) Cost {
	var c Cost
	var sides [2]side
	for _, dir := range policy.Directions {
		sides[dir] = newSide(dir, p.Rules[dir])
		sides[dir].count(&c)
	}
	if len(c.Over()) > 0 {
		return c
	}
	for _, dir := range policy.Directions {
		s := &sides[dir]
		if len(s.rules) == 0 {
			continue
		}
		all, world := s.regions(s.boxes), s.regions(s.worldBoxes())
		c.Regions.largest(all.amount(dir))
		differences, rows := s.groups(&all, &world)
		c.Differences.add(differences)
		c.RowRegions.add(rows)
	}
	return c
}

// add adds what another direction needs.
func (a *Amount) add(b Amount) {
	if b.Share > a.Share || a.N == 0 {
		a.Dir, a.Rule, a.Share = b.Dir, b.Rule, b.Share
	}
	a.N += b.N
}

// largest keeps what needs more.
func (a *Amount) largest(b Amount) {
	if b.N > a.N {
		*a = b
	}
}

// shares is how much of something each rule of the source needs, in one direction.
type shares map[int]int64

func (s shares) amount(dir policy.Direction) Amount {
	a := Amount{Dir: dir}
	for rule, n := range s {
		a.N += n
		if n > a.Share || n == a.Share && rule < a.Rule {
			a.Rule, a.Share = rule, n
		}
	}
	return a
}

// side is the rules of one direction.
type side struct {
	dir   policy.Direction
	rules []policy.Rule
	boxes []*box // what rules demand of layer 4; equal ones of a source rule are one
	boxOf []*box // by rule
	lists map[*policy.Ports][]policy.PortRange
	// work counts the steps that do not come once for each rule: a test holds it against the
	// size of the policy.
	work int64
}

func newSide(dir policy.Direction, rules []policy.Rule) side {
	s := side{dir: dir, rules: rules, lists: map[*policy.Ports][]policy.PortRange{}}
	known := map[boxKey]*box{}
	for i := range rules {
		key := keyOf(&rules[i])
		b := known[key]
		if b == nil {
			b = &box{boxKey: key}
			known[key] = b
			s.boxes = append(s.boxes, b)
		}
		s.boxOf = append(s.boxOf, b)
	}
	return s
}

// count adds what the rules list.
func (s *side) count(c *Cost) {
	rules, nets, ports, http := shares{}, shares{}, shares{}, shares{}
	for i := range s.rules {
		r := &s.rules[i]
		rules[r.Index]++
		for _, p := range []*policy.Peer{&r.Source, &r.Destination} {
			nets[r.Index] += int64(len(p.Nets) + len(p.NotNets))
		}
		if r.HTTP != nil {
			http[r.Index] += int64(len(r.HTTP.Methods) + len(r.HTTP.Paths))
		}
	}
	for _, b := range s.boxes {
		for _, list := range []*policy.Ports{b.src, b.notSrc, b.dst, b.notDst} {
			if list != nil {
				ports[b.index] += int64(len(list.Ranges) + len(list.Names))
			}
		}
	}
	c.Rules.add(rules.amount(s.dir))
	c.Nets.add(nets.amount(s.dir))
	c.Ports.add(ports.amount(s.dir))
	c.HTTP.add(http.amount(s.dir))
}

// peer returns what a rule demands of the other end.
func (s *side) peer(r *policy.Rule) *policy.Peer {
	if s.dir == policy.Ingress {
		return &r.Source
	}
	return &r.Destination
}

// isOfWorld reports whether a rule is true of the world: of addresses that no endpoint has and
// that are in no net but one of a whole family.
func (s *side) isOfWorld(r *policy.Rule) bool {
	p := s.peer(r)
	if p.Set != nil {
		return false
	}
	for _, n := range p.Nets {
		if n.Bits() == 0 {
			return true
		}
	}
	return p.Nets == nil
}

// worldBoxes returns the boxes of the rules that are true of the world.
func (s *side) worldBoxes() []*box {
	var out []*box
	seen := map[*box]bool{}
	for i := range s.rules {
		if b := s.boxOf[i]; !seen[b] && s.isOfWorld(&s.rules[i]) {
			seen[b] = true
			out = append(out, b)
		}
	}
	return out
}

// OfSet returns what is too much of a network set.
func OfSet(nets []netip.Prefix, domains []string) []Excess {
	var out []Excess
	if n := int64(len(nets)); n > MaxSetNets {
		out = append(out, Excess{Kind: SetNets, Amount: Amount{N: n}})
	}
	if n := int64(len(domains)); n > MaxSetDomains {
		out = append(out, Excess{Kind: SetDomains, Amount: Amount{N: n}})
	}
	return out
}
