package cli

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDefaultDenyExample holds the example against what the command writes.
func TestDefaultDenyExample(t *testing.T) {
	want, err := os.ReadFile("../../examples/default-deny/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Run(t.Context(), []string{"init", "default-deny"}, nil, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("examples/default-deny/policies.yaml: -file +output:\n%s", diff)
	}
}
