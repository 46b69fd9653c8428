package nft

import (
	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"

	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// tamper sends a batch behind the dataplane's back.
func tamper(t *testing.T, ns string, write func(*nfnl.Writer)) {
	t.Helper()
	conn, err := nfnl.Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var w nfnl.Writer
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	write(&w)
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := conn.Do(&w, uint32(w.Messages()-1), nil); err != nil {
		t.Fatal(err)
	}
}

func TestDrift(t *testing.T) {
	table := inet(DefaultTable)
	elements := func(typ uint8, set string, e codec.Element) func(*nfnl.Writer) {
		return func(w *nfnl.Writer) {
			var l codec.ElementList
			l.Add(e)
			l.Write(w, typ, table, set)
		}
	}
	foreign := codec.Rule{Exprs: []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: 10}, is(1, 0, 0, 0), {Kind: codec.Immediate, Verdict: accept}}} // by user
	cases := []struct {
		name string
		do   func(*nfnl.Writer)
		want string
	}{
		{"table deleted", func(w *nfnl.Writer) { codec.WriteTable(w, unix.NFT_MSG_DELTABLE, table) }, "the table is gone, or a part of it went while it was read"},
		{"rules deleted", func(w *nfnl.Writer) { codec.WriteFlush(w, table, "forward") }, "chain forward: 6 rules are gone"},
		{"rule added", func(w *nfnl.Writer) { codec.WriteRule(w, table, "egress4", always(accept)) }, "chain egress4: rule 5 was added"},
		{"foreign rule added", func(w *nfnl.Writer) { codec.WriteRule(w, table, "forward", foreign) }, `chain forward: rule 6: expression "meta" is used in a way that is none of ours`},
		{"chain added", func(w *nfnl.Writer) { codec.WriteChain(w, table, codec.ChainSpec{Name: "mine"}) }, "chain mine was added"},
		{"set added", func(w *nfnl.Writer) { codec.WriteSet(w, table, addrSet("mine", 0)) }, "set mine was added"},
		{"local endpoint deleted", elements(unix.NFT_MSG_DELSETELEM, "egress4", codec.Element{Key: addrKey(podA4)}), "set egress4: 1 elements are gone or changed"},
		{"address deleted", elements(unix.NFT_MSG_DELSETELEM, "known4", codec.Element{Key: addrKey(podB4)}), "set known4: 1 elements are gone"},
		{"address added", elements(unix.NFT_MSG_NEWSETELEM, "known4", codec.Element{Key: addrKey(world4IP)}), "set known4: element 192.0.2.9 was added"},
		{"net deleted", func(w *nfnl.Writer) {
			elements(unix.NFT_MSG_DELSETELEM, "nets4-egress", codec.Element{Key: addrKey(officeNet4.Addr())})(w)
			elements(unix.NFT_MSG_DELSETELEM, "nets4-egress", codec.Element{Key: addrKey(netip.MustParseAddr("198.51.101.0")), End: true})(w)
		}, "set nets4-egress: 2 elements are gone or changed"},
	}
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	apply(t, b, tabletest.Empty().Step(podTables()))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tamper(t, ns, c.do)
			drift, err := b.Check(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if !drift.Repaired || len(drift.Findings) != 1 || drift.Findings[0] != c.want {
				t.Errorf("got %v %q, want %q", drift.Repaired, drift.Findings, c.want)
			}
			if drift, err := b.Check(context.Background()); err != nil || len(drift.Findings) > 0 {
				t.Errorf("after the repair: %q, %v", drift.Findings, err)
			}
		})
	}
}

// TestApplyRepairs has the table deleted by hand before a step: the step brings all of it back.
func TestApplyRepairs(t *testing.T) {
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	m := podTables()
	apply(t, b, tabletest.Empty().Step(m))
	tamper(t, ns, func(w *nfnl.Writer) { codec.WriteTable(w, unix.NFT_MSG_DELTABLE, inet(DefaultTable)) })
	next := m.Clone()
	next.Addrs[world4IP] = pods4
	apply(t, b, m.Step(next))
	if findings, err := b.compare(); err != nil || len(findings) > 0 {
		t.Errorf("%q, %v", findings, err)
	}
}

