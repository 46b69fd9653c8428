package dns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "learned.txt")
	open := func() (*Journal, []Saved) {
		t.Helper()
		j, saved, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		return j, saved
	}
	j, saved := open()
	if len(saved) != 0 {
		t.Errorf("without a file: %v", saved)
	}
	at := func(name, addr string, seconds int64) Saved {
		return Saved{name, netip.MustParseAddr(addr), time.Unix(seconds, 0), someIP}
	}
	none := func() []Saved { return nil }
	a, b, six := at("a.example", "192.0.2.1", 100), at("b.example", "192.0.2.1", 200), at("a.example", "2001:db8::1", 300)
	for _, fresh := range [][]Saved{nil, {a, b}, {six}, {at("b.example", "192.0.2.1", 0)}, {at("a.example", "192.0.2.1", 400)}} {
		all := none
		if len(fresh) == 2 {
			all = func() []Saved { return fresh } // the file is new
		}
		if err := j.Note(fresh, all); err != nil {
			t.Fatal(err)
		}
	}
	a.Expires = time.Unix(400, 0)
	_, saved = open() // as after a crash: nothing was closed
	if d := cmp.Diff([]Saved{a, six}, saved, compareAddrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}

	// A line that was cut off, and others that are none.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("\x00\xff nonsense\na.example 0.0.0.0 5 10.0.0.1\n*.x 192.0.2.9 5 10.0.0.1\nx.example 192.0.2.9 -7 10.0.0.1\na.example 192.0.2.77 50")
	_ = f.Close()
	if _, saved = open(); cmp.Diff([]Saved{a, six}, saved, compareAddrs) != "" {
		t.Errorf("with broken lines: %v", saved)
	}

	// Written anew when much of it is in vain.
	j, _ = open()
	many := make([]Saved, 100)
	for i := range many {
		many[i] = at(fmt.Sprintf("n%d.example", i), "192.0.2.1", int64(1000+i))
	}
	for range 400 {
		if err := j.Note(many, func() []Saved { return many }); err != nil {
			t.Fatal(err)
		}
	}
	if _, saved = open(); len(saved) != len(many) {
		t.Errorf("%d records, want %d", len(saved), len(many))
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 3*rewriteAt*40 {
		t.Errorf("the file grows: %d bytes, %v", info.Size(), err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// TestJournalHoldsAll: the longest lines of as many records as there may be, and those in
// vain, are within what is read.
func TestJournalHoldsAll(t *testing.T) {
	longest := strings.Repeat("a.", (maxName-1)/2) + "b"
	line := appendSaved(nil, Saved{longest, netip.MustParseAddr("2001:1db8:1111:1111:1111:1111:1111:1111"), time.Unix(1<<40, 0), netip.MustParseAddr("2001:1db8:1111:1111:1111:1111:1111:1111")})
	if len(line) != maxLine {
		t.Errorf("the longest line has %d bytes, want %d", len(line), maxLine)
	}
	if all := DefaultLimits.Total; (all*3/2+rewriteAt)*maxLine > maxJournal {
		t.Errorf("%d bytes are read, there may be %d", maxJournal, (all*3/2+rewriteAt)*maxLine)
	}
}

// TestRestoreHoldsForAWhile: what an agent knew when it ended holds for the next,
// at least as long as any fact does.
func TestRestoreHoldsForAWhile(t *testing.T) {
	table, m := NewTable(DefaultLimits), model{}
	table.Restore([]Saved{{"a.example", netip.MustParseAddr("192.0.2.1"), start.Add(-time.Hour), someIP}}, start)
	table.SetDomains(setKey("s"), setOf("s", "a.example"))
	none := func(netip.Addr) bool { return false }
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {30 * time.Second, 1}, {2 * time.Minute, 0}} {
		table.Expire(start.Add(step.after), none, 0)
		m.flush(table)
		if got := len(m.addrs("s")); got != step.want {
			t.Errorf("after %s: %d addresses, want %d", step.after, got, step.want)
		}
	}
}

// FuzzOpenJournal: whatever is in the file, it is facts or nothing.
func FuzzOpenJournal(f *testing.F) {
	f.Add([]byte("a.example 192.0.2.1 1300000000 10.0.0.1\nb.example 2001:db8::1 5 10.0.0.1\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "learned")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, saved, err := OpenJournal(path)
		if err != nil {
			return
		}
		table := NewTable(DefaultLimits)
		table.SetDomains(setKey("s"), setOf("s", "*.example"))
		table.Restore(saved, start)
		if got := len(table.All()); got > len(saved) {
			t.Errorf("%d records of %d", got, len(saved))
		}
	})
}
