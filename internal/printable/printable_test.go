package printable_test

import (
	"testing"

	"github.com/tierwall/tierwall/internal/printable"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ text, line, lines, painted string }{
		{"spec.a[0]: \"x\\y\" é 中", "spec.a[0]: \"x\\y\" é 中", "spec.a[0]: \"x\\y\" é 中", "spec.a[0]: \"x\\y\" é 中"},
		{"a\nb\r\tc", `a\nb\r\tc`, "a\nb\\r\\tc", `a\nb\r\tc`},
		{"\x1b]0;x\x07\x1b[31mred\x1b[0m", `\x1b]0;x\a\x1b[31mred\x1b[0m`, `\x1b]0;x\a\x1b[31mred\x1b[0m`, `\x1b]0;x\a` + "\x1b[31mred\x1b[0m"},
		{"\x1b[2J\x1b[", `\x1b[2J\x1b[`, `\x1b[2J\x1b[`, `\x1b[2J\x1b[`},
		{"caf\xe9 \u202ex\u0085", `caf\xe9 \u202ex\u0085`, `caf\xe9 \u202ex\u0085`, `caf\xe9 \u202ex\u0085`},
		{"", "", "", ""},
	} {
		if got := printable.Line(tt.text); got != tt.line {
			t.Errorf("Line(%q) = %q, want %q", tt.text, got, tt.line)
		}
		if got := printable.Lines(tt.text); got != tt.lines {
			t.Errorf("Lines(%q) = %q, want %q", tt.text, got, tt.lines)
		}
		if got := printable.Painted(tt.text); got != tt.painted {
			t.Errorf("Painted(%q) = %q, want %q", tt.text, got, tt.painted)
		}
	}
}
