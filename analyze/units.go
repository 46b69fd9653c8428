package analyze

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tierwall/tierwall/policy"
)

// reach is a computation of Reach under way.
type reach struct {
	*tables
	ranges [2][]addrRange // by family
	points [2][]point     // by family
	units  []unit
}

// point is what decides about an address: what its egress and ingress programs
// say, and its class as a peer.
type point struct {
	egress, ingress, class int32
}

// ends is what decides about an endpoint: a point for each family.
type ends struct {
	has   [2]bool
	point [2]point
}

// unit is an endpoint, or several that are alike, with one name.
type unit struct {
	key  policy.Key
	addr netip.Addr // set where the endpoint's addresses of one family differ
	ends ends
}

// name gives the unit's name: that of its endpoint or workload, with the
// address in parentheses if the unit is one of several addresses that differ.
func (u *unit) name() string {
	if u.addr.IsValid() {
		return u.key.String() + " (" + u.addr.String() + ")"
	}
	return u.key.String()
}

// addUnits finds the units: workloads whose endpoints are alike, and endpoints.
func (r *reach) addUnits(endpoints []*policy.Endpoint, pods bool) {
	r.addPoints(endpoints)
	members := map[policy.Key][]unit{}
	for _, ep := range endpoints {
		workload := ep.Key
		if !pods && ep.Owner != (policy.Key{}) {
			workload = ep.Owner
		}
		members[workload] = append(members[workload], r.unitsOf(ep)...)
	}
	for workload, list := range members {
		r.units = append(r.units, r.collapse(workload, list)...)
	}
	slices.SortFunc(r.units, func(a, b unit) int {
		return cmp.Or(a.key.Compare(b.key), a.addr.Compare(b.addr))
	})
}

// addPoints finds the distinct points, against which any two are compared.
func (r *reach) addPoints(endpoints []*policy.Endpoint) {
	seen := map[point]bool{}
	for _, ep := range endpoints {
		for _, a := range ep.Addrs {
			p := r.pointOf(a)
			if !seen[p] {
				seen[p] = true
				r.points[familyOf(a.Unmap())] = append(r.points[familyOf(a.Unmap())], p)
			}
		}
	}
}

// unitsOf gives the units of one endpoint: one, unless it has several addresses
// of a family which are not alike.
func (r *reach) unitsOf(ep *policy.Endpoint) []unit {
	var e ends
	differ := false
	for _, a := range ep.Addrs {
		family, p := familyOf(a.Unmap()), r.pointOf(a)
		if !e.has[family] {
			e.has[family], e.point[family] = true, p
		}
		differ = differ || !r.samePoint(family, e.point[family], p)
	}
	if !differ {
		return []unit{{key: ep.Key, ends: e}}
	}
	var out []unit
	for _, a := range ep.Addrs {
		var e ends
		family := familyOf(a.Unmap())
		e.has[family], e.point[family] = true, r.pointOf(a)
		out = append(out, unit{key: ep.Key, addr: a, ends: e})
	}
	return out
}

func (r *reach) pointOf(a netip.Addr) point {
	a = a.Unmap()
	l := r.locals[a]
	return point{r.byID[l.Egress], r.byID[l.Ingress], r.classOf(a)}
}

// classOf gives the class of an address: its own, or that of the longest net.
func (r *reach) classOf(a netip.Addr) int32 {
	if class, ok := r.addrs[a]; ok {
		return r.classes[class]
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		if n, err := a.Prefix(bits); err == nil {
			if class, ok := r.nets[n]; ok {
				return r.classes[class]
			}
		}
	}
	return 0
}

// collapse makes one unit of a workload's members if they are alike.
func (r *reach) collapse(workload policy.Key, members []unit) []unit {
	first := members[0]
	for _, u := range members[1:] {
		if u.ends.has != first.ends.has {
			return members
		}
		for family, has := range u.ends.has {
			if has && !r.samePoint(family, first.ends.point[family], u.ends.point[family]) {
				return members
			}
		}
	}
	return []unit{{key: workload, ends: first.ends}}
}
