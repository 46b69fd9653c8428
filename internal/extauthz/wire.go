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

// CheckRequest asks whether a request may pass.
type CheckRequest struct {
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

// CheckResponse says so.
type CheckResponse struct {
	Allowed bool
	Status  int         // of HTTP, for who is denied
	Headers [][2]string // names and values
	Body    string      // likewise
}

// scan goes through the fields of a message, one by one. Fields of other types
// than expected are passed over by who reads, as unknown ones are.
type scan struct {
	rest []byte
	key  uint64 // of the present field: its number and type
	text []byte // if it is of bytes
	n    uint64 // if it is a varint
	size int    // what was consumed of the last one; negative: it is broken
}

// next reads the next field. At the end, and at what is none, it reports false.
func (r *scan) next() bool {
	if len(r.rest) == 0 {
		return false
	}
	if r.rest[0] < 0x80 && r.rest[0]>>3 != 0 { // as nearly all are
		r.key, r.size = uint64(r.rest[0]), 1
	} else {
		var number protowire.Number
		var typ protowire.Type
		if number, typ, r.size = protowire.ConsumeTag(r.rest); r.size < 0 {
			return false
		}
		r.key = protowire.EncodeTag(number, typ)
	}
	r.rest = r.rest[r.size:]
	switch typ := protowire.Type(r.key & 7); typ {
	case protowire.BytesType:
		r.text, r.size = protowire.ConsumeBytes(r.rest)
	case protowire.VarintType:
		r.n, r.size = protowire.ConsumeVarint(r.rest)
	default:
		r.size = protowire.ConsumeFieldValue(protowire.Number(r.key>>3), typ, r.rest) //nolint:gosec // it was one
	}
	if r.size < 0 {
		return false
	}
	r.rest = r.rest[r.size:]
	return true
}

// err says what was wrong with the message, after its end.
func (r *scan) err(what string) error {
	if r.size < 0 {
		return fmt.Errorf("%s: %w", what, protowire.ParseError(r.size))
	}
	return nil
}

// Fields with their types, as a scan has them.
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

// setMethod takes a method in; those that nearly all requests have need no memory.
func setMethod(to *string, text []byte) error {
	for _, known := range [...]string{"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"} {
		if string(text) == known {
			*to = known
			return nil
		}
	}
	return setText(to, text)
}

// unmarshal reads a CheckRequest.
func (q *CheckRequest) unmarshal(raw []byte) error { return q.read(raw, &Request{}) }

// read does the same; a request of HTTP is put where its caller says.
func (q *CheckRequest) read(raw []byte, request *Request) error {
	*q = CheckRequest{}
	r := scan{rest: raw}
	for r.next() {
		if r.key != message1 {
			continue
		}
		if err := q.readAttributes(r.text, request); err != nil {
			return err
		}
	}
	return r.err("CheckRequest")
}

func (q *CheckRequest) readAttributes(raw []byte, request *Request) error {
	r := scan{rest: raw}
	for r.next() {
		var err error
		switch r.key {
		case message1:
			err = q.Source.read(r.text)
		case message2:
			err = q.Destination.read(r.text)
		case message4:
			err = q.readRequest(r.text, request)
		}
		if err != nil {
			return err
		}
	}
	return r.err("attributes")
}

func (p *Peer) read(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		var err error
		switch r.key {
		case message1:
			err = p.readAddress(r.text)
		case message4:
			err = setText(&p.Principal, r.text)
		}
		if err != nil {
			return err
		}
	}
	return r.err("peer")
}

func (p *Peer) readAddress(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		if r.key != message1 { // a pipe, or an address of Envoy's own
			p.Address, p.Port, p.UDP = "", 0, false
			continue
		}
		if err := p.readSocket(r.text); err != nil {
			return err
		}
	}
	return r.err("address")
}

func (p *Peer) readSocket(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		switch r.key {
		case number1:
			p.UDP = r.n == 1
		case message2:
			if err := setText(&p.Address, r.text); err != nil {
				return err
			}
		case number3:
			p.Port = uint32(r.n) //nolint:gosec // as protobuf has it
		}
	}
	return r.err("socket address")
}

func (q *CheckRequest) readRequest(raw []byte, request *Request) error {
	r := scan{rest: raw}
	for r.next() {
		if r.key != message2 {
			continue
		}
		if q.HTTP == nil {
			*request = Request{}
			q.HTTP = request
		}
		if err := q.HTTP.read(r.text); err != nil {
			return err
		}
	}
	return r.err("request")
}

func (h *Request) read(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		var err error
		switch r.key {
		case message2:
			err = setMethod(&h.Method, r.text)
		case message3: // an entry of the map of headers
			err = h.readHeader(r.text)
		case message4:
			err = setText(&h.Path, r.text)
		case headers: // a list of them, where the proxy sends that
			err = h.readHeaders(r.text)
		}
		if err != nil {
			return err
		}
	}
	return r.err("HTTP request")
}

func (h *Request) readHeaders(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		if r.key != message1 {
			continue
		}
		if err := h.readHeader(r.text); err != nil {
			return err
		}
	}
	return r.err("header map")
}

// readHeader reads a name (1) and a value (2, or raw 3), of either form.
func (h *Request) readHeader(raw []byte) error {
	var name, value []byte
	r := scan{rest: raw}
	for r.next() {
		switch r.key {
		case message1:
			name = r.text
		case message2, message3:
			value = r.text
		}
	}
	if string(name) == headerTraceparent && len(value) > 0 {
		h.Traceparent = string(value)
	}
	return r.err("header")
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
func (q *CheckRequest) marshal() []byte {
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
