package dns

import (
	"net/netip"
	"slices"
)

// Guard says which addresses a name must not have: a domain that somebody else's DNS
// server answers for must not open the cluster from inside (DNS rebinding).
type Guard struct {
	// Owner returns what of the cluster has an address: ClusterIP, EndpointAddress,
	// NodeAddress, or NoReason. Nil: nothing has any.
	Owner func(netip.Addr) Reason
	// Internal are the domains whose names may have such addresses.
	Internal []Domain
}

// DefaultClusterDomain is the domain of a cluster's own names, unless it was made with
// another.
const DefaultClusterDomain = "cluster.local"

// InternalDomains returns the domains whose names may have addresses of the cluster: the
// cluster's own, with all below it, and others.
func InternalDomains(cluster Domain, others ...Domain) []Domain {
	return append([]Domain{{Name: cluster.Name}, {Name: cluster.Name, Below: true}}, others...)
}

// reason returns why an address is refused; NoReason if it is not.
func (g *Guard) reason(a netip.Addr) Reason {
	if r := g.of(a); r != NoReason {
		return r
	}
	for inner := range embedded(a) {
		if r := g.of(inner); r != NoReason {
			return r
		}
	}
	return NoReason
}

func (g *Guard) of(a netip.Addr) Reason {
	if r := special(a); r != NoReason || g.Owner == nil {
		return r
	}
	return g.Owner(a)
}

// takes reports whether a set counts an address of a name that there is a reason to refuse.
func (g *Guard) takes(s *learnedSet, name string, r Reason) bool {
	return r == NoReason || r.IsInternal() &&
		(s.internal || slices.ContainsFunc(g.Internal, func(d Domain) bool { return d.Holds(name) }))
}

// suspect is what is kept of a record that there is a reason to refuse. It stays in the
// table: what is an address of the cluster changes, and users ask what became of it.
type suspect struct {
	reason Reason
	in     []*learnedSet // that count it all the same
}

// SetGuard says from now on which addresses a name must not have. Before anything is
// learned there is none but what addresses themselves tell. What it says of addresses
// that are known already counts once Reconsider or ReconsiderRefused was called.
func (t *Table) SetGuard(g Guard) { t.guard = g }

// Reconsider looks again at the names that have an address, with the next Flush: the
// address has become one of the cluster's. It reports whether there are any. Its cost
// does not grow with what else is known.
func (t *Table) Reconsider(a netip.Addr) bool {
	found := false
	t.byAddr[a].each(func(n *name) {
		for i := range n.records {
			if n.records[i].leadsTo(a) {
				t.unsettled, found = append(t.unsettled, ref{n, n.records[i].seq}), true
			}
		}
	})
	return found
}

// ReconsiderRefused looks again at all addresses that are refused, with the next Flush:
// some may have ceased to be the cluster's. It reports whether there are any.
func (t *Table) ReconsiderRefused() bool {
	for r := range t.suspects {
		t.unsettled = append(t.unsettled, r)
	}
	return len(t.suspects) > 0
}

// Suspects returns how many records there is a reason to refuse.
func (t *Table) Suspects() int { return len(t.suspects) }

// settleAll decides about the records that wait for it.
func (t *Table) settleAll() {
	for _, r := range t.unsettled {
		if i := r.index(); i >= 0 {
			t.settle(r.name, &r.name.records[i])
		}
	}
	clear(t.unsettled)
	t.unsettled = t.unsettled[:0]
}

// settle brings the sets of a name to what a record's address is now.
func (t *Table) settle(n *name, r *record) {
	reason, was := t.guard.reason(r.addr), r.suspect
	if reason == NoReason && was == nil && !r.fresh {
		return
	}
	var in []*learnedSet
	for _, s := range n.sets {
		counted, take := r.countedBy(s), t.guard.takes(s, n.text, reason)
		switch {
		case take && !counted:
			s.add(r.addr)
		case !take && counted:
			s.remove(r.addr)
		}
		if take {
			in = append(in, s)
		}
	}
	r.fresh = false
	if reason == NoReason {
		r.suspect = nil
		delete(t.suspects, ref{n, r.seq})
		return
	}
	r.suspect = &suspect{reason, in}
	t.suspects[ref{n, r.seq}] = struct{}{}
	if was == nil || was.reason != reason {
		t.countRefusal(n, r)
	}
}

// countedBy reports whether a set of the record's name counts it.
func (r *record) countedBy(s *learnedSet) bool {
	return !r.fresh && (r.suspect == nil || slices.Contains(r.suspect.in, s))
}

// isRefused reports whether some set of its name does without a record. What a net of the
// same set or rule holds is not missing: the net says it.
func (r *record) isRefused(n *name) bool {
	return r.suspect != nil && slices.ContainsFunc(n.sets, func(s *learnedSet) bool { return !r.countedBy(s) && !s.hasNet(r.addr) })
}

// countRefusal counts that an answer has stated a record which is refused.
func (t *Table) countRefusal(n *name, r *record) {
	if r.isRefused(n) {
		t.counts.Refused[r.suspect.reason]++
	}
}

// Known is a record as it is shown to users.
type Known struct {
	Saved
	// Refused is why not all sets whose domains hold the name count the address;
	// NoReason if they do. Counted says that some do.
	Refused Reason
	Counted bool
}

// Known returns every record, by name and address.
func (t *Table) Known() []Known {
	out := make([]Known, 0, t.counts.Records)
	t.each(func(n *name, r *record) {
		k := Known{Saved: saved(n, r)}
		if r.isRefused(n) {
			k.Refused = r.suspect.reason
		}
		k.Counted = slices.ContainsFunc(n.sets, r.countedBy)
		out = append(out, k)
	})
	return out
}
