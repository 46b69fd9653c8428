package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/framer"
	"k8s.io/apimachinery/pkg/watch"
)

// maxFrame bounds one event: etcd holds no object of more than a few MB.
const maxFrame = 64 << 20

// frames reads the events of a stream, one after the other.
type frames struct {
	body  *bufio.Reader
	json  *json.Decoder
	proto io.Reader // of frames
	buf   []byte
	event metav1.WatchEvent
}

func newFrames(body io.Reader) *frames { return &frames{body: bufio.NewReaderSize(body, 16<<10)} }

// detect looks at the first byte, and waits for it: text begins with a brace, a
// frame of protobuf with its length.
func (f *frames) detect() error {
	first, err := f.body.Peek(1)
	switch {
	case err != nil:
		return err
	case first[0] == '{':
		f.json = json.NewDecoder(f.body)
	default:
		f.proto = framer.NewLengthDelimitedFrameReader(io.NopCloser(f.body))
		f.buf = make([]byte, 4<<10)
	}
	return nil
}

// next returns the next event: what happened, and the object as it is written,
// which is overwritten by the next call. The end of the stream is io.EOF or
// what cut it; what is not understood is malformed; what the server says instead of
// going on is an API error.
func (f *frames) next() (watch.EventType, []byte, encoding, error) {
	enc, err := f.read()
	if err != nil {
		return "", nil, enc, err
	}
	kind, data := watch.EventType(f.event.Type), f.event.Object.Raw
	switch kind {
	case watch.Added, watch.Modified, watch.Deleted, watch.Bookmark:
		return kind, data, enc, nil
	case watch.Error:
		return "", nil, enc, statusError(data, enc)
	}
	return "", nil, enc, &malformed{fmt.Errorf("an event of type %q", f.event.Type)}
}

// read reads one event.
func (f *frames) read() (encoding, error) {
	if f.json == nil && f.proto == nil {
		if err := f.detect(); err != nil {
			return jsonText, err
		}
	}
	f.event.Type, f.event.Object.Raw = "", f.event.Object.Raw[:0]
	if f.json != nil {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		e.Object = f.event.Object.Raw
		err := f.json.Decode(&e)
		f.event.Type, f.event.Object.Raw = e.Type, e.Object
		return jsonText, asGarbled(err)
	}
	n := 0
	for {
		more, err := f.proto.Read(f.buf[n:])
		n += more
		if err == nil {
			break
		}
		if !errors.Is(err, io.ErrShortBuffer) {
			return enveloped, err
		}
		if len(f.buf) >= maxFrame {
			return enveloped, &malformed{fmt.Errorf("an event of more than %d MiB", maxFrame>>20)}
		}
		f.buf = append(f.buf, make([]byte, len(f.buf))...)
	}
	err := f.event.Unmarshal(f.buf[:n])
	if err != nil {
		err = &malformed{err}
	}
	return enveloped, err
}

// asGarbled tells text that is no JSON from a stream that ends.
func asGarbled(err error) error {
	syntax, isSyntax := errors.AsType[*json.SyntaxError](err)
	_, isType := errors.AsType[*json.UnmarshalTypeError](err)
	if isSyntax && syntax != nil || isType {
		return &malformed{err}
	}
	return err
}

// statusError returns what the server says in an event.
func statusError(data []byte, enc encoding) error {
	var status metav1.Status
	raw, err := unwrap(data, enc)
	if err == nil && enc == jsonText {
		err = json.Unmarshal(raw, &status)
	} else if err == nil {
		err = status.Unmarshal(raw)
	}
	if err != nil {
		return &malformed{err}
	}
	return apierrors.FromObject(&status)
}

// encodingOf tells how an answer is written.
func encodingOf(data []byte) encoding {
	if bytes.HasPrefix(data, protobufMark) {
		return enveloped
	}
	return jsonText
}

// page is a part of a list.
type page struct {
	items   [][]byte
	enc     encoding
	version string // of the whole list
	next    string // token of the next page; empty for the last one
}

// parsePage takes a list apart and leaves its items as they are.
func parsePage(data []byte) (page, error) {
	if encodingOf(data) == enveloped {
		raw, err := unwrap(data, enveloped)
		if err != nil {
			return page{}, err
		}
		return parseProtoPage(raw)
	}
	var list struct {
		Metadata metav1.ListMeta   `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return page{}, err
	}
	p := page{enc: jsonText, version: list.Metadata.ResourceVersion, next: list.Metadata.Continue}
	for _, item := range list.Items {
		p.items = append(p.items, item)
	}
	return p, nil
}

// parseProtoPage reads what all messages of lists have: the metadata are field 1,
// the items field 2.
func parseProtoPage(raw []byte) (page, error) {
	p := page{enc: protobuf}
	for len(raw) > 0 {
		field, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return page{}, protowire.ParseError(n)
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(field, typ, raw); n < 0 {
			return page{}, protowire.ParseError(n)
		}
		value, _ := protowire.ConsumeBytes(raw[:n])
		raw = raw[n:]
		switch {
		case typ != protowire.BytesType:
		case field == 1:
			var meta metav1.ListMeta
			if err := meta.Unmarshal(value); err != nil {
				return page{}, err
			}
			p.version, p.next = meta.ResourceVersion, meta.Continue
		case field == 2:
			p.items = append(p.items, value)
		}
	}
	return p, nil
}
