package dns

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Saved is a record as it is kept from one agent to the next, and shown to users.
type Saved struct {
	Name    string
	Addr    netip.Addr
	Expires time.Time
	Client  netip.Addr // who got the answer that it was first in
}

// gone is when a record expires that is no more.
var gone = time.Unix(0, 0)

// Fresh returns the records that came, were extended by much or went since it was last
// called, in the order of events.
func (t *Table) Fresh() []Saved {
	fresh := t.fresh
	t.fresh = nil
	return fresh
}

// Restore takes in records of an earlier agent. They hold for a while even if their
// time is over: the connections that they stand for may be there still.
func (t *Table) Restore(saved []Saved, now time.Time) {
	for _, s := range saved {
		if t.counts.Records >= t.limits.Total {
			return
		}
		n := t.nameOf(s.Name)
		if len(n.records) >= t.limits.PerName || slices.ContainsFunc(n.records, func(f record) bool { return f.addr == s.Addr }) {
			continue
		}
		expires := max(s.Expires.UnixNano(), now.Add(t.limits.Least).UnixNano())
		expires = min(expires, now.Add(t.limits.Most).UnixNano())
		t.insert(n, record{addr: s.Addr, expires: expires, saved: expires}, s.Client)
	}
}

// saved returns a record as it is kept.
func saved(n *name, r *record) Saved {
	return Saved{n.text, r.addr, time.Unix(0, r.expires), r.client.addr}
}

// each visits every record, by name and address.
func (t *Table) each(visit func(n *name, r *record)) {
	for _, text := range slices.Sorted(maps.Keys(t.names)) {
		n := t.names[text]
		var byAddr []*record
		for i := range n.records {
			byAddr = append(byAddr, &n.records[i])
		}
		slices.SortFunc(byAddr, func(a, b *record) int { return a.addr.Compare(b.addr) })
		for _, r := range byAddr {
			visit(n, r)
		}
	}
}

// All returns every record that is to be saved, by name and address.
func (t *Table) All() []Saved {
	out := make([]Saved, 0, t.counts.Records)
	t.each(func(n *name, r *record) {
		if special(r.addr) == NoReason {
			out = append(out, saved(n, r))
		}
	})
	return out
}

// Journal is the file that keeps records from one agent to the next. It lies where
// the kernel's tables live as long: until the machine restarts. Each line is a record;
// the last one about a name and address counts, and one that was cut off by a crash
// is passed over. Lines that do not count any more go when the file is written anew.
type Journal struct {
	path  string
	file  *os.File
	lines int
}

const (
	maxLine   = maxName + 1 + 39 + 1 + 13 + 1 + 39 + 1 // bytes: a name, addresses, a time
	rewriteAt = 10_000                                 // lines in vain, beside half of the others
	// maxJournal is how many bytes are read: more than DefaultLimits lets there be, or who
	// has its names looked up in long forms had the last lines, other namespaces', forgotten.
	maxJournal = 256 << 20
)

// OpenJournal reads the records in a file, none if there is no file, and gives the
// journal that goes on in it. Lines that are none of a journal's are passed over.
func OpenJournal(path string) (*Journal, []Saved, error) {
	j := &Journal{path: path}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil, nil
	}
	if err != nil {
		return j, nil, fmt.Errorf("learned addresses: %w", err)
	}
	defer func() { _ = f.Close() }()
	type recordKey struct {
		name string
		addr netip.Addr
	}
	known := map[recordKey]int{}
	var all []Saved
	lines := bufio.NewScanner(io.LimitReader(f, maxJournal))
	for lines.Scan() {
		j.lines++
		s, ok := parseSaved(lines.Bytes())
		if !ok {
			continue
		}
		k := recordKey{s.Name, s.Addr}
		if i, again := known[k]; again {
			all[i] = s
			continue
		}
		known[k] = len(all)
		all = append(all, s)
	}
	all = slices.DeleteFunc(all, func(s Saved) bool { return s.Expires.Equal(gone) })
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return j, nil, fmt.Errorf("learned addresses: %s: %w", path, err)
	}
	return j, all, nil
}

// parseSaved reads "NAME ADDRESS SECONDS CLIENT": the end in Unix seconds.
func parseSaved(line []byte) (Saved, bool) {
	parts := bytes.Fields(line)
	if len(parts) != 4 {
		return Saved{}, false
	}
	d, err := ParseDomain(string(parts[0]))
	addr, aerr := netip.ParseAddr(string(parts[1]))
	end, eerr := strconv.ParseInt(string(parts[2]), 10, 64)
	client, cerr := netip.ParseAddr(string(parts[3]))
	if errors.Join(err, aerr, eerr, cerr) != nil || d.Below || special(addr.Unmap().WithZone("")) != NoReason || end < 0 || end > 1<<40 {
		return Saved{}, false
	}
	return Saved{d.Name, addr.Unmap().WithZone(""), time.Unix(end, 0), client.WithZone("")}, true
}

func appendSaved(b []byte, s Saved) []byte {
	b = append(append(b, s.Name...), ' ')
	b = append(s.Addr.AppendTo(b), ' ')
	b = append(strconv.AppendInt(b, s.Expires.Unix(), 10), ' ')
	return append(s.Client.AppendTo(b), '\n')
}

// Note writes records down. all gives every record there is, for when the file has to
// be written anew: that is one atomic step.
func (j *Journal) Note(fresh []Saved, all func() []Saved) error {
	if len(fresh) == 0 {
		return nil
	}
	if j.file == nil || j.lines+len(fresh) > rewriteAt {
		everything := all()
		if j.file == nil || j.lines+len(fresh) > len(everything)*3/2+rewriteAt {
			return j.rewrite(everything)
		}
	}
	b := make([]byte, 0, 64*len(fresh))
	for _, s := range fresh {
		b = appendSaved(b, s)
	}
	j.lines += len(fresh)
	_, err := j.file.Write(b)
	return err
}

// rewrite writes the file anew, beside the old one, and puts it in its place.
func (j *Journal) rewrite(all []Saved) error {
	if err := j.Close(); err != nil {
		return err
	}
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	var line []byte
	for _, s := range all {
		line = appendSaved(line[:0], s)
		_, _ = out.Write(line) // Flush tells
	}
	if err := errors.Join(out.Flush(), os.Rename(tmp, j.path)); err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.lines = f, len(all)
	return nil
}

// Close closes the file; the next Note opens it again.
func (j *Journal) Close() error {
	if j == nil || j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
