package nft

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// setMaxSpans has classes be large that have more than n intervals, until the test ends.
func setMaxSpans(t *testing.T, n int) {
	was := maxSpans
	maxSpans = n
	t.Cleanup(func() { maxSpans = was })
}

// levelNames lists the sets of a family's levels as they are looked up.
func levelNames(b *Dataplane, family int) []string {
	var names []string
	for _, set := range b.levels[family].order {
		names = append(names, fmt.Sprintf("%s: %d", set.name(family), b.levels[family].sets[set]))
	}
	return names
}

// TestLevelsFollowTheIntervals: a class becomes large with its intervals, and what is
// between them with it, and small again.
func TestLevelsFollowTheIntervals(t *testing.T) {
	setMaxSpans(t, 3)
	b := newDataplane(t, newNamespace(t))
	apply(t, b, synthetic(2, 2, 4))
	all := make([]netip.Prefix, 5)
	for i := range all {
		all[i] = feedNet(i)
	}
	all[4] = netip.MustParsePrefix("198.51.100.0/24")
	for _, c := range []struct {
		nets []netip.Prefix
		want []string
	}{
		{nil, nil},
		{all[:2], nil}, // three intervals of the world between and beside them
		{all[:3], []string{"nets4-0-class-1: 1"}},
		{all[:4], []string{"nets4-30-class-3: 4", "nets4-0-class-1: 1"}},
		{all, []string{"nets4-30-class-3: 4", "nets4-24-class-3: 1", "nets4-0-class-1: 1"}},
		{all[1:], []string{"nets4-30-class-3: 3", "nets4-24-class-3: 1", "nets4-0-class-1: 1"}},
		{all[2:4], nil},
	} {
		d := &dataplane.Delta{SetNets: map[netip.Prefix]dataplane.ClassID{}}
		for _, p := range all {
			_, had := b.state.NetClass(p)
			has := slices.Contains(c.nets, p)
			if has && !had {
				d.SetNets[p] = 3
			}
			if had && !has {
				d.DelNets = append(d.DelNets, p)
			}
		}
		slices.SortFunc(d.DelNets, netip.Prefix.Compare)
		apply(t, b, d)
		if diff := cmp.Diff(c.want, levelNames(b, 0)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.nets, diff)
		}
		if findings, err := b.compare(); err != nil || len(findings) > 0 || b.rewrites > 0 {
			t.Errorf("%v: %q, %v, written anew %d times", c.nets, findings, err, b.rewrites)
		}
		sameAsRendered(t, b)
	}
}

// TestFewLookups: classes that would be too many look-ups stay in the interval map, those
// of the fewest intervals first.
func TestFewLookups(t *testing.T) {
	setMaxSpans(t, 1)
	defer func(n int) { maxLookups = n }(maxLookups)
	maxLookups = 3
	b := newDataplane(t, newNamespace(t))
	d := synthetic(2, 2, 4)
	for i, text := range []string{"192.0.2.0/30", "192.0.2.8/29", "192.0.2.32/28", "198.51.100.0/30", "198.51.100.8/30", "198.51.100.16/30"} {
		d.SetNets[netip.MustParsePrefix(text)] = dataplane.ClassID(3 + i/3)
	}
	apply(t, b, d)
	want := []string{"nets4-30-class-4: 3", "nets4-0-class-1: 1"}
	if diff := cmp.Diff(want, levelNames(b, 0)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestLevelsDrift tampers with a set of nets of one length.
func TestLevelsDrift(t *testing.T) {
	setMaxSpans(t, 0)
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	apply(t, b, tabletest.Empty().Step(podTables()))
	set := fmt.Sprintf("nets4-24-class-%d", office4)
	element := func(typ uint8, addr string) func(*nfnl.Writer) {
		return func(w *nfnl.Writer) {
			var l codec.ElementList
			l.Add(codec.Element{Key: addrKey(netip.MustParseAddr(addr))})
			l.Write(w, typ, b.table, set)
		}
	}
	for _, c := range []struct {
		name string
		do   func(*nfnl.Writer)
		want string
	}{
		{"net deleted", element(unix.NFT_MSG_DELSETELEM, "198.51.100.0"), "set " + set + ": 1 elements are gone"},
		{"net added", element(unix.NFT_MSG_NEWSETELEM, "198.51.101.0"), "set " + set + ": element 198.51.101.0 was added"},
		{"no net added", element(unix.NFT_MSG_NEWSETELEM, "198.51.100.1"), "set " + set + ": element 198.51.100.1 was added"},
	} {
		tamper(t, ns, c.do)
		drift, err := b.Check(context.Background())
		if err != nil || !drift.Repaired || len(drift.Findings) != 1 || drift.Findings[0] != c.want {
			t.Errorf("%s: got %v %q, %v, want %q", c.name, drift.Repaired, drift.Findings, err, c.want)
		}
	}
}

// TestLevelsBoundaries: verify asks at both ends of a net that is looked up by its length,
// and beside them.
func TestLevelsBoundaries(t *testing.T) {
	setMaxSpans(t, 0)
	b := newDataplane(t, newNamespace(t))
	apply(t, b, tabletest.Empty().Step(podTables()))
	k, err := b.ReadBack(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	addrs := k.Boundaries().Addrs
	for _, text := range []string{"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"} {
		if _, found := slices.BinarySearchFunc(addrs, netip.MustParseAddr(text), netip.Addr.Compare); !found {
			t.Errorf("%s is not among %v", text, addrs)
		}
	}
}

// TestStockNFTPrintsLevels has the nft program print them.
func TestStockNFTPrintsLevels(t *testing.T) {
	setMaxSpans(t, 0)
	l := newLab(t)
	b := newDataplane(t, nodeNS(l))
	apply(t, b, tabletest.Empty().Step(podTables()))
	text := stockNFT(t, l, "list ruleset")
	set := fmt.Sprintf("@nets4-24-class-%d goto egress4-class-%[1]d", office4)
	if !strings.Contains(text, "ip daddr & 255.255.255.0 == "+set) && !strings.Contains(text, "ip daddr & 255.255.255.0 "+set) {
		t.Errorf("nft does not print the look-up in %s:\n%s", set, text)
	}
}

// TestOneNetMoreIsOneElement: of a length that the class has nets of already.
func TestOneNetMoreIsOneElement(t *testing.T) {
	setMaxSpans(t, 3)
	b := newDataplane(t, newNamespace(t))
	apply(t, b, feed(10))
	s, d := newStep(b), &dataplane.Delta{SetNets: map[netip.Prefix]dataplane.ClassID{feedNet(11): 3}}
	s.before(d)
	if _, _, err := b.state.Advance(d); err != nil {
		t.Fatal(err)
	}
	if err := s.after(d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint16{unix.NFT_MSG_NEWSETELEM}, messageTypes(t, s.batch)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
