// Package nflog receives the packets that the kernel's tables log: it binds to an
// NFLOG group and parses what comes.
package nflog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What follows is of linux/netfilter/nfnetlink_log.h.
const (
	subsystem     = 4 // NFNL_SUBSYS_ULOG
	messagePacket = subsystem << 8
	messageConfig = subsystem<<8 | 1

	configCommand = 1 // NFULA_CFG_CMD
	configMode    = 2 // NFULA_CFG_MODE
	configTimeout = 4 // NFULA_CFG_TIMEOUT, in hundredths of a second

	commandBind = 1 // NFULNL_CFG_CMD_BIND
	copyPacket  = 2 // NFULNL_COPY_PACKET

	attrInput   = 4  // NFULA_IFINDEX_INDEV
	attrOutput  = 5  // NFULA_IFINDEX_OUTDEV
	attrPayload = 9  // NFULA_PAYLOAD
	attrPrefix  = 10 // NFULA_PREFIX

	header = 4 // nfgenmsg
)

// copied is how much of a packet is asked for; the tables may give less.
const copied = 256

// Log is an NFLOG group that this process listens at. The kernel has one
// listener for each group of a network namespace.
type Log struct {
	conn  *netlink.Conn
	group uint16
}

// Open binds to a group in the caller's network namespace. It needs
// CAP_NET_ADMIN, and fails if somebody else listens there or if the kernel does
// not have NFLOG.
func Open(group uint16) (*Log, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("nflog: %w", err)
	}
	l := &Log{conn, group}
	mode := binary.BigEndian.AppendUint32(nil, copied)
	for _, attr := range []netlink.Attribute{
		{Type: configCommand, Data: []byte{commandBind}},
		{Type: configMode, Data: append(mode, copyPacket, 0)},
		{Type: configTimeout, Data: binary.BigEndian.AppendUint32(nil, 10)},
	} {
		if err := l.configure(attr); err != nil {
			return nil, errors.Join(fmt.Errorf("nflog: group %d: %w", group, err), conn.Close())
		}
	}
	return l, nil
}

func (l *Log) configure(attr netlink.Attribute) error {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{attr})
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, l.group)
	_, err = l.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: messageConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(head, data...),
	})
	return err
}

// Close lets the group go.
func (l *Log) Close() error { return l.conn.Close() }

// Receive hands over packets until the context ends, and says so when the kernel
// has dropped some because they were not taken fast enough.
func (l *Log) Receive(ctx context.Context, each func(Packet), lost func()) error {
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		messages, err := l.conn.Receive()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			lost()
			continue
		case err != nil:
			return fmt.Errorf("nflog: group %d: %w", l.group, err)
		}
		for _, m := range messages {
			if m.Header.Type != messagePacket || len(m.Data) < header {
				continue
			}
			if p, ok := parseMessage(m.Data[header:]); ok {
				each(p)
			}
		}
	}
}
