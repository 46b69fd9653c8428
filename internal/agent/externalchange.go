package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/coalesce"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
	"github.com/tierwall/tierwall/internal/nfnl"
)

// minCheckInterval is the least time between two checks because of other processes: one
// that changes our table all the time must not keep the agent busy.
const minCheckInterval = time.Second

// externalChanges returns a signal each time that another process may have changed
// our tables; nil if nobody can tell.
func (a *agent) externalChanges(ctx context.Context) <-chan struct{} {
	if a.cfg.ExternalChanges == nil {
		return nil
	}
	return coalesce.Watch(ctx, minCheckInterval, a.cfg.ExternalChanges, func(err error) {
		a.log.Warn("changes by others are only found at the next check", "error", err, "every", a.cfg.CheckInterval)
	})
}

// Attributes and groups of the kernel's nftables notifications.
const (
	groupNFTables  = 7 // NFNLGRP_NFTABLES
	attrTable      = 1 // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, ...: all are 1
	attrGenCommand = 3 // NFTA_GEN_PROC_NAME
)

// WatchExternalChanges listens to the kernel's notifications and calls changed when a
// transaction of another program touched our table. Programs are told apart by
// the command's name: the kernel's process numbers are not those of a container.
func WatchExternalChanges(ctx context.Context, changed func()) error {
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

// externalChange finds transactions of other programs that touch our table.
type externalChange struct {
	own     string // the command's name of this program
	touched bool   // the transaction that is being told has touched our table
}

// take takes one notification in, and reports whether it ends a transaction of another
// program that touched our table.
func (w *externalChange) take(m nfnl.Message) bool {
	if m.Type != unix.NFT_MSG_NEWGEN {
		w.touched = w.touched || m.Attrs.Get(attrTable).String() == nft.DefaultTable
		return false
	}
	touched := w.touched
	w.touched = false
	return touched && m.Attrs.Get(attrGenCommand).String() != w.own
}
