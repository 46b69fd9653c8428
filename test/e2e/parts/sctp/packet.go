package sctp

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// chunkType is a type of RFC 9260, section 3.2.
type chunkType byte

const (
	typeData             chunkType = 0
	typeInit             chunkType = 1
	typeInitAck          chunkType = 2
	typeSack             chunkType = 3
	typeAbort            chunkType = 6
	typeShutdown         chunkType = 7
	typeShutdownAck      chunkType = 8
	typeError            chunkType = 9
	typeCookieEcho       chunkType = 10
	typeCookieAck        chunkType = 11
	typeShutdownComplete chunkType = 14
)

const (
	headerLen   = 12
	chunkHeader = 4
	initLen     = 16 // of the value of INIT and INIT ACK, without parameters
	dataLen     = 12 // of the value of DATA, without user data
	paramCookie = 7
	wholeData   = 3 // flags of DATA: first and last fragment
)

// window is the receiver window that this endpoint says it has. Nothing here
// sends that much.
const window = 64 << 10

type chunk struct {
	kind  chunkType
	flags byte
	value []byte
}

type packet struct {
	source, destination uint16
	tag                 uint32
	chunks              []chunk
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p packet) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, 128)
	b = be.AppendUint16(b, p.source)
	b = be.AppendUint16(b, p.destination)
	b = be.AppendUint32(b, p.tag)
	b = be.AppendUint32(b, 0)
	for _, c := range p.chunks {
		b = append(b, byte(c.kind), c.flags)
		b = be.AppendUint16(b, uint16(chunkHeader+len(c.value)))
		b = append(b, c.value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	// The one field of the protocol that is in little-endian order.
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}

var errMalformed = errors.New("sctp: malformed packet")

// decode reads a packet; what it gives refers to b, whose checksum it sets to 0.
func decode(b []byte) (packet, error) {
	if len(b) < headerLen+chunkHeader {
		return packet{}, errMalformed
	}
	sum := binary.LittleEndian.Uint32(b[8:])
	copy(b[8:headerLen], []byte{0, 0, 0, 0})
	if crc32.Checksum(b, castagnoli) != sum {
		return packet{}, errMalformed
	}
	be := binary.BigEndian
	p := packet{source: be.Uint16(b), destination: be.Uint16(b[2:]), tag: be.Uint32(b[4:])}
	for rest := b[headerLen:]; len(rest) >= chunkHeader; {
		n := int(be.Uint16(rest[2:]))
		if n < chunkHeader || n > len(rest) {
			return packet{}, errMalformed
		}
		p.chunks = append(p.chunks, chunk{chunkType(rest[0]), rest[1], rest[chunkHeader:n]})
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return p, nil
}

// initValue is the value of INIT and INIT ACK: one stream each way.
func initValue(tag, tsn uint32) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, tag)
	b = be.AppendUint32(b, window)
	b = be.AppendUint16(b, 1)
	b = be.AppendUint16(b, 1)
	return be.AppendUint32(b, tsn)
}

// readInit reads the value of INIT or INIT ACK, with the cookie if there is one.
func readInit(b []byte) (tag, tsn uint32, cookie []byte, ok bool) {
	if len(b) < initLen {
		return 0, 0, nil, false
	}
	be := binary.BigEndian
	tag, tsn = be.Uint32(b), be.Uint32(b[12:])
	for rest := b[initLen:]; len(rest) >= 4; {
		n := int(be.Uint16(rest[2:]))
		if n < 4 || n > len(rest) {
			return 0, 0, nil, false
		}
		if be.Uint16(rest) == paramCookie {
			cookie = append([]byte(nil), rest[4:n]...)
		}
		rest = rest[min((n+3)&^3, len(rest)):]
	}
	return tag, tsn, cookie, tag != 0
}

// withCookie appends a cookie to the value of an INIT ACK.
func withCookie(value, cookie []byte) []byte {
	value = binary.BigEndian.AppendUint16(value, paramCookie)
	value = binary.BigEndian.AppendUint16(value, uint16(4+len(cookie)))
	return append(value, cookie...)
}

// secrets are what both sides chose for an association. The server's cookie is
// these four numbers: it keeps no state until the client has answered.
type secrets struct {
	LocalTag, LocalTSN, PeerTag, PeerTSN uint32
}

func (s secrets) cookie() []byte {
	b, _ := binary.Append(nil, binary.BigEndian, s)
	return b
}

func readCookie(b []byte) (s secrets, ok bool) {
	n, err := binary.Decode(b, binary.BigEndian, &s)
	return s, err == nil && n == len(b)
}
