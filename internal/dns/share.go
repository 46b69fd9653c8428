package dns

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// shares are how many records each namespace has. A record is of the namespace whose
// endpoint got the answer. As long as there is room for all, nobody has a limit but those
// of endpoints; at the end of it, room goes from who has most to who has less, so that no
// namespace can keep others from being learned for.
type shares struct {
	of      map[netip.Addr]string // the namespaces of clients; "" is the host itself
	present map[string]*share     // those with records
	told    bool                  // of is known
}

// GoneClients stands for the namespace of endpoints that an earlier agent has learned for,
// and that are there no more: whose they were is not known. It is no namespace's name.
const GoneClients = "-"

// share is one namespace's.
type share struct {
	namespace string
	records   int
	oldest    []ref  // its records, oldest first, and some that are gone or another's by now
	limited   uint64 // how many it lost, or did not get
}

func newShares() shares { return shares{present: map[string]*share{}} }

// SetClients says to which namespaces the endpoints belong that get answers, by their
// addresses; those of the host itself to "". The table keeps the map.
func (t *Table) SetClients(namespaces map[netip.Addr]string) {
	t.shares.of = namespaces
	if !t.shares.told {
		t.shares.told = true
		t.attributeRestored()
	}
}

// attributeRestored has what an earlier agent has learned count for the namespaces of
// those who are still there. It is done once: who gets an address later is another.
func (t *Table) attributeRestored() {
	restored := t.shares.present[GoneClients]
	if restored == nil {
		return
	}
	for _, c := range t.clients {
		if namespace, known := t.shares.of[c.addr]; known && c.share == restored {
			c.share = t.shares.at(namespace)
			c.share.records += c.records
			restored.records -= c.records
		}
	}
	all := restored.oldest
	restored.oldest = nil
	for _, r := range all {
		if i := r.index(); i >= 0 {
			s := r.name.records[i].client.share
			s.oldest = append(s.oldest, r)
		}
	}
	if restored.records == 0 {
		delete(t.shares.present, GoneClients)
	}
}

// namespaceOf returns the namespace of a client. Before anybody has said whose clients
// are, it is that of GoneClients.
func (s *shares) namespaceOf(client netip.Addr) string {
	if !s.told {
		return GoneClients
	}
	return s.of[client]
}

// at returns a namespace's share, which may be a new one.
func (s *shares) at(namespace string) *share {
	x := s.present[namespace]
	if x == nil {
		x = &share{namespace: namespace}
		s.present[namespace] = x
	}
	return x
}

// recordsOf returns how many records a client's namespace has.
func (s *shares) recordsOf(client netip.Addr) int {
	if x := s.present[s.namespaceOf(client)]; x != nil {
		return x.records
	}
	return 0
}

// largest returns the namespace with the most records; nil if there are none.
func (s *shares) largest() *share {
	var most *share
	for _, x := range s.present {
		if most == nil || x.records > most.records || x.records == most.records && x.namespace < most.namespace {
			most = x
		}
	}
	return most
}

// makeRoom reports whether one more record may be kept, of an answer to a client. It may
// take the room from another namespace.
func (t *Table) makeRoom(to netip.Addr) bool {
	if c := t.clients[to]; c != nil && c.records >= t.limits.PerClient {
		t.counts.OverClient++
		c.share.limited++
		return false
	}
	if t.counts.Records < t.limits.Total {
		return true
	}
	mine, most := t.shares.recordsOf(to), t.shares.largest()
	if most == nil || most.records <= mine+1 {
		t.counts.OverTotal++
		if x := t.shares.present[t.shares.namespaceOf(to)]; x != nil {
			x.limited++
		}
		return false
	}
	t.counts.OverNamespace++
	most.limited++
	return t.evict(most)
}

// evict forgets the oldest record of a namespace, and reports whether there was one.
func (t *Table) evict(s *share) bool {
	for len(s.oldest) > 0 {
		r := s.oldest[0]
		s.oldest = s.oldest[1:]
		if i := r.index(); i >= 0 && r.name.records[i].client.share == s {
			t.drop(r.name, i)
			t.forgetEmpty(r.name)
			return true
		}
	}
	return false
}

// attribute has a record count for a client and its namespace.
func (t *Table) attribute(n *name, r *record, to netip.Addr) {
	namespace := t.shares.namespaceOf(to)
	s := t.shares.at(namespace)
	c := t.clients[to]
	if c == nil || c.share.namespace != namespace { // another endpoint has the address now
		c = &client{addr: to, share: s}
		t.clients[to] = c
	}
	c.records++
	c.share.records++
	r.client = c
	if s = c.share; len(s.oldest) > 2*s.records+64 {
		s.oldest = slices.DeleteFunc(s.oldest, func(r ref) bool {
			i := r.index()
			return i < 0 || r.name.records[i].client.share != s
		})
	}
	s.oldest = append(s.oldest, ref{n, r.seq})
}

// release ends that a record counts for its client.
func (t *Table) release(r *record) {
	c := r.client
	c.records--
	if c.records == 0 && t.clients[c.addr] == c {
		delete(t.clients, c.addr)
	}
	if c.share.records--; c.share.records == 0 {
		delete(t.shares.present, c.share.namespace)
	}
}

// shareRecord has a record that several namespaces use count for the one that has less,
// once room is getting scarce: else it went with what the other has too much.
func (t *Table) shareRecord(n *name, r *record, to netip.Addr) {
	if t.counts.Records <= t.limits.Total/2 || t.shares.namespaceOf(to) == r.client.share.namespace || t.shares.recordsOf(to) >= r.client.share.records-1 {
		return
	}
	if c := t.clients[to]; c != nil && c.records >= t.limits.PerClient {
		return
	}
	t.release(r)
	t.attribute(n, r, to)
}

// NamespaceUse is how much of the room for records a namespace takes.
type NamespaceUse struct {
	Namespace string // "" is the host itself; see also GoneClients
	Records   int
	Limited   uint64 // records that it lost, or did not get, for a limit
}

// Namespaces returns those that have records, the largest first.
func (t *Table) Namespaces() []NamespaceUse {
	var out []NamespaceUse
	for _, s := range slices.Collect(maps.Values(t.shares.present)) {
		out = append(out, NamespaceUse{s.namespace, s.records, s.limited})
	}
	slices.SortFunc(out, func(a, b NamespaceUse) int {
		if a.Records != b.Records {
			return b.Records - a.Records
		}
		return strings.Compare(a.Namespace, b.Namespace)
	})
	return out
}
