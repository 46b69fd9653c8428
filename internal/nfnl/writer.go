package nfnl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Writer appends messages to a buffer. Numbers in attributes are big-endian, as
// nfnetlink has them. The zero value is ready.
type Writer struct {
	B   []byte
	seq uint32
	msg int // start of the open message
}

// Reset forgets all messages and keeps the memory.
func (w *Writer) Reset() { w.B, w.seq = w.B[:0], 0 }

// Messages returns how many messages there are.
func (w *Writer) Messages() int { return int(w.seq) }

// Begin opens a message of a subsystem and type, with flags besides
// NLM_F_REQUEST, for an address family. End closes it.
func (w *Writer) Begin(subsystem, typ uint8, flags uint16, family uint8) {
	w.begin(uint16(subsystem)<<8|uint16(typ), flags, family, 0)
}

// BeginFor is Begin for a message about a resource of the subsystem, such as a queue or a
// group: its number stands in the message's head.
func (w *Writer) BeginFor(subsystem, typ uint8, flags uint16, resource uint16) {
	w.begin(uint16(subsystem)<<8|uint16(typ), flags, unix.AF_UNSPEC, resource)
}

func (w *Writer) begin(typ, flags uint16, family uint8, resource uint16) {
	w.seq++
	w.msg = len(w.B)
	w.B = append(w.B, 0, 0, 0, 0)
	w.B = binary.NativeEndian.AppendUint16(w.B, typ)
	w.B = binary.NativeEndian.AppendUint16(w.B, flags|unix.NLM_F_REQUEST)
	w.B = binary.NativeEndian.AppendUint32(w.B, w.seq)
	w.B = append(w.B, 0, 0, 0, 0, family, unix.NFNETLINK_V0)
	w.B = binary.BigEndian.AppendUint16(w.B, resource)
}

// End closes the message.
func (w *Writer) End() {
	binary.NativeEndian.PutUint32(w.B[w.msg:], uint32(len(w.B)-w.msg))
}

// BeginBatch opens a batch for a subsystem: either all messages up to EndBatch
// come into force, or none.
func (w *Writer) BeginBatch(subsystem uint8) {
	w.begin(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, uint16(subsystem))
	w.End()
}

// EndBatch closes the batch. The last message in it asks for the answer.
func (w *Writer) EndBatch(subsystem uint8) {
	flags := w.B[w.msg+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	w.begin(unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, uint16(subsystem))
	w.End()
}

// Nest opens an attribute that holds attributes; EndNest(its result) closes it.
func (w *Writer) Nest(typ uint16) int {
	start := len(w.B)
	w.attr(typ|unix.NLA_F_NESTED, 0)
	return start
}

// EndNest closes a nest. It panics if the nest is longer than an attribute can be,
// which callers prevent by cutting lists.
func (w *Writer) EndNest(start int) {
	n := len(w.B) - start
	if n > 0xffff {
		panic(fmt.Sprintf("nfnl: attribute of %d bytes", n))
	}
	binary.NativeEndian.PutUint16(w.B[start:], uint16(n))
}

func (w *Writer) attr(typ uint16, n int) {
	w.B = binary.NativeEndian.AppendUint16(w.B, uint16(4+n))
	w.B = binary.NativeEndian.AppendUint16(w.B, typ)
}

var padding [4]byte

// Bytes appends an attribute.
func (w *Writer) Bytes(typ uint16, b []byte) {
	w.attr(typ, len(b))
	w.B = append(w.B, b...)
	w.B = append(w.B, padding[:-len(b)&3]...)
}

// Raw appends an attribute whose bytes are a string's.
func (w *Writer) Raw(typ uint16, s string) {
	w.attr(typ, len(s))
	w.B = append(w.B, s...)
	w.B = append(w.B, padding[:-len(s)&3]...)
}

// String appends a string with the zero byte at its end.
func (w *Writer) String(typ uint16, s string) {
	w.attr(typ, len(s)+1)
	w.B = append(w.B, s...)
	w.B = append(w.B, padding[:1+(-(len(s)+1))&3]...)
}

// Uint8 appends a number of one byte.
func (w *Writer) Uint8(typ uint16, n uint8) {
	w.attr(typ, 1)
	w.B = append(w.B, n, 0, 0, 0)
}

// Uint16 appends a number of two bytes.
func (w *Writer) Uint16(typ uint16, n uint16) {
	w.attr(typ, 2)
	w.B = append(w.B, byte(n>>8), byte(n), 0, 0)
}

// Uint32 appends a number of four bytes.
func (w *Writer) Uint32(typ uint16, n uint32) {
	w.attr(typ, 4)
	w.B = binary.BigEndian.AppendUint32(w.B, n)
}

// Uint64 appends a number of eight bytes.
func (w *Writer) Uint64(typ uint16, n uint64) {
	w.attr(typ, 8)
	w.B = binary.BigEndian.AppendUint64(w.B, n)
}
