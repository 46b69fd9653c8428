package nft

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// notice is a notification as the kernel sends it.
func notice(t *testing.T, typ uint8, attr uint16, text string) nfnl.Message {
	t.Helper()
	var w nfnl.Writer
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, 0, unix.NFPROTO_INET)
	w.String(attr, text)
	w.End()
	var m nfnl.Message
	err := nfnl.ParseMessages(w.B, func(h nfnl.Header, body []byte) error {
		var err error
		m, err = nfnl.ParseMessage(h, body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestExternalChange(t *testing.T) {
	object := func(table string) nfnl.Message { return notice(t, unix.NFT_MSG_NEWRULE, attrTable, table) }
	end := func(command string) nfnl.Message {
		return notice(t, unix.NFT_MSG_NEWGEN, attrGenCommand, command)
	}
	for _, c := range []struct {
		name     string
		messages []nfnl.Message
		want     int
	}{
		{"our table, by another program", []nfnl.Message{object(DefaultTable), end("nft")}, 1},
		{"our table among others", []nfnl.Message{object("other"), object(DefaultTable), object("other"), end("nft")}, 1},
		{"our table, by us", []nfnl.Message{object(DefaultTable), end("tierwall")}, 0},
		{"a table whose name begins like ours", []nfnl.Message{object(DefaultTable + "-dns"), end("nft")}, 0},
		{"what we began is not what others end", []nfnl.Message{object(DefaultTable), end("tierwall"), object("other"), end("nft")}, 0},
		{"each transaction by itself", []nfnl.Message{object(DefaultTable), end("nft"), object(DefaultTable), end("nft"), end("nft")}, 2},
		{"nothing at all", []nfnl.Message{end("nft")}, 0},
	} {
		w := externalChange{own: "tierwall"}
		got := 0
		for _, m := range c.messages {
			if w.take(m) {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d changes, want %d", c.name, got, c.want)
		}
	}
}

// TestUnheard: nobody hears of a large batch of ours, and what others write meanwhile is
// not missed.
func TestUnheard(t *testing.T) {
	l := newLab(t)
	conn, err := nfnl.Dial(nodeNS(l))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var heard atomic.Int64
	c := &ChangeListener{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- nfnl.InNamespace(nodeNS(l), func() error { return c.Watch(ctx, func() { heard.Add(1) }) })
	}()
	eventually(t, "the listener is there", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.listener != nil
	})
	table := func(name string) error {
		var w nfnl.Writer
		w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
		codec.WriteTable(&w, unix.NFT_MSG_NEWTABLE, inet(name))
		codec.WriteTable(&w, unix.NFT_MSG_DELTABLE, inet(name))
		w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
		return conn.Do(&w, uint32(w.Messages()-1), nil)
	}
	failed := errors.New("failed")
	for _, step := range []struct {
		name  string
		write func() error
		err   error
		heard int64
	}{
		{"ours", func() error { return table(DefaultTable) }, nil, 0},
		{"ours, which fails", func() error { return failed }, failed, 0},
		{"ours, and another", func() error { return errors.Join(table(DefaultTable), table("other")) }, nil, 1},
		{"another, while ours fails", func() error { return errors.Join(table("other"), failed) }, failed, 1},
	} {
		before := heard.Load()
		if err := c.unheard(conn, step.write); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
		if n := heard.Load() - before; n != step.heard {
			t.Errorf("%s: heard %d times, want %d", step.name, n, step.heard)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := c.unheard(conn, func() error { return table("other") }); err != nil {
		t.Errorf("without a listener: %v", err)
	}
}
