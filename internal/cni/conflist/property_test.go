package conflist

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestAddRemove holds that Remove after Add gives the same bytes, for lists in any
// layout, and that Add changes nothing the second time.
func TestAddRemove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawList(t)
		entry := []byte(`{"type":"ours","x":{"y":[1,2]}}`)
		added, err := Add(text, entry, supported)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		again, err := Add(added, entry, supported)
		if err != nil || !bytes.Equal(again, added) {
			t.Fatalf("a second time: %v\n%s\n%s", err, added, again)
		}
		changed, err := Add(added, []byte(`{"type":"ours","x":1}`), supported)
		if err != nil {
			t.Fatal(err)
		}
		for _, with := range [][]byte{added, changed} {
			removed, err := Remove(with, "ours")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(removed, text) {
				t.Fatalf("before:\n%s\nafter:\n%s", text, removed)
			}
		}
	})
}

// drawList draws a configuration list with white space wherever JSON allows it, or
// laid out as programs do.
func drawList(t *rapid.T) []byte {
	var plugins []any
	for range rapid.IntRange(1, 4).Draw(t, "plugins") {
		plugins = append(plugins, map[string]any{
			"type":                                rapid.SampledFrom([]string{"ptp", "bridge", "portmap", "x"}).Draw(t, "type"),
			rapid.String().Draw(t, "field") + "_": drawValue(t, 2),
		})
	}
	list := map[string]any{
		"name": "n", "cniVersion": rapid.SampledFrom(supported).Draw(t, "version"),
		"plugins": plugins, rapid.String().Draw(t, "field") + "_": drawValue(t, 2),
	}
	compact, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	switch rapid.IntRange(0, 2).Draw(t, "layout") {
	case 0:
		return compact
	case 1:
		if err := json.Indent(&out, compact, "", rapid.SampledFrom([]string{" ", "    ", "\t"}).Draw(t, "indent")); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n", "\r\n", "\t", "\n    ", "\n      "})
	inString, escaped := false, false
	for _, c := range compact {
		structure := !inString && bytes.IndexByte([]byte("{}[],:"), c) >= 0
		if structure {
			out.WriteString(space.Draw(t, "space"))
		}
		out.WriteByte(c)
		if structure {
			out.WriteString(space.Draw(t, "space"))
		}
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		}
	}
	return out.Bytes()
}

func drawValue(t *rapid.T, depth int) any {
	most := 5
	if depth == 0 {
		most = 3
	}
	switch rapid.IntRange(0, most).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "number")
	case 3:
		return rapid.String().Draw(t, "string")
	case 4:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	}
	return map[string]any{
		rapid.SampledFrom([]string{"plugins", "type", "name", "x"}).Draw(t, "key"): drawValue(t, depth-1),
	}
}