// TestReadRefuses reads tables that hold what tierwall does not write.
func TestReadRefuses(t *testing.T) {
	ns := newNamespace(t)
	ctx := context.Background()
	if _, err := Read(ctx, Options{NetNS: ns}); !errors.Is(err, ErrNoTable) {
		t.Errorf("without a table: %v", err)
	}
	b := newDataplane(t, ns)
	apply(t, b, tabletest.Empty().Step(podTables()))
	tamper(t, ns, func(w *nfnl.Writer) {
		codec.WriteRule(w, inet(DefaultTable), "row-1", codec.Rule{Exprs: []codec.Expr{{Kind: codec.MetaLoad, Register: codec.Reg1, Key: 10}, is(0, 0, 0, 0), {Kind: codec.Immediate, Verdict: accept}}})
	})
	_, err := b.ReadBack(ctx)
	if err == nil || !strings.Contains(err.Error(), `chain row-1, rule 1: expression "meta" is used in a way that is none of ours`) {
		t.Errorf("got %v", err)
	}
}

// TestRefused has the kernel refuse both a step and the whole table: nothing has changed then.
func TestRefused(t *testing.T) {
	ns := newNamespace(t)
	b := newDataplane(t, ns)
	m := podTables()
	apply(t, b, tabletest.Empty().Step(m))
	before := b.state.String()
	next := m.Clone()
	next.Addrs[world4IP] = pods4
	conn := b.conn
	closed, err := nfnl.Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	b.conn = closed // every send fails
	if err := b.Apply(context.Background(), m.Step(next)); err == nil {
		t.Error("no error")
	}
	b.conn = conn
	if b.state.String() != before {
		t.Error("the state has changed")
	}
	if findings, err := b.compare(); err != nil || len(findings) > 0 {
		t.Errorf("%q, %v", findings, err)
	}
	apply(t, b, m.Step(next))
	if findings, err := b.compare(); err != nil || len(findings) > 0 {
		t.Errorf("%q, %v", findings, err)
	}
	bad := &dataplane.Delta{DelRows: []dataplane.RowID{9999}}
	if err := b.Apply(context.Background(), bad); err == nil {
		t.Error("a delta that does not fit: no error")
	}
}

// TestBusyOthers: transactions of another program, which never pause, keep nobody from
// reading what is in force.
func TestBusyOthers(t *testing.T) {
	ns := newNamespace(t)
	ctx := context.Background()
	b := newDataplane(t, ns)
	m := podTables()
	for i := range 2000 { // more than the kernel gives in one piece
		m.Addrs[netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})] = pods4
	}
	apply(t, b, tabletest.Empty().Step(m))
	conn, err := nfnl.Dial(ns)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			var w nfnl.Writer
			w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
			codec.WriteTable(&w, unix.NFT_MSG_NEWTABLE, inet("another"))
			codec.WriteTable(&w, unix.NFT_MSG_DELTABLE, inet("another"))
			w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
			if err := conn.Do(&w, uint32(w.Messages()-1), nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	defer func() { close(stop); <-stopped; _ = conn.Close() }()
	for range 5 {
		if drift, err := b.Check(ctx); err != nil || len(drift.Findings) > 0 {
			t.Fatalf("as it was written: %q, %v", drift.Findings, err)
		}
	}
	if _, err := b.Counters(ctx); err != nil {
		t.Error(err)
	}
	if _, err := b.GuardCounters(ctx); err != nil {
		t.Error(err)
	}
	if names, err := codec.BaseChains(b.conn, b.table); err != nil || len(names) == 0 {
		t.Errorf("base chains %q, %v", names, err)
	}
}
