package nfnl

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/lab"
)

func TestMain(m *testing.M) {
	if err := lab.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err) // tests that need a lab skip
	}
	os.Exit(m.Run())
}

// TestMoreErrorsThanTheBufferHolds sends a batch of which every message fails,
// over a socket that holds few answers. It must fail, soon, and leave the socket
// ready for the next request.
func TestMoreErrorsThanTheBufferHolds(t *testing.T) {
	lab.Require(t)
	l, err := lab.New(lab.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := Dial(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), l.Node().FD()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil { // as small as can be
		t.Fatal(err)
	}

	table := func(w *Writer, typ uint8) {
		w.Begin(unix.NFNL_SUBSYS_NFTABLES, typ, 0, unix.NFPROTO_INET)
		w.String(unix.NFTA_TABLE_NAME, "none")
		w.End()
	}
	var w Writer
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	for range 2000 {
		table(&w, unix.NFT_MSG_DELTABLE)
	}
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := c.Do(&w, uint32(w.Messages()-1), nil); !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("got %v, want ENOBUFS", err)
	}

	w.Reset()
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	table(&w, unix.NFT_MSG_NEWTABLE)
	table(&w, unix.NFT_MSG_DELTABLE)
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := c.Do(&w, uint32(w.Messages()-1), nil); err != nil {
		t.Errorf("the next batch: %v", err)
	}
}
