// Package nflog receives the packets that the kernel's tables log: it binds to an
// NFLOG group and parses what comes.
package nflog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// What follows is of linux/netfilter/nfnetlink_log.h.
const (
	messagePacket = 0 // NFULNL_MSG_PACKET
	messageConfig = 1

	configCommand = 1 // NFULA_CFG_CMD
	configMode    = 2 // NFULA_CFG_MODE
	configTimeout = 4 // NFULA_CFG_TIMEOUT, in hundredths of a second

	commandBind = 1 // NFULNL_CFG_CMD_BIND
	copyPacket  = 2 // NFULNL_COPY_PACKET

	attrInput   = 4  // NFULA_IFINDEX_INDEV
	attrOutput  = 5  // NFULA_IFINDEX_OUTDEV
	attrPayload = 9  // NFULA_PAYLOAD
	attrPrefix  = 10 // NFULA_PREFIX
)

// copied is how much of a packet is asked for; the tables may give less.
const copied = 256

// receiveBuffer is how many bytes of packets wait to be read: what comes at once, of one
// tenant, should not have others' lost.
const receiveBuffer = 16 << 20

// Log is an NFLOG group that this process listens at. The kernel has one
// listener for each group of a network namespace.
type Log struct {
	listener *nfnl.Listener
	group    uint16
}

// Open binds to a group in the caller's network namespace. It needs
// CAP_NET_ADMIN, and fails if somebody else listens there or if the kernel does
// not have NFLOG.
func Open(group uint16) (*Log, error) { return open("", group) }

func open(netns string, group uint16) (*Log, error) {
	l, err := nfnl.Listen(nfnl.ListenerConfig{NetNS: netns, Buffer: receiveBuffer})
	if err != nil {
		return nil, fmt.Errorf("nflog: %w", err)
	}
	mode := binary.BigEndian.AppendUint32(nil, copied)
	for _, attr := range []struct {
		typ  uint16
		data []byte
	}{
		{configCommand, []byte{commandBind}},
		{configMode, append(mode, copyPacket, 0)},
		{configTimeout, binary.BigEndian.AppendUint32(nil, 10)},
	} {
		var w nfnl.Writer
		w.BeginFor(unix.NFNL_SUBSYS_ULOG, messageConfig, unix.NLM_F_ACK, group)
		w.Bytes(attr.typ, attr.data)
		w.End()
		if err := l.Request(&w); err != nil {
			return nil, errors.Join(fmt.Errorf("nflog: group %d: %w", group, err), l.Close())
		}
	}
	return &Log{l, group}, nil
}

// Close lets the group go.
func (l *Log) Close() error { return l.listener.Close() }

// Receive hands over packets until the context ends, and says so when the kernel
// has dropped some because they were not taken fast enough. What cannot be read is
// passed over.
func (l *Log) Receive(ctx context.Context, each func(Packet), lost func()) error {
	defer context.AfterFunc(ctx, func() { _ = l.listener.SetDeadline(time.Unix(1, 0)) })()
	for {
		err := l.listener.Receive(func(h nfnl.Header, m nfnl.Message) error {
			if h.Type != unix.NFNL_SUBSYS_ULOG<<8|messagePacket {
				return nil
			}
			if p, ok := parseMessage(m.Attrs); ok {
				each(p)
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			lost()
		case err != nil:
			return fmt.Errorf("nflog: group %d: %w", l.group, err)
		}
	}
}
