package nft

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
)

func rulesOf(servers, clients string) dataplane.DNSQueueRules {
	t := dataplane.DNSQueueRules{Queue: 4040}
	for _, s := range strings.Fields(servers) {
		t.Servers = append(t.Servers, netip.MustParseAddr(s))
	}
	for _, s := range strings.Fields(clients) {
		t.Clients = append(t.Clients, netip.MustParseAddr(s))
	}
	return t
}

func setDNSQueue(t testing.TB, b *Dataplane, rules dataplane.DNSQueueRules) {
	t.Helper()
	if err := b.SetDNSQueue(context.Background(), rules); err != nil {
		t.Fatal(err)
	}
}

// checked reads back and gives what was found, and whether it was repaired.
func checked(t testing.TB, b *Dataplane) dataplane.Drift {
	t.Helper()
	drift, err := b.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return drift
}

// TestDNSTable brings the table of answers through its states: what the kernel holds is
// what was asked for, the nft program prints it, and what others change is repaired.
func TestDNSTable(t *testing.T) {
	l := newLab(t)
	b := newDataplane(t, nodeNS(l))
	apply(t, b, tabletest.Empty().Step(podTables()))
	list := func() string { return stockNFT(t, l, "list ruleset") }
	whole := func(name string, want ...string) {
		t.Helper()
		if drift := checked(t, b); len(drift.Findings) > 0 {
			t.Errorf("%s: read back otherwise than written: %v", name, drift.Findings)
		}
		text := list()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: nft does not print %q:\n%s", name, w, text)
			}
		}
	}

	setDNSQueue(t, b, dataplane.DNSQueueRules{})
	if text := list(); strings.Contains(text, "tierwall-dns") {
		t.Errorf("a table without rules:\n%s", text)
	}
	setDNSQueue(t, b, rulesOf("10.96.0.10 fd00:96::a", "10.9.0.1 fd00::1"))
	whole("first", "table inet tierwall-dns", "ct direction reply ct original proto-dst 53 ct original ip daddr @servers4 ip daddr @clients4",
		"ct original ip6 daddr @servers6", "queue num 4040 bypass", "10.96.0.10", "fd00:96::a", "type filter hook output priority",
		"flags dynamic,timeout", "update @reader { meta l4proto & ip timeout 2s } drop")
	beat, err := OpenHeartbeat(nodeNS(l))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = beat.Close() }()
	if err := beat.Beat(); err != nil {
		t.Error(err)
	}
	whole("with a reader", "timeout 2s expires")
	setDNSQueue(t, b, rulesOf("10.96.0.10 192.0.2.53", "10.9.0.2"))
	whole("changed", "192.0.2.53", "10.9.0.2")
	if text := list(); strings.Contains(text, "10.9.0.1") {
		t.Errorf("an old client is left:\n%s", text)
	}

	stockNFT(t, l, "add element inet tierwall-dns servers4 { 203.0.113.9 }")
	if drift := checked(t, b); !drift.Repaired || cmp.Diff([]string{"table inet tierwall-dns: set servers4: element 203.0.113.9 was added or changed"}, drift.Findings) != "" {
		t.Errorf("a server that was added: %+v", drift)
	}
	whole("repaired")
	stockNFT(t, l, "delete table inet tierwall-dns")
	setDNSQueue(t, b, rulesOf("10.96.0.10", "10.9.0.3"))
	whole("written anew", "10.9.0.3")

	other := newDataplane(t, nodeNS(l)) // as after a restart
	apply(t, other, tabletest.Empty().Step(podTables()))
	setDNSQueue(t, other, rulesOf("10.96.0.11", "10.9.0.3"))
	b = other
	whole("taken over", "10.96.0.11")

	setDNSQueue(t, b, rulesOf("", "10.9.0.3"))
	if text := list(); strings.Contains(text, "tierwall-dns") {
		t.Errorf("a table is left without rules:\n%s", text)
	}
	setDNSQueue(t, b, rulesOf("10.96.0.10", "10.9.0.3"))
	if err := b.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	if text := list(); strings.Contains(text, "tierwall") {
		t.Errorf("a table is left after Remove:\n%s", text)
	}
}
