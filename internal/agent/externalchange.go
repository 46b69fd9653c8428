package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/agent/coalesce"
	"github.com/tierwall/tierwall/internal/dataplane/nft"
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
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{Groups: 1 << (groupNFTables - 1)})
	if err != nil {
		return fmt.Errorf("listen to the kernel's notifications: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	touched := false
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS): // some were lost
			changed()
			continue
		case err != nil:
			return fmt.Errorf("listen to the kernel's notifications: %w", err)
		}
		for _, m := range messages {
			kind, ours, command := notification(m)
			switch {
			case kind != unix.NFT_MSG_NEWGEN:
				touched = touched || ours
			case touched:
				if touched = false; command != strings.TrimSuffix(string(own), "\n") {
					changed()
				}
			}
		}
	}
}

// notification tells what a message is about: an object of our table or, at the
// end of a transaction, the command that made it.
func notification(m netlink.Message) (kind int, ours bool, command string) {
	kind = int(m.Header.Type) & 0xff
	const header = 4 // nfgenmsg
	if len(m.Data) < header {
		return kind, false, ""
	}
	attrs, err := netlink.NewAttributeDecoder(m.Data[header:])
	if err != nil {
		return kind, false, ""
	}
	for attrs.Next() {
		switch {
		case kind == unix.NFT_MSG_NEWGEN && attrs.Type() == attrGenCommand:
			command = attrs.String()
		case kind != unix.NFT_MSG_NEWGEN && attrs.Type() == attrTable:
			ours = attrs.String() == nft.DefaultTable
		}
	}
	return kind, ours, command
}
