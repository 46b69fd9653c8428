package analyze

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// domainSides is what is allowed to a domain before and after.
type domainSides struct {
	sides [2][]Allowed
	other [2]bool // whether that is something else than to addresses of no domain
}

// takeDomains takes in a pair with domains, one by one.
func (d *differ) takeDomains(side int, src string, p *Pair, asWorld bool) {
	for _, name := range p.Domains {
		k := [2]string{src, name}
		if d.domains[k] == nil {
			d.domains[k] = &domainSides{}
		}
		d.domains[k].sides[side] = ofFamily(p.Allowed, src)
		d.domains[k].other[side] = !asWorld
	}
}

// ofDomains returns what is not the same to domains. What is the same to all of the
// outside world is told of with its ranges.
func (d *differ) ofDomains() []Difference {
	groups := map[string]*Difference{}
	var order []string
	for _, k := range sortedPairs(d.domains) {
		x := d.domains[k]
		if !x.other[0] && !x.other[1] || sameAllowed(x.sides[0], x.sides[1]) {
			continue
		}
		group := k[0] + "\n" + key(x.sides[0]) + "\n" + key(x.sides[1])
		row := groups[group]
		if row == nil {
			row = &Difference{Src: k[0], Before: x.sides[0], After: x.sides[1]}
			groups[group] = row
			order = append(order, group)
		}
		row.Domains = append(row.Domains, k[1])
	}
	out := make([]Difference, 0, len(order))
	for _, group := range order {
		row := *groups[group]
		row.Dst = domainEnd(row.Domains)
		out = append(out, row)
	}
	return out
}

func sortedPairs(m map[[2]string]*domainSides) [][2]string {
	return slices.SortedFunc(maps.Keys(m), func(a, b [2]string) int {
		return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1]))
	})
}
