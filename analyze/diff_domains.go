package analyze

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// domainPair is an end, by its number, and a domain.
type domainPair struct {
	src    int32
	domain string
}

// domainSides is what is allowed to a domain before and after.
type domainSides struct {
	sides [2]Allowed
	other [2]bool // whether that is something else than to addresses of no domain
}

// takeDomains takes in a pair with domains, one by one.
func (d *differ) takeDomains(side int, src int32, p *Pair, likeAnyAddress bool) {
	for _, name := range p.Dst.Domains.List() {
		k := domainPair{src, name}
		if d.domains[k] == nil {
			d.domains[k] = &domainSides{}
		}
		d.domains[k].sides[side] = d.ofFamily(p.Allowed, src)
		d.domains[k].other[side] = !likeAnyAddress
	}
}

// ofDomains returns what is not the same to domains: those of which the same changes
// as one end. What is the same to all of the outside world is told of with its ranges.
func (d *differ) ofDomains() []Difference {
	type change struct{ src, before, after int32 }
	groups := map[change][]string{}
	var order []change
	for _, k := range d.sortedDomains() {
		x := d.domains[k]
		if !x.other[0] && !x.other[1] || x.sides[0].Equal(x.sides[1]) {
			continue
		}
		c := change{k.src, d.allowed.number(x.sides[0]), d.allowed.number(x.sides[1])}
		if groups[c] == nil {
			order = append(order, c)
		}
		groups[c] = append(groups[c], k.domain)
	}
	out := make([]Difference, 0, len(order))
	for _, c := range order {
		out = append(out, Difference{
			Src: d.ends[c.src], Dst: &End{Kind: DomainsEnd, Domains: NewDomainNames(groups[c]...)},
			Before: d.allowed.values[c.before], After: d.allowed.values[c.after],
		})
	}
	return out
}

func (d *differ) sortedDomains() []domainPair {
	return slices.SortedFunc(maps.Keys(d.domains), func(a, b domainPair) int {
		return cmp.Or(d.ends[a.src].Compare(d.ends[b.src]), strings.Compare(a.domain, b.domain))
	})
}
