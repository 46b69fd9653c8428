package nft

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/dataplane/nft/codec"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// ChangeListener listens to the kernel's notifications of what others change. As long as
// anybody listens, the kernel makes a message of a page for each element and rule of a
// transaction before it ends: that is most of the time that a large one takes, and more
// than the listener's socket holds. So nobody listens while a large batch of ours is
// written, and the numbers of the transactions tell whether another one was missed.
//
// What must hold: every transaction of another program is told, or is in a gap of the
// numbers, which counts as one that touched our table. The numbers are read before the
// listener leaves and after it is back.
//
// The zero value is ready. Its methods may be called by any goroutine.
type ChangeListener struct {
	mu       sync.Mutex
	listener *nfnl.Listener // nil: nobody listens
	changed  func()
}

// Attributes and groups of the kernel's nftables notifications.
const (
	groupNFTables   = 7 // NFNLGRP_NFTABLES
	attrTable       = 1 // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, ...: all are 1
	attrGenCommand  = 3 // NFTA_GEN_PROC_NAME
	attrTableHandle = 4 // NFTA_TABLE_HANDLE
)

// Watch calls changed when a transaction of another program touched our table, or may
// have, until the context ends. Programs are told apart by the command's name: the
// kernel's process numbers are not those of a container.
func (c *ChangeListener) Watch(ctx context.Context, changed func()) error {
	own, err := os.ReadFile("/proc/thread-self/comm")
	if err != nil {
		return err
	}
	listener, err := nfnl.Listen(nfnl.ListenerConfig{})
	if err != nil {
		return fmt.Errorf("listen to the kernel's notifications: %w", err)
	}
	defer func() { _ = listener.Close() }()
	if err := listener.Join(groupNFTables); err != nil {
		return fmt.Errorf("listen to the kernel's notifications: %w", err)
	}
	c.set(listener, changed)
	defer c.set(nil, nil)
	defer context.AfterFunc(ctx, func() { _ = listener.SetDeadline(time.Unix(1, 0)) })()
	w := externalChange{own: strings.TrimSuffix(string(own), "\n")}
	for {
		err := listener.Receive(func(_ nfnl.Header, m nfnl.Message) error {
			if w.take(m) {
				changed()
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS) || errors.Is(err, nfnl.ErrMalformed): // some were not understood
			changed()
		case err != nil:
			return fmt.Errorf("listen to the kernel's notifications: %w", err)
		}
	}
}

func (c *ChangeListener) set(listener *nfnl.Listener, changed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener, c.changed = listener, changed
}

// unheard writes one batch that the kernel tells the listener nothing of.
func (c *ChangeListener) unheard(conn *nfnl.Conn, write func() error) error {
	if c == nil {
		return write()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener == nil {
		return write()
	}
	before, err := codec.Generation(conn)
	if err == nil {
		err = awaitTransactions(conn) // those up to before have been told as well
	}
	if err == nil {
		err = c.listener.Leave(groupNFTables)
	}
	if err != nil {
		return write() // it is heard, and takes longer
	}
	failed := write()
	if err := c.listener.Join(groupNFTables); err != nil {
		_ = c.listener.SetDeadline(time.Unix(1, 0)) // the watch ends, and says so
		c.listener = nil
	}
	own := uint32(1)
	if failed != nil {
		own = 0
	}
	if after, err := codec.Generation(conn); err != nil || after-before != own {
		c.changed()
	}
	return failed
}

// awaitTransactions returns when every transaction that is under way has ended: one
// that fails waits for them, and has no number.
func awaitTransactions(conn *nfnl.Conn) error {
	var w nfnl.Writer
	w.BeginBatch(unix.NFNL_SUBSYS_NFTABLES)
	w.Begin(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_DELTABLE, 0, unix.NFPROTO_INET)
	w.Uint64(attrTableHandle, math.MaxUint64) // there is none
	w.End()
	w.EndBatch(unix.NFNL_SUBSYS_NFTABLES)
	if err := conn.Do(&w, uint32(w.Messages()-1), nil); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("waiting for other transactions: %w", err)
	}
	return nil
}

// externalChange finds transactions of other programs that touch our table.
type externalChange struct {
	own     string // the command's name of this program
	touched bool   // the transaction that is being told has touched our table
}

// take takes one notification in, and reports whether it ends a transaction of another
// program that touched our table.
func (w *externalChange) take(m nfnl.Message) bool {
	if m.Type != unix.NFT_MSG_NEWGEN {
		w.touched = w.touched || m.Attrs.Get(attrTable).String() == DefaultTable
		return false
	}
	touched := w.touched
	w.touched = false
	return touched && m.Attrs.Get(attrGenCommand).String() != w.own
}
