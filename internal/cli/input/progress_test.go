package input

import (
	"strings"
	"testing"
)

func TestProgress(t *testing.T) {
	var b strings.Builder
	progress, done := progressTo(&b)
	for range 5 {
		progress(progressStep / 2)
	}
	done()
	if want := "\r16 MB read\r32 MB read\r\x1b[K"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if progress, _ := progressOn(&b); progress != nil {
		t.Error("there is progress on what is no terminal")
	}
}
