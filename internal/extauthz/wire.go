package extauthz

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of envoy.service.auth.v3 as far as they matter here: some twenty
// fields of some hundred. The generated types of Envoy's API would bring their
// descriptors into every process of tierwall, 10 MB of them, and cost ten times
// the allocations a request. The tests ask with the generated types.

// Question is a CheckRequest: may this request pass?
type Question struct {
	Source, Destination Peer
	HTTP                *Request // nil: a connection, of which no request is read
}

// Peer is one end.
type Peer struct {
	Address   string // an IP address; empty: it has none
	Port      uint32
	UDP       bool
	Principal string // who it has proved to be, as in "spiffe://..."
}

// Request is an HTTP request.
type Request struct {
	Method, Path string // the path with its query, as it came
	Traceparent  string // the header of that name
}

// Answer is a CheckResponse.
type Answer struct {
	Allowed bool
	Status  int         // of HTTP, for who is denied
	Headers [][2]string // names and values
	Body    string      // likewise
}

// fields visits the fields of a message. Those of other types than expected are
// an error, unknown ones are passed over.
func fields(what string, raw []byte, visit func(number protowire.Number, typ protowire.Type, text []byte, n uint64) error) error {
	for len(raw) > 0 {
		number, typ, size := protowire.ConsumeTag(raw)
		if size < 0 {
			return fmt.Errorf("%s: %w", what, protowire.ParseError(size))
		}
		raw = raw[size:]
		var text []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			text, size = protowire.ConsumeBytes(raw)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(raw)
		default:
			size = protowire.ConsumeFieldValue(number, typ, raw)
		}
		if size < 0 {
			return fmt.Errorf("%s: %w", what, protowire.ParseError(size))
		}
		raw = raw[size:]
		if err := visit(number, typ, text, n); err != nil {
			return err
		}
	}
	return nil
}

// key is a field with its type, to be switched over.
func key(number protowire.Number, typ protowire.Type) uint64 {
	return protowire.EncodeTag(number, typ)
}

const (
	message1 = 1<<3 | uint64(protowire.BytesType)
	message2 = 2<<3 | uint64(protowire.BytesType)
	message3 = 3<<3 | uint64(protowire.BytesType)
	message4 = 4<<3 | uint64(protowire.BytesType)
	number1  = 1<<3 | uint64(protowire.VarintType)
	number3  = 3<<3 | uint64(protowire.VarintType)
	headers  = 13<<3 | uint64(protowire.BytesType)
)

// setText takes a string in, which must be UTF-8.
func setText(to *string, text []byte) error {
	if !utf8.Valid(text) {
		return fmt.Errorf("a string is not in UTF-8")
	}
	*to = string(text)
	return nil
}

// unmarshal reads a CheckRequest.
func (q *Question) unmarshal(raw []byte) error {
	*q = Question{}
	return fields("CheckRequest", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		if key(number, typ) != message1 {
			return nil
		}
		return fields("attributes", text, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
			switch key(number, typ) {
			case message1:
				return q.Source.unmarshal(text)
			case message2:
				return q.Destination.unmarshal(text)
			case message4:
				return q.unmarshalRequest(text)
			}
			return nil
		})
	})
}

func (p *Peer) unmarshal(raw []byte) error {
	return fields("peer", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		switch key(number, typ) {
		case message1:
			return fields("address", text, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
				if key(number, typ) != message1 { // a pipe, or an address of Envoy's own
					p.Address, p.Port, p.UDP = "", 0, false
					return nil
				}
				return p.unmarshalSocket(text)
			})
		case message4:
			return setText(&p.Principal, text)
		}
		return nil
	})
}

func (p *Peer) unmarshalSocket(raw []byte) error {
	return fields("socket address", raw, func(number protowire.Number, typ protowire.Type, text []byte, n uint64) error {
		switch key(number, typ) {
		case number1:
			p.UDP = n == 1
		case message2:
			return setText(&p.Address, text)
		case number3:
			p.Port = uint32(n) //nolint:gosec // as protobuf has it
		}
		return nil
	})
}

func (q *Question) unmarshalRequest(raw []byte) error {
	return fields("request", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		if key(number, typ) != message2 {
			return nil
		}
		if q.HTTP == nil {
			q.HTTP = &Request{}
		}
		return q.HTTP.unmarshal(text)
	})
}

func (r *Request) unmarshal(raw []byte) error {
	return fields("HTTP request", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		switch key(number, typ) {
		case message2:
			return setText(&r.Method, text)
		case message3: // an entry of the map of headers
			return r.unmarshalHeader(text)
		case message4:
			return setText(&r.Path, text)
		case headers: // a list of them, where the proxy sends that
			return fields("header map", text, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
				if key(number, typ) != message1 {
					return nil
				}
				return r.unmarshalHeader(text)
			})
		}
		return nil
	})
}

// unmarshalHeader reads a name (1) and a value (2, or raw 3), of either form.
func (r *Request) unmarshalHeader(raw []byte) error {
	var name, value []byte
	err := fields("header", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		switch key(number, typ) {
		case message1:
			name = text
		case message2, message3:
			value = text
		}
		return nil
	})
	if string(name) == headerTraceparent && len(value) > 0 {
		r.Traceparent = string(value)
	}
	return err
}

// appendMessage appends a message as a field of another.
func appendMessage(b []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), message)
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendNumber(b []byte, number protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), n)
}

// marshal writes a CheckRequest.
func (q *Question) marshal() []byte {
	attributes := appendMessage(appendMessage(nil, 1, q.Source.marshal()), 2, q.Destination.marshal())
	if q.HTTP != nil {
		http := appendText(nil, 2, q.HTTP.Method)
		if q.HTTP.Traceparent != "" {
			http = appendMessage(http, 3, appendText(appendText(nil, 1, headerTraceparent), 2, q.HTTP.Traceparent))
		}
		http = appendText(http, 4, q.HTTP.Path)
		attributes = appendMessage(attributes, 4, appendMessage(nil, 2, http))
	}
	return appendMessage(nil, 1, attributes)
}

func (p *Peer) marshal() []byte {
	var socket []byte
	if p.UDP {
		socket = appendNumber(socket, 1, 1)
	}
	socket = appendNumber(appendText(socket, 2, p.Address), 3, uint64(p.Port))
	return appendText(appendMessage(nil, 1, appendMessage(nil, 1, socket)), 4, p.Principal)
}
