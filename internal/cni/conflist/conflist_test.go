package conflist

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"
)

const entry = `{"type":"ours","timeout":"20s","list":["a","b"]}`

var supported = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

func TestAdd(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{
			name: "compact",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"},{"type":"ours","timeout":"20s","list":["a","b"]}]}`,
		},
		{
			name: "one line with spaces",
			text: `{"cniVersion": "0.4.0", "name": "n", "plugins": [ {"type": "a"}, {"type": "b"} ]}`,
			want: `{"cniVersion": "0.4.0", "name": "n", "plugins": [ {"type": "a"}, {"type": "b"}, {"type": "ours", "timeout": "20s", "list": ["a", "b"]} ]}`,
		},
		{
			name: "indented, fields that nobody knows, more behind the plugins",
			text: `{
  "name": "n", "unknown": {"plugins": [1, 2]},
  "cniVersion": "1.0.0",
  "plugins": [
    {
      "type": "a",
      "x": 1.0e2
    },
    {
      "type": "b"
    }
  ],
  "later": true
}
`,
			want: `{
  "name": "n", "unknown": {"plugins": [1, 2]},
  "cniVersion": "1.0.0",
  "plugins": [
    {
      "type": "a",
      "x": 1.0e2
    },
    {
      "type": "b"
    },
    {
      "type": "ours",
      "timeout": "20s",
      "list": [
        "a",
        "b"
      ]
    }
  ],
  "later": true
}
`,
		},
		{
			name: "a line for each plugin",
			text: "{\"cniVersion\": \"0.3.1\", \"name\": \"n\", \"plugins\": [\n  {\"type\": \"a\"},\n  {\"type\": \"b\"}]}",
			want: "{\"cniVersion\": \"0.3.1\", \"name\": \"n\", \"plugins\": [\n  {\"type\": \"a\"},\n  {\"type\": \"b\"},\n  {\"type\": \"ours\", \"timeout\": \"20s\", \"list\": [\"a\", \"b\"]}]}",
		},
		{
			name: "tabs and carriage returns",
			text: "{\r\n\t\"cniVersion\": \"0.3.1\", \"name\": \"n\", \"plugins\": [\r\n\t\t{\r\n\t\t\t\"type\": \"a\"\r\n\t\t}\r\n\t]\r\n}",
			want: "{\r\n\t\"cniVersion\": \"0.3.1\", \"name\": \"n\", \"plugins\": [\r\n\t\t{\r\n\t\t\t\"type\": \"a\"\r\n\t\t},\r\n\t\t{\r\n\t\t\t\"type\": \"ours\",\r\n\t\t\t\"timeout\": \"20s\",\r\n\t\t\t\"list\": [\r\n\t\t\t\t\"a\",\r\n\t\t\t\t\"b\"\r\n\t\t\t]\r\n\t\t}\r\n\t]\r\n}",
		},
		{
			name: "there already",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}, {"list": ["a","b"], "timeout":"20s","type":"ours"}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}, {"list": ["a","b"], "timeout":"20s","type":"ours"}]}`,
		},
		{
			name: "there with another configuration, and not last",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}, {"type":"ours","timeout":"5s"},{"type":"b"}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}, {"type":"ours","timeout":"20s","list":["a","b"]},{"type":"b"}]}`,
		},
		{
			name: "there first, where it cannot be",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"ours"}, {"type":"a"}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"},{"type":"ours","timeout":"20s","list":["a","b"]}]}`,
		},
		{
			name: "there three times",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"ours"},{"type":"ours"},{"type":"a"},{"type":"ours"},{"type":"b"}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"},{"type":"b"},{"type":"ours","timeout":"20s","list":["a","b"]}]}`,
		},
		{
			name: "a choice of versions",
			text: `{"cniVersions":["0.2.0","1.1.0"],"name":"n","plugins":[{"type":"a"}]}`,
			want: `{"cniVersions":["0.2.0","1.1.0"],"name":"n","plugins":[{"type":"a"},{"type":"ours","timeout":"20s","list":["a","b"]}]}`,
		},
		{
			name: "strings that look like structure",
			text: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a","x":"}],\"plugins\": ["}]}`,
			want: `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a","x":"}],\"plugins\": ["},{"type": "ours", "timeout": "20s", "list": ["a", "b"]}]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Add([]byte(tt.text), []byte(entry), supported)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			again, err := Add(got, []byte(entry), supported)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("a second time: -first +second:\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", " \n", "is empty: expected a JSON object"},
		{"no JSON", "{\n  \"name\": \"n\",\n  'plugins'", `line 3, column 3: is not JSON: invalid character '\'' looking for beginning of object key string`},
		{"ends early", "{\n\"name\": ", "line 2, column 9: is not JSON: unexpected EOF"},
		{"more behind", "{}\n{}", "line 2, column 1: something stands behind the end of the JSON object"},
		{"byte order mark", "\ufeff{}", "line 1, column 1: is not JSON: invalid character 'ï' looking for beginning of value"},
		{"array", "[]", "line 1, column 1: expected a JSON object"},
		{"twice", "{\"name\":\"n\",\n\"name\":\"m\"}", `line 2, column 7: "name" is there twice`},
		{"no name", `{"cniVersion":"0.4.0","plugins":[{"type":"a"}]}`, `name: is missing: a configuration list needs one, as in "name": "k8s-pod-network"`},
		{"name", `{"cniVersion":"0.4.0","name":1,"plugins":[{"type":"a"}]}`, `name: expected a string`},
		{"no plugins", `{"cniVersion":"0.4.0","name":"n"}`, "plugins: is missing: expected the list of plugins of a configuration list"},
		{"plugins", `{"cniVersion":"0.4.0","name":"n","plugins":{}}`, "line 1, column 44: plugins: expected an array"},
		{"plugins empty", `{"cniVersion":"0.4.0","name":"n","plugins":[]}`, "plugins: has none: the network's own plugin must be there first"},
		{"plugin", "{\"cniVersion\":\"0.4.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"a\"},\n 7]}", "line 2, column 2: plugins[1]: expected an object"},
		{"plugin null", `{"cniVersion":"0.4.0","name":"n","plugins":[null]}`, "line 1, column 45: plugins[0]: expected an object"},
		{"no type", `{"cniVersion":"0.4.0","name":"n","plugins":[{}]}`, "line 1, column 45: plugins[0].type: is missing: expected the name of a plugin"},
		{"type", `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":null}]}`, "line 1, column 45: plugins[0].type: expected a string"},
		{"only ours", `{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"ours"}]}`, "plugins: there are none but ours: the network's own plugin must be there first"},
		{"too old", `{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"a"}]}`, "cniVersion 0.2.0: is not supported: expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"},
		{"too new", `{"cniVersions":["1.1.0","2.0.0"],"name":"n","plugins":[{"type":"a"}]}`, "cniVersion 2.0.0: is not supported: expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"},
		{"no version", `{"name":"n","plugins":[{"type":"a"}]}`, "cniVersion: is missing, which means one that is too old for a chain of plugins: expected one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"},
		{"version", `{"cniVersion":"x","name":"n","plugins":[{"type":"a"}]}`, `cniVersion "x": failed to convert major version part "x": strconv.Atoi: parsing "x": invalid syntax`},
		{"huge", `{"name":"` + strings.Repeat("x", maxSize) + `"}`, fmt.Sprintf("has %d bytes: no CNI configuration has more than %d", maxSize+11, maxSize)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Add([]byte(tt.text), []byte(entry), supported)
			if err == nil {
				t.Fatal("it was taken")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := Remove([]byte(`{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"ours"}]}`), "ours"); err == nil {
		t.Error("the last plugin was removed")
	}
	place, ok := errors.AsType[*PlaceError](syntax([]byte("{\n  x")))
	if !ok || place.Line != 2 || place.Column != 3 {
		t.Errorf("the place of the error is %+v", place)
	}
}

func TestWrap(t *testing.T) {
	text := "{\n  \"cniVersion\": \"0.4.0\", \"name\": \"n\",\n  \"type\": \"bridge\", \"ipam\": {\"type\": \"host-local\"}\n}\n\n"
	got, err := Wrap([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	// It is what runtimes make of the same text.
	single, err := libcni.ConfFromBytes([]byte(text)) //nolint:staticcheck // runtimes use it for these files
	if err != nil {
		t.Fatal(err)
	}
	want, err := libcni.ConfListFromConf(single) //nolint:staticcheck // as above
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded(t, want.Bytes), decoded(t, got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for text, want := range map[string]string{
		`{"name":"n"}`:                          "type: is missing: expected the name of a plugin",
		`{"type":"a"}`:                          "name: is missing: expected the name of the network",
		`{"name":"n","plugins":[{"type":"a"}]}`: "plugins: is of configuration lists, and container runtimes take a file for one only if its name ends with .conflist",
		`{"name":"n","type":1}`:                 "type: expected a string",
	} {
		if _, err := Wrap([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func decoded(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// FuzzAdd holds that what is added can be taken out again and leaves nothing, and that
// whatever is not refused is a list that runtimes read, with one plugin more.
func FuzzAdd(f *testing.F) {
	f.Add(`{"cniVersion":"0.4.0","name":"n","plugins":[{"type":"a"}]}`, "ours")
	f.Add("{\n  \"cniVersion\": \"1.0.0\", \"name\": \"n\",\n  \"plugins\": [\n    {\n      \"type\": \"a\"\n    } ,\n    {\"type\":\"ours\"}\n  ]\n}\n", "ours")
	f.Add(`{"cniVersions":["0.3.1","1.1.0"],"name":"n","plugins":[ {"type":"ours"},{"type":"a","x":"]"},{"type":"ours","y":{"plugins":[]}} ],"z":1}`, "ours")
	f.Fuzz(func(t *testing.T, text, kind string) {
		entry, err := json.Marshal(map[string]any{"type": kind, "x": []int{1}})
		if err != nil {
			t.Skip()
		}
		added, err := Add([]byte(text), entry, supported)
		if err != nil {
			return
		}
		before, err := Kinds([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		after, err := Kinds(added)
		if err != nil {
			t.Fatalf("%v in\n%s", err, added)
		}
		isOurs := func(k string) bool { return k == decodedKind(t, entry) }
		others := slices.DeleteFunc(slices.Clone(before), isOurs)
		if diff := cmp.Diff(others, slices.DeleteFunc(slices.Clone(after), isOurs)); diff != "" {
			t.Fatalf("the others: -before +after:\n%s", diff)
		}
		if len(after) != len(others)+1 || isOurs(after[0]) {
			t.Fatalf("%v became %v", before, after)
		}
		removed, err := Remove(added, decodedKind(t, entry))
		if err != nil {
			t.Fatal(err)
		}
		if len(others) == len(before) && string(removed) != text {
			t.Fatalf("not as before:\n%s\n%s", text, removed)
		}
		if _, err := libcni.NetworkConfFromBytes(removed); err != nil {
			t.Fatal(err)
		}
		again, err := Add(added, entry, supported)
		if err != nil || string(again) != string(added) {
			t.Fatalf("a second time: %v\n%s\n%s", err, added, again)
		}
	})
}

// decodedKind returns the type as it is after encoding, which replaces what is no UTF-8.
func decodedKind(t *testing.T, entry []byte) string {
	kind, err := kindOf(entry)
	if err != nil {
		t.Skip()
	}
	return kind
}
