package store

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareFields(t *testing.T) {
	want := []string{"", "spec", "spec.egress[0]", "spec.ingress[0].nets[0]", "spec.ingress[0].nets[2]", "spec.ingress[0].nets[10]", "spec.ingress[0].ports", "spec.ingress[10]", "status"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareFields)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
