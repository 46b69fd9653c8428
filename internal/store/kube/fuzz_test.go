package kube

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tierwall/tierwall/policy"
)

// FuzzDecode checks that no object, however written, panics or is valid without being one.
func FuzzDecode(f *testing.F) {
	kinds := kindsOf(&Options{Services: true})
	p := pod("web", "a", "1")
	raw := make([]byte, p.Size())
	must(p.MarshalToSizedBuffer(raw))
	for i := range kinds {
		f.Add(uint8(i), uint8(protobuf), raw)
		f.Add(uint8(i), uint8(enveloped), envelope(raw, "v1", "Pod"))
		f.Add(uint8(i), uint8(jsonText), must(json.Marshal(p)))
		f.Add(uint8(i), uint8(jsonText), []byte(`{"metadata":{"name":"p","namespace":"n","labels":{"a":null}},"spec":{"tier":"x","ingress":[{"action":"Allow","source":{"nets":[null]}}]}}`))
	}
	f.Fuzz(func(t *testing.T, which, enc uint8, data []byte) {
		k := kinds[int(which)%len(kinds)]
		d := newDecoder(k)
		before := bytes.Clone(data)
		o, err := d.decode(data, encoding(enc%3))
		_, _ = identify(data, encoding(enc%3))
		if !bytes.Equal(before, data) {
			t.Fatal("the data were changed")
		}
		if err != nil {
			return
		}
		if o.name == "" || o.digest&^digestMask != 0 {
			t.Fatalf("an object named %q with digest %x", o.name, o.digest)
		}
		again, err := d.decode(data, encoding(enc%3))
		if err != nil || again.digest != o.digest || again.identity != o.identity {
			t.Fatalf("read twice, it differs: %v", err)
		}
		clear(data)
		b := o.build()
		if b.valid() && b.object == nil {
			t.Fatal("valid, and no object")
		}
		for _, finding := range b.findings {
			want := policy.Key{Kind: k.Key, Namespace: o.namespace, Name: o.name}
			if finding.Key != want || finding.Message == "" || finding.File != "" {
				t.Fatalf("finding %+v", finding)
			}
		}
	})
}

// FuzzStream checks that no stream and no list panics, or goes on for ever.
func FuzzStream(f *testing.F) {
	p := pod("web", "a", "1")
	raw := make([]byte, p.Size())
	must(p.MarshalToSizedBuffer(raw))
	f.Add(append(frame("ADDED", raw, "v1", "Pod"), frame("ERROR", must(gone().Marshal()), "v1", "Status")...))
	f.Add([]byte(`{"type":"ADDED","object":{"metadata":{"name":"a"}}}{"type":"BOOKMARK","object":{}}{"type":"ERROR","object":{"code":410}}`))
	f.Add([]byte(strings.Repeat("\x00", 100)))
	f.Add([]byte("\x7f\xff\xff\xff"))
	f.Add(protoList(gone().ListMeta, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr := newFrames(bytes.NewReader(data))
		events := 0
		for {
			_, object, enc, err := fr.next()
			if err != nil {
				break
			}
			_, _ = identify(object, enc)
			if events++; events > len(data) {
				t.Fatal("more events than bytes")
			}
		}
		if p, err := parsePage(data); err == nil && len(p.items) > len(data) {
			t.Fatal("more items than bytes")
		}
	})
}
