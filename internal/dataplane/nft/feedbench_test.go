package nft

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/tierwall/tierwall/internal/dataplane"
)

// feed makes the delta of a node with a threat feed from nothing: n nets of one class, of
// which no two can be joined, beside 100 policies of 10 local endpoints and 1,000 addresses.
func feed(n int) *dataplane.Delta {
	d := synthetic(10, 100, 1000)
	for i := range n {
		d.SetNets[feedNet(i)] = 3
	}
	return d
}

func feedNet(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 192<<24+8*uint32(i)))), 30)
}

const feedNets = 50_000

// BenchmarkFeed writes a table with a threat feed.
func BenchmarkFeed(b *testing.B) {
	ns, d := newNamespace(b), feed(feedNets)
	processorTime(b)
	for b.Loop() {
		applyFresh(b, ns, d)
	}
	b.ReportAllocs()
}

// withFeed returns a dataplane with a threat feed in force.
func withFeed(b *testing.B) *Dataplane {
	dp, err := New(Options{NetNS: newNamespace(b), KeepConnections: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = dp.Close() })
	apply(b, dp, feed(feedNets))
	return dp
}

// BenchmarkFeedChange adds one net to it, and takes it away.
func BenchmarkFeedChange(b *testing.B) {
	dp, p := withFeed(b), feedNet(feedNets+1)
	processorTime(b)
	for b.Loop() {
		apply(b, dp, &dataplane.Delta{SetNets: map[netip.Prefix]dataplane.ClassID{p: 3}})
		apply(b, dp, &dataplane.Delta{DelNets: []netip.Prefix{p}})
	}
	b.ReportAllocs()
}

// BenchmarkFeedCheck reads all of it back.
func BenchmarkFeedCheck(b *testing.B) {
	dp := withFeed(b)
	processorTime(b)
	for b.Loop() {
		if drift, err := dp.Check(context.Background()); err != nil || len(drift.Findings) > 0 {
			b.Fatal(drift.Findings, err)
		}
	}
	b.ReportAllocs()
}
