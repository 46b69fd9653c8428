package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// Message is one message that the kernel sent. Attrs is valid until the next is read.
type Message struct {
	Type   uint8 // within its subsystem
	Flags  uint16
	Family uint8
	Attrs  Attrs
}

// Attrs is a list of attributes as it stands in a message.
type Attrs []byte

// ErrMalformed says that bytes are no messages or attributes.
var ErrMalformed = errors.New("malformed netlink data")

// All returns the attributes' types, without flags, and values. A malformed rest
// ends the list; Check tells.
func (a Attrs) All() iter.Seq2[uint16, Value] {
	return func(yield func(uint16, Value) bool) {
		for b := []byte(a); len(b) >= 4; {
			n := int(binary.NativeEndian.Uint16(b))
			if n < 4 || n > len(b) {
				return
			}
			typ := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(typ, b[4:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

// Check reports attributes that are malformed.
func (a Attrs) Check() error {
	for b := []byte(a); len(b) > 0; {
		if len(b) < 4 {
			return ErrMalformed
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return ErrMalformed
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// Get returns the first attribute of a type; nil if there is none.
func (a Attrs) Get(typ uint16) Value {
	for t, v := range a.All() {
		if t == typ {
			return v
		}
	}
	return nil
}

// Value is an attribute's value. Reading it as something it is too short for gives zero.
type Value []byte

// Attrs reads a nest.
func (v Value) Attrs() Attrs { return Attrs(v) }

// String reads a string up to its zero byte.
func (v Value) String() string {
	for i, c := range v {
		if c == 0 {
			return string(v[:i])
		}
	}
	return string(v)
}

// Uint8 reads a number of one byte.
func (v Value) Uint8() uint8 {
	if len(v) < 1 {
		return 0
	}
	return v[0]
}

// Uint16 reads a number of two bytes.
func (v Value) Uint16() uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

// Uint32 reads a number of four bytes.
func (v Value) Uint32() uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}

// Uint64 reads a number of eight bytes.
func (v Value) Uint64() uint64 {
	if len(v) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// Error is what the kernel says against a message.
type Error struct {
	Errno  unix.Errno
	Text   string // the kernel's explanation, often empty
	Seq    uint32 // which message of the request or batch, from 1
	Offset uint32 // of the attribute that is meant, from the message's start; 0 if unknown
}

// Error returns the kernel's explanation where there is one.
func (e *Error) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("%v: %s", e.Errno, e.Text)
	}
	return e.Errno.Error()
}

// Unwrap returns the error number.
func (e *Error) Unwrap() error { return e.Errno }

const (
	flagCapped  = 0x100 // NLM_F_CAPPED
	flagAckTLVs = 0x200 // NLM_F_ACK_TLVS

	extAckText   = 1 // NLMSGERR_ATTR_MSG
	extAckOffset = 2 // NLMSGERR_ATTR_OFFS
)

// parseError reads an answer: nil is success.
func parseError(flags uint16, seq uint32, body []byte) error {
	if len(body) < 4 {
		return ErrMalformed
	}
	code := int32(binary.NativeEndian.Uint32(body))
	if code == 0 {
		return nil
	}
	e := &Error{Errno: unix.Errno(-code), Seq: seq}
	if flags&flagAckTLVs != 0 && len(body) >= 4+unix.SizeofNlMsghdr {
		rest := body[4:]
		skip := unix.SizeofNlMsghdr
		if flags&flagCapped == 0 {
			skip = int(binary.NativeEndian.Uint32(rest)+3) &^ 3
		}
		if skip <= len(rest) {
			attrs := Attrs(rest[skip:])
			e.Text = attrs.Get(extAckText).String()
			if v := attrs.Get(extAckOffset); len(v) >= 4 {
				e.Offset = binary.NativeEndian.Uint32(v)
			}
		}
	}
	return e
}

// ParseMessages hands out the messages of one datagram.
func ParseMessages(b []byte, each func(header Header, body []byte) error) error {
	for len(b) >= unix.SizeofNlMsghdr {
		h := Header{
			Len:   binary.NativeEndian.Uint32(b),
			Type:  binary.NativeEndian.Uint16(b[4:]),
			Flags: binary.NativeEndian.Uint16(b[6:]),
			Seq:   binary.NativeEndian.Uint32(b[8:]),
		}
		if h.Len < unix.SizeofNlMsghdr || int64(h.Len) > int64(len(b)) {
			return ErrMalformed
		}
		if err := each(h, b[unix.SizeofNlMsghdr:h.Len]); err != nil {
			return err
		}
		b = b[min(int(h.Len+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		return ErrMalformed
	}
	return nil
}

// Header is a netlink header.
type Header struct {
	Len         uint32
	Type, Flags uint16
	Seq         uint32
}

// ParseMessage reads the body of an nfnetlink message.
func ParseMessage(h Header, body []byte) (Message, error) {
	if len(body) < 4 {
		return Message{}, ErrMalformed
	}
	m := Message{Type: uint8(h.Type), Flags: h.Flags, Family: body[0], Attrs: Attrs(body[4:])}
	return m, m.Attrs.Check()
}
