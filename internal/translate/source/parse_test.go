package source_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tierwall/tierwall/internal/modeltest"
	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate/source"
	"github.com/tierwall/tierwall/policy"
)

// parseCase is a manifest of one object, and either what it says on its own, a line for
// each field that is not zero, or what is wrong with it: lines of "line: field: message".
type parseCase struct {
	name, manifest, says, wrong string
}

func TestParse(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range slices.Concat(parsePolicies, parseSets, parseCluster, parseWorkloads) {
		t.Run(c.name, func(t *testing.T) {
			r := readOne(t, c.manifest)
			tested[r.Key.Kind] = true
			parsed, problems := source.Parse(r, true)
			var wrong strings.Builder
			for _, f := range problems.Findings(r) {
				fmt.Fprintf(&wrong, "%d: %s: %s\n", f.Line, f.Field, f.Message)
			}
			if diff := cmp.Diff(c.wrong, wrong.String()); diff != "" {
				t.Fatalf("what is wrong (-want +got):\n%s", diff)
			}
			if c.wrong != "" {
				return // what it says is meaningless
			}
			if diff := cmp.Diff(c.says, fieldsOf(parsed)); diff != "" {
				t.Errorf("what it says (-want +got):\n%s", diff)
			}
		})
	}
	for _, kind := range policy.StoredKinds() {
		if !tested[kind.Key] {
			t.Errorf("no case has an object of kind %s", kind.Key)
		}
	}
}

// What others enforce is accepted offline only.
func TestParseInForce(t *testing.T) {
	r := readOne(t, `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: web}, spec: {endpointSelector: {}}}`)
	if _, ps := source.Parse(r, true); len(ps) > 0 {
		t.Errorf("offline: %v", ps.Findings(r))
	}
	_, ps := source.Parse(r, false)
	if got := ps.Findings(r); len(got) != 1 || got[0].Field != "kind" || !ps.Invalid() {
		t.Errorf("in force: %v", got)
	}
}

// readOne reads a manifest of one object.
func readOne(t *testing.T, manifest string) *store.Resource {
	t.Helper()
	resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifest)})
	for _, f := range findings {
		t.Fatalf("the manifest cannot be read: %v", f)
	}
	if len(resources) != 1 {
		t.Fatalf("%d objects in the manifest, want 1", len(resources))
	}
	return &resources[0]
}

// fieldsOf returns the fields of what an object says that are not zero, a line for each.
func fieldsOf(parsed source.Parsed) string {
	var b strings.Builder
	visited := map[string]int{}
	modeltest.VisitFields(parsed, func(path, value string) {
		dir := policy.Direction(visited[path])
		visited[path]++
		byDirection := strings.HasSuffix(path, "Types[]") || strings.HasSuffix(path, "Rules[]")
		if byDirection {
			path = fmt.Sprintf("%s[%s]", strings.TrimSuffix(path, "[]"), dir)
		}
		if value != "" && value != "set" && (byDirection || !strings.HasSuffix(value, " elements")) {
			fmt.Fprintf(&b, "%s: %s\n", path, value)
		}
	})
	return b.String()
}
