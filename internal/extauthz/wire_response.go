package extauthz

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// overwrite is the action of headers that take the place of those by their name.
const overwrite = 2

// marshal writes a CheckResponse.
func (a *CheckResponse) marshal() []byte {
	code, field := codes.OK, protowire.Number(3)
	inner := 0
	for _, h := range a.Headers {
		inner += protowire.SizeBytes(sizeOfHeader(h)) + 1
	}
	var status int
	if !a.Allowed {
		code, field = codes.PermissionDenied, 2
		status = sizeOfNumber(uint64(a.Status)) //nolint:gosec // a status of HTTP
		inner += 1 + protowire.SizeBytes(status) + sizeOfText(a.Body)
	}
	sized := sizeOfNumber(uint64(code))
	out := make([]byte, 0, 2+protowire.SizeBytes(sized)+protowire.SizeBytes(inner))
	out = appendNumber(appendLength(out, 1, sized), 1, uint64(code))
	out = appendLength(out, field, inner)
	if !a.Allowed {
		out = appendNumber(appendLength(out, 1, status), 1, uint64(a.Status)) //nolint:gosec // likewise
	}
	for _, h := range a.Headers {
		out = appendLength(out, 2, sizeOfHeader(h))
		out = appendLength(out, 1, sizeOfText(h[0])+sizeOfText(h[1]))
		out = appendText(appendText(out, 1, h[0]), 2, h[1])
		out = appendNumber(out, 3, overwrite)
	}
	if !a.Allowed {
		out = appendText(out, 3, a.Body)
	}
	return out
}

// appendLength begins a message of a size as a field of another.
func appendLength(b []byte, number protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.BytesType), uint64(size)) //nolint:gosec // a length
}

// sizeOfHeader is that of a header with its action.
func sizeOfHeader(h [2]string) int {
	return 1 + protowire.SizeBytes(sizeOfText(h[0])+sizeOfText(h[1])) + sizeOfNumber(overwrite)
}

// sizeOfNumber is that of a number as a field with a number below 16.
func sizeOfNumber(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(n)
}

// sizeOfText is that of a string as a field with a number below 16.
func sizeOfText(text string) int {
	if text == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(text))
}

// unmarshal reads a CheckResponse.
func (a *CheckResponse) unmarshal(raw []byte) error {
	*a = CheckResponse{}
	r := scan{rest: raw}
	for r.next() {
		if r.key != message2 && r.key != message3 {
			continue
		}
		a.Allowed = r.key == message3
		if err := a.readInner(r.text); err != nil {
			return err
		}
	}
	return r.err("CheckResponse")
}

func (a *CheckResponse) readInner(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		var err error
		switch {
		case r.key == message1 && !a.Allowed:
			err = a.readStatus(r.text)
		case r.key == message2:
			err = a.readHeader(r.text)
		case r.key == message3 && !a.Allowed:
			err = setText(&a.Body, r.text)
		}
		if err != nil {
			return err
		}
	}
	return r.err("answer")
}

func (a *CheckResponse) readStatus(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		if r.key == number1 {
			a.Status = int(r.n) //nolint:gosec // as protobuf has it
		}
	}
	return r.err("status")
}

func (a *CheckResponse) readHeader(raw []byte) error {
	r := scan{rest: raw}
	for r.next() {
		if r.key != message1 {
			continue
		}
		var h [2]string
		f := scan{rest: r.text}
		for f.next() {
			if f.key != message1 && f.key != message2 {
				continue
			}
			if err := setText(&h[f.key>>3-1], f.text); err != nil {
				return err
			}
		}
		if err := f.err("header"); err != nil {
			return err
		}
		a.Headers = append(a.Headers, h)
	}
	return r.err("header")
}
