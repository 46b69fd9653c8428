package translate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
	"github.com/tierwall/tierwall/internal/translate"
	"github.com/tierwall/tierwall/policy"
	"github.com/tierwall/tierwall/selector"
)

// equateModels compares what models hold: network addresses, selectors by their
// text, and nothing told apart by being nil or empty.
var equateModels = cmp.Options{
	cmpopts.EquateComparable(netipAddr, netipPrefix),
	cmp.Comparer(func(a, b *selector.Selector) bool { return a.Equal(b) }),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(policy.PeerSet{}, "AsWritten"), // see TestTextOfPeers
}

// read parses manifests written in a test; they must parse.
func read(t testing.TB, manifests string) []store.Resource {
	t.Helper()
	resources, findings := files.Load([]string{"-"}, files.Options{Stdin: strings.NewReader(manifests)})
	for _, f := range findings {
		if !f.Note {
			t.Fatalf("manifests do not parse: %v", f)
		}
	}
	return resources
}

// load translates manifests offline; they must be valid.
func load(t testing.TB, manifests string) *policy.Model {
	t.Helper()
	loaded := translate.Load(read(t, manifests), nil, translate.Options{Offline: true})
	for _, f := range loaded.Findings {
		if !f.Note {
			t.Errorf("unexpected finding: %v", f)
		}
	}
	return loaded.Model
}

// findings returns what is wrong with manifests, each as "line: field: message".
func findings(t testing.TB, manifests string) []string {
	t.Helper()
	return lines(translate.Load(read(t, manifests), nil, translate.Options{Offline: true}).Findings)
}

func lines(findings []store.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%d: %s: %s", f.Line, f.Field, f.Message))
	}
	return out
}

func readFile(t testing.TB, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
}

func diff(t tester, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, equateModels); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
