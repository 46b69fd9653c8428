package nfqueue

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tierwall/tierwall/internal/nfnl"
)

// The numbers of linux/netfilter/nfnetlink_queue.h.
const (
	messagePacket  = 0 // NFQNL_MSG_PACKET
	messageVerdict = 1
	messageConfig  = 2

	configCommand = 1 // NFQA_CFG_CMD
	configParams  = 2
	configMaxLen  = 3
	configMask    = 4
	configFlags   = 5

	commandBind = 1 // NFQNL_CFG_CMD_BIND
	copyPacket  = 2 // NFQNL_COPY_PACKET

	flagFailOpen = 1 // NFQA_CFG_F_FAIL_OPEN
	flagGSO      = 4 // NFQA_CFG_F_GSO

	attrHeader  = 1  // NFQA_PACKET_HDR
	attrVerdict = 2  // NFQA_VERDICT_HDR
	attrPayload = 10 // NFQA_PAYLOAD

	verdictAccept = 1 // NF_ACCEPT
)

// writeBind asks for a queue.
func writeBind(w *nfnl.Writer, queue uint16) {
	w.BeginFor(unix.NFNL_SUBSYS_QUEUE, messageConfig, unix.NLM_F_ACK, queue)
	w.Bytes(configCommand, []byte{commandBind, 0, 0, 0})
	w.End()
}

// writeConfig says what of packets is to be seen, and what happens to those for
// which there is no capacity.
func writeConfig(w *nfnl.Writer, queue uint16, capacity uint32) {
	w.BeginFor(unix.NFNL_SUBSYS_QUEUE, messageConfig, unix.NLM_F_ACK, queue)
	w.Bytes(configParams, []byte{0, 0, 0xff, 0xff, copyPacket}) // up to 65535 bytes
	w.Uint32(configMaxLen, capacity)
	w.Uint32(configFlags, flagFailOpen|flagGSO)
	w.Uint32(configMask, flagFailOpen|flagGSO)
	w.End()
}

// writeVerdict lets a packet go.
func writeVerdict(w *nfnl.Writer, queue uint16, id uint32) {
	w.BeginFor(unix.NFNL_SUBSYS_QUEUE, messageVerdict, 0, queue)
	var v [8]byte
	binary.BigEndian.PutUint32(v[:], verdictAccept)
	binary.BigEndian.PutUint32(v[4:], id)
	w.Bytes(attrVerdict, v[:])
	w.End()
}

// Packet is a packet that waits.
type Packet struct {
	ID      uint32 // what Accept is told
	Payload []byte // from its IP header on; valid until the next is received
}

// parse reads a packet.
func parse(h nfnl.Header, m nfnl.Message) (Packet, error) {
	if h.Type != unix.NFNL_SUBSYS_QUEUE<<8|messagePacket {
		return Packet{}, fmt.Errorf("%w: a message of type %#x", nfnl.ErrMalformed, h.Type)
	}
	head := m.Attrs.Get(attrHeader)
	if len(head) < 4 {
		return Packet{}, fmt.Errorf("%w: a packet without a number", nfnl.ErrMalformed)
	}
	return Packet{ID: head.Uint32(), Payload: m.Attrs.Get(attrPayload)}, nil
}
