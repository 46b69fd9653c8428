package kube

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Most of what a pod has on the wire nobody reads here, and decoding it would be
// most of the work: its owners of fields alone are a third. So it is passed over
// before. What is read of an object is trim's to say; this here may leave more.

// fields says which fields of a message are kept, and what of them: all, if nil.
type fields map[protowire.Number]fields

// fieldsOf returns the fields of a message, each by its path as in "spec.containers.ports".
// Their numbers are in the tags of the type.
func fieldsOf[T any](paths ...string) fields {
	f := fields{}
	for _, path := range paths {
		f.add(reflect.TypeFor[T](), strings.Split(path, "."))
	}
	return f
}

func (f fields) add(t reflect.Type, path []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	for i := range t.NumField() {
		field := t.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != path[0] {
			continue
		}
		tag := strings.Split(field.Tag.Get("protobuf"), ",")
		n, err := strconv.Atoi(tag[min(1, len(tag)-1)])
		if err != nil {
			break
		}
		number := protowire.Number(n)
		if len(path) == 1 {
			f[number] = nil
			return
		}
		if f[number] == nil {
			f[number] = fields{}
		}
		f[number].add(field.Type, path[1:])
		return
	}
	panic(fmt.Sprintf("%s has no field %s", t, path[0])) // found by every test
}

// appendTo appends what is kept of a message.
func (f fields) appendTo(dst, message []byte) ([]byte, error) {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return dst, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, typ, message[n:])
		if size < 0 {
			return dst, protowire.ParseError(size)
		}
		field, value := message[:n+size], message[n:n+size]
		message = message[n+size:]
		inner, kept := f[number]
		switch {
		case !kept:
		case inner == nil || typ != protowire.BytesType:
			dst = append(dst, field...)
		default:
			body, _ := protowire.ConsumeBytes(value)
			var err error
			if dst, err = inner.appendField(dst, number, body); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// appendField appends a field with what is kept of the message in it.
func (f fields) appendField(dst []byte, number protowire.Number, message []byte) ([]byte, error) {
	dst = protowire.AppendTag(dst, number, protowire.BytesType)
	at := len(dst)
	dst, err := f.appendTo(dst, message)
	if err != nil {
		return dst, err
	}
	// The length goes before what it counts.
	size := len(dst) - at
	grow := protowire.SizeVarint(uint64(size))
	dst = append(dst, make([]byte, grow)...)
	copy(dst[at+grow:], dst[at:at+size])
	protowire.AppendVarint(dst[:at], uint64(size))
	return dst, nil
}
