package dns

import (
	"net/netip"
	"slices"
	"time"
)

// Limits bound what is kept, so that no endpoint and no name can use up the memory
// of a node, or the room for what others need.
type Limits struct {
	// PerName is how many addresses a name has at most: when another comes, the one
	// that would expire first goes.
	PerName int
	// PerClient is how many records the answers to one endpoint may bring: others are
	// not learned from its answers until some of them have expired.
	PerClient int
	// Total is how many records there are at most; beyond that none is learned.
	Total int
	// Least is how long a record holds at least, whatever its TTL says, and Most
	// how long at most.
	Least, Most time.Duration
}

// DefaultLimits are those of an agent.
var DefaultLimits = Limits{
	PerName: 1000, PerClient: 20_000, Total: 250_000,
	// An answer with a TTL of 0 is used at once, but by programs that resolve and
	// then connect, retry, or connect to the next address.
	Least: time.Minute, Most: 24 * time.Hour,
}

// Counts sums up what a table did since it was made, and holds now.
type Counts struct {
	Names, Records int
	// Learned are new records, Refreshed those that were known, Expired those that ended.
	Learned, Refreshed, Expired uint64
	// OverName, OverClient and OverTotal are records that went, or were not learned,
	// for the limits of that name.
	OverName, OverClient, OverTotal uint64
}

// Table is the records about the names of the domains in use, and the sets that they
// lead to. It is not safe for concurrent use.
//
// Whatever is new has a generation, which Flush tells: whoever brings what was
// flushed into force knows by it which answers may be let go.
type Table struct {
	limits  Limits
	names   map[string]*name
	clients map[netip.Addr]*client
	sets    sets
	counts  Counts

	generation uint64  // of what the next Flush gives
	earliest   int64   // no record expires before; Unix nanoseconds, 0 for unknown
	fresh      []Saved // to be saved
}

// name is what is known of a name. It is there as long as it has records.
type name struct {
	text    string
	records []record
	sets    []*learnedSet // those whose domains hold it, once for each such domain
}

// record is one address of a name.
type record struct {
	addr       netip.Addr
	expires    int64 // Unix nanoseconds
	saved      int64 // what was given out to be saved
	generation uint64
	client     *client
}

// client is who got answers: an endpoint, by its address.
type client struct {
	addr    netip.Addr
	records int
}

// NewTable makes an empty table.
func NewTable(l Limits) *Table {
	return &Table{limits: l, names: map[string]*name{}, clients: map[netip.Addr]*client{}, sets: newSets(), generation: 1}
}

// Learn takes in what an answer to a client states of names of domains in use. It
// gives the generation that must be in force before the client can rely on all of it.
func (t *Table) Learn(records []Record, to netip.Addr, now time.Time) (generation uint64) {
	for _, f := range records {
		generation = max(generation, t.learn(f, to, now.UnixNano()))
	}
	return generation
}

func (t *Table) learn(f Record, to netip.Addr, now int64) uint64 {
	expires := now + int64(min(max(f.TTL, t.limits.Least), t.limits.Most))
	n := t.names[f.Name]
	if n == nil {
		sets := t.sets.holding(f.Name, nil)
		if len(sets) == 0 {
			return 0
		}
		if !t.roomFor(to) {
			return 0
		}
		n = &name{text: f.Name, sets: sets}
		t.names[f.Name] = n
		t.counts.Names++
	} else if len(n.sets) == 0 {
		return 0 // known from before, and not in use
	} else if i := slices.IndexFunc(n.records, func(k record) bool { return k.addr == f.Addr }); i >= 0 {
		t.refresh(n, &n.records[i], expires, now)
		return n.records[i].generation
	} else if !t.roomFor(to) {
		return 0
	}
	if len(n.records) >= t.limits.PerName {
		t.counts.OverName++
		t.drop(n, t.firstToExpire(n))
	}
	n.records = append(n.records, record{addr: f.Addr, expires: expires, saved: expires, generation: t.generation, client: t.client(to)})
	t.added(n, f.Addr, expires, to)
	t.counts.Learned++
	return t.generation
}

func (t *Table) added(n *name, a netip.Addr, expires int64, to netip.Addr) {
	t.counts.Records++
	t.fresh = append(t.fresh, Saved{n.text, a, time.Unix(0, expires), to})
	t.noteExpiry(expires)
	for _, s := range n.sets {
		s.add(a)
	}
}

func (t *Table) noteExpiry(expires int64) {
	if t.earliest == 0 || expires < t.earliest {
		t.earliest = expires
	}
}

// refresh has a record hold longer. It is saved again only once much of what was
// saved has gone by.
func (t *Table) refresh(n *name, f *record, expires, now int64) {
	t.counts.Refreshed++
	if expires <= f.expires {
		return
	}
	f.expires = expires
	if f.saved-now < (expires-now)/2 {
		f.saved = expires
		t.fresh = append(t.fresh, Saved{n.text, f.addr, time.Unix(0, expires), f.client.addr})
	}
}

// roomFor reports whether one more record may be kept, of an answer to a client.
func (t *Table) roomFor(to netip.Addr) bool {
	if t.counts.Records >= t.limits.Total {
		t.counts.OverTotal++
		return false
	}
	if c := t.clients[to]; c != nil && c.records >= t.limits.PerClient {
		t.counts.OverClient++
		return false
	}
	return true
}

// client counts one record more for a client.
func (t *Table) client(a netip.Addr) *client {
	c := t.clients[a]
	if c == nil {
		c = &client{addr: a}
		t.clients[a] = c
	}
	c.records++
	return c
}

func (t *Table) firstToExpire(n *name) int {
	first := 0
	for i := range n.records {
		if n.records[i].expires < n.records[first].expires {
			first = i
		}
	}
	return first
}

// drop forgets one address of a name.
func (t *Table) drop(n *name, i int) {
	f := &n.records[i]
	for _, s := range n.sets {
		s.remove(f.addr)
	}
	if f.client.records--; f.client.records == 0 {
		delete(t.clients, f.client.addr)
	}
	t.counts.Records--
	t.fresh = append(t.fresh, Saved{n.text, f.addr, gone, f.client.addr})
	n.records[i] = n.records[len(n.records)-1]
	n.records[len(n.records)-1] = record{}
	n.records = n.records[:len(n.records)-1]
}

// Due reports whether some record may have expired.
func (t *Table) Due(now time.Time) bool { return t.earliest != 0 && t.earliest <= now.UnixNano() }

// Expire forgets the records whose time is over, but for addresses that are still in
// use: these hold for another while. It reports whether sets have changed.
func (t *Table) Expire(now time.Time, inUse func(netip.Addr) bool, while time.Duration) bool {
	at := now.UnixNano()
	t.earliest = 0
	for text, n := range t.names {
		for i := 0; i < len(n.records); {
			f := &n.records[i]
			if f.expires <= at && inUse(f.addr) {
				f.expires = at + int64(while)
			}
			if f.expires > at {
				t.noteExpiry(f.expires)
				i++
				continue
			}
			t.counts.Expired++
			t.drop(n, i)
		}
		if len(n.records) == 0 {
			delete(t.names, text)
			t.counts.Names--
		}
	}
	return t.sets.dirty()
}

// Counts sums up.
func (t *Table) Counts() Counts { return t.counts }
