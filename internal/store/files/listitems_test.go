package files_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/store/files/dumptest"
)

// placed is an object with the lines of some of its fields.
type placed struct {
	Key    string
	Object any
	Lines  []int
}

func placedOf(resources []store.Resource) []placed {
	var out []placed
	for _, r := range resources {
		p := placed{Key: r.Key.String(), Object: r.Object}
		for _, field := range []string{"", "metadata.name", "metadata.labels.a", "spec.order", "spec.containers[0].ports[0]", "status.podIP"} {
			_, line := r.Origin.Position(field)
			p.Lines = append(p.Lines, line)
		}
		out = append(out, p)
	}
	return out
}

// TestItemByItem: large lists are read item by item, and nobody can tell.
func TestItemByItem(t *testing.T) {
	dump := func(d dumptest.Dump) string {
		var b strings.Builder
		if _, err := d.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"a dump":                       dump(dumptest.Dump{Pods: 20}),
		"a dump in JSON":               dump(dumptest.Dump{Pods: 20, JSON: true}),
		"indented":                     "# text\n---\nkind: List\napiVersion: v1\nitems:\n  # first\n  - apiVersion: v1\n    kind: Pod\n    metadata: {name: a}\n\n  -\n    apiVersion: v1\n    kind: Pod\n    metadata:\n      name: b\n      labels: {a: b}\n# end\nmetadata: {}\n---\n" + tier("x"),
		"typed":                        "apiVersion: v1\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\nkind: PodList\n",
		"typed, JSON":                  `{"apiVersion": "v1", "items": [{"metadata": {"name": "a"}},` + "\n" + `{"metadata": {"name": "b"}}], "kind": "PodList"}`,
		"an alias to elsewhere":        "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: &m {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: *m\n",
		"a text at the margin":         "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n  spec: {nodeName: \"a\n- b\"}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n",
		"literal text":                 "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n    annotations:\n      x: |\n        - a\n\n        items:\n",
		"wrong after the items":        "apiVersion: v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\nkind: List\nmetdata: {}\n",
		"an item that is wrong":        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- b\n- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: t}, spec: {order: x}}\n- {}\n",
		"no YAML in an item":           "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {a\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n",
		"no JSON in an item":           `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, {]}`,
		"JSON, items twice":            `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}], "items": []}`,
		"JSON, items that are no list": `{"apiVersion": "v1", "kind": "List", "items": {"a": 1}}`,
		"JSON, a wrong field":          "{\"apiVersion\": \"v1\", \"kind\": \"List\",\n\"itms\": 1, \"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}, 1, {}]}",
		"JSON, no list in truth":       `{"apiVersion": "x/v1", "kind": "Foo", "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}], "of": {"kind": "FooList"}}`,
		"an empty list":                "apiVersion: v1\nitems:\nkind: List\n",
		"lists in a list":              "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items:\n  - metadata: {name: a}\n- apiVersion: v1\n  kind: List\n  items: []\n",
	} {
		t.Run(name, func(t *testing.T) {
			read := func(from int) files.Loaded {
				file := "a.yaml"
				options := files.Options{ItemsFrom: from}
				if strings.HasPrefix(text, "{") {
					return files.ParseJSON(file, []byte(text), options)
				}
				return files.Parse(file, []byte(text), options)
			}
			whole, byItem := read(math.MaxInt), read(1)
			diff(t, "objects", placedOf(whole.Resources), placedOf(byItem.Resources))
			sorted := func(l files.Loaded) []string { return slices.Sorted(slices.Values(texts(l.Findings, ""))) }
			diff(t, "findings", sorted(whole), sorted(byItem))
			if d := cmp.Diff(whole.PassedOver, byItem.PassedOver); d != "" {
				t.Error(d)
			}
		})
	}
}
