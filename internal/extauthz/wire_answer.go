package extauthz

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// overwrite is the action of headers that take the place of those by their name.
const overwrite = 2

// marshal writes a CheckResponse.
func (a *Answer) marshal() []byte {
	inner := make([]byte, 0, 256)
	code, field := codes.OK, protowire.Number(3)
	if !a.Allowed {
		code, field = codes.PermissionDenied, 2
		inner = appendMessage(inner, 1, appendNumber(nil, 1, uint64(a.Status))) //nolint:gosec // a status of HTTP
	}
	for _, h := range a.Headers {
		size := sizeOfText(h[0]) + sizeOfText(h[1])
		inner = protowire.AppendTag(inner, 2, protowire.BytesType)
		inner = protowire.AppendVarint(inner, uint64(1+protowire.SizeBytes(size)+2)) //nolint:gosec // lengths
		inner = protowire.AppendTag(inner, 1, protowire.BytesType)
		inner = protowire.AppendVarint(inner, uint64(size)) //nolint:gosec // a length
		inner = appendText(appendText(inner, 1, h[0]), 2, h[1])
		inner = appendNumber(inner, 3, overwrite)
	}
	if !a.Allowed {
		inner = appendText(inner, 3, a.Body)
	}
	out := make([]byte, 0, len(inner)+16)
	out = appendMessage(out, 1, appendNumber(nil, 1, uint64(code)))
	return appendMessage(out, field, inner)
}

// sizeOfText is that of a string as a field with a number below 16.
func sizeOfText(text string) int {
	if text == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(text))
}

// unmarshal reads a CheckResponse.
func (a *Answer) unmarshal(raw []byte) error {
	*a = Answer{}
	return fields("CheckResponse", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		switch key(number, typ) {
		case message2:
			a.Allowed = false
			return a.unmarshalInner(text)
		case message3:
			a.Allowed = true
			return a.unmarshalInner(text)
		}
		return nil
	})
}

func (a *Answer) unmarshalInner(raw []byte) error {
	return fields("answer", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		switch k := key(number, typ); {
		case k == message1 && !a.Allowed:
			return fields("status", text, func(number protowire.Number, typ protowire.Type, _ []byte, n uint64) error {
				if key(number, typ) == number1 {
					a.Status = int(n) //nolint:gosec // as protobuf has it
				}
				return nil
			})
		case k == message2:
			return a.unmarshalHeader(text)
		case k == message3 && !a.Allowed:
			return setText(&a.Body, text)
		}
		return nil
	})
}

func (a *Answer) unmarshalHeader(raw []byte) error {
	return fields("header", raw, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
		if key(number, typ) != message1 {
			return nil
		}
		var h [2]string
		err := fields("header", text, func(number protowire.Number, typ protowire.Type, text []byte, _ uint64) error {
			switch key(number, typ) {
			case message1:
				return setText(&h[0], text)
			case message2:
				return setText(&h[1], text)
			}
			return nil
		})
		a.Headers = append(a.Headers, h)
		return err
	})
}
