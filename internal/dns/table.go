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
	// Total is how many records there are at most. When there are, a namespace that has
	// fewer than another gets room for one more at the expense of the one that has most;
	// what has most learns none.
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
	// for the limits of that name; OverNamespace those that went from the namespace that
	// has most, for others to have room.
	OverName, OverClient, OverTotal, OverNamespace uint64
	// Refused are the answers' records that some set with the name does not count, by the
	// reason.
	Refused [NodeAddress + 1]uint64
}

// Table is the records about the names of the domains in use, and the sets that they
// lead to. It is not safe for concurrent use.
//
// Whatever is new has a generation, which Flush tells: whoever brings what was
// flushed into force knows by it which answers may be let go.
//
// What must hold after every Flush: a set counts an address if and only if a record says
// that a name of its domains has it, and the guard lets the set take it.
type Table struct {
	limits  Limits
	guard   Guard
	names   map[string]*name
	byAddr  map[netip.Addr]nameSet // the names that have an address, in itself or carried by another
	clients map[netip.Addr]*client
	shares  shares
	sets    sets
	counts  Counts
	missed  missedAliases

	seq       uint64           // of the last record
	unsettled []ref            // which sets count these is decided by the next Flush
	suspects  map[ref]struct{} // the records that there is a reason to refuse

	generation uint64  // of what the next Flush gives
	earliest   int64   // no record expires before; Unix nanoseconds, 0 for unknown
	fresh      []Saved // to be saved
}

// name is what is known of a name. It is there as long as it has records.
type name struct {
	text    string
	records []record
	sets    []*learnedSet // those whose domains hold it, each once
}

// record is one address of a name. While it is fresh no set counts it; then all sets of
// the name do, unless it is suspect.
type record struct {
	addr       netip.Addr
	seq        uint64 // which no other record has
	expires    int64  // Unix nanoseconds
	saved      int64  // what was given out to be saved
	generation uint64
	client     *client
	fresh      bool
	suspect    *suspect
}

// ref is a record, wherever it is; it may be gone.
type ref struct {
	name *name
	seq  uint64
}

// index returns where in its name the record is; -1 if it is gone.
func (r ref) index() int {
	return slices.IndexFunc(r.name.records, func(x record) bool { return x.seq == r.seq })
}

// client is who got answers: an endpoint, by its address.
type client struct {
	addr    netip.Addr
	share   *share // of its namespace
	records int
}

// NewTable makes an empty table.
func NewTable(l Limits) *Table {
	return &Table{
		limits: l, names: map[string]*name{}, byAddr: map[netip.Addr]nameSet{}, clients: map[netip.Addr]*client{},
		shares: newShares(), sets: newSets(), missed: newMissedAliases(), suspects: map[ref]struct{}{}, generation: 1,
	}
}

// Learn takes in what an answer to a client states of names of domains in use. It
// gives the generation that must be in force before the client can rely on all of it.
func (t *Table) Learn(records []Record, to netip.Addr, now time.Time) (generation uint64) {
	for _, r := range records {
		generation = max(generation, t.learn(r, to, now.UnixNano()))
	}
	return generation
}

func (t *Table) learn(r Record, to netip.Addr, now int64) uint64 {
	expires := now + int64(min(max(r.TTL, t.limits.Least), t.limits.Most))
	n := t.names[r.Name]
	switch {
	case n == nil && len(t.sets.holding(r.Name, nil)) == 0, n != nil && len(n.sets) == 0: // not in use, perhaps known from before
		return 0
	case n != nil:
		if i := slices.IndexFunc(n.records, func(k record) bool { return k.addr == r.Addr }); i >= 0 {
			t.refresh(n, &n.records[i], to, expires, now)
			return n.records[i].generation
		}
	}
	if !t.makeRoom(to) {
		return 0
	}
	n = t.nameOf(r.Name)
	if len(n.records) >= t.limits.PerName {
		t.counts.OverName++
		t.drop(n, t.firstToExpire(n))
	}
	t.insert(n, record{addr: r.Addr, expires: expires, saved: expires, generation: t.generation}, to)
	t.note(saved(n, &n.records[len(n.records)-1]))
	t.counts.Learned++
	return t.generation
}

// nameOf returns what is known of a name, which may be nothing yet.
func (t *Table) nameOf(text string) *name {
	n := t.names[text]
	if n == nil {
		n = &name{text: text, sets: t.sets.holding(text, nil)}
		t.names[text] = n
		t.counts.Names++
	}
	return n
}

// insert adds a record, of an answer to a client, which the next Flush decides about.
func (t *Table) insert(n *name, r record, to netip.Addr) {
	t.seq++
	r.seq, r.fresh = t.seq, true
	t.attribute(n, &r, to)
	n.records = append(n.records, r)
	t.index(n, r.addr)
	t.unsettled = append(t.unsettled, ref{n, r.seq})
	t.counts.Records++
	t.noteExpiry(r.expires)
}

// note gives a record out to be saved. What no domain can open need not be known again.
func (t *Table) note(s Saved) {
	if special(s.Addr) == NoReason {
		t.fresh = append(t.fresh, s)
	}
}

func (t *Table) noteExpiry(expires int64) {
	if t.earliest == 0 || expires < t.earliest {
		t.earliest = expires
	}
}

// refresh has a record hold longer. It is saved again only once much of what was
// saved has gone by.
func (t *Table) refresh(n *name, r *record, to netip.Addr, expires, now int64) {
	t.counts.Refreshed++
	t.countRefusal(n, r)
	t.shareRecord(n, r, to)
	if expires <= r.expires {
		return
	}
	r.expires = expires
	if r.saved-now < (expires-now)/2 {
		r.saved = expires
		t.note(saved(n, r))
	}
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
	r := &n.records[i]
	for _, s := range n.sets {
		if r.countedBy(s) {
			s.remove(r.addr)
		}
	}
	t.release(r)
	delete(t.suspects, ref{n, r.seq})
	t.counts.Records--
	s := saved(n, r)
	s.Expires = gone
	t.note(s)
	n.records[i] = n.records[len(n.records)-1]
	n.records[len(n.records)-1] = record{}
	n.records = n.records[:len(n.records)-1]
	t.unindex(n, s.Addr)
}

// forgetEmpty forgets a name of which nothing is known.
func (t *Table) forgetEmpty(n *name) {
	if len(n.records) == 0 {
		delete(t.names, n.text)
		t.counts.Names--
	}
}

// Due reports whether some record may have expired.
func (t *Table) Due(now time.Time) bool { return t.earliest != 0 && t.earliest <= now.UnixNano() }

// Expire forgets the records whose time is over, but for addresses that are still in
// use: these hold for another while. It reports whether sets have changed.
func (t *Table) Expire(now time.Time, inUse func(netip.Addr) bool, while time.Duration) bool {
	at := now.UnixNano()
	t.earliest = 0
	for _, n := range t.names {
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
		t.forgetEmpty(n)
	}
	return t.sets.dirty()
}

// Counts sums up.
func (t *Table) Counts() Counts { return t.counts }
