package dataplane_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tierwall/tierwall/internal/dataplane"
	"github.com/tierwall/tierwall/internal/dataplane/tabletest"
)

// TestExceptions checks that a row is another one with the exceptions laid over it, and
// that these say nothing that both say.
func TestExceptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := tabletest.Row(t), tabletest.Row(t)
		ex := a.Exceptions(b)
		for i := range ex {
			if i > 0 && ex[i-1] == ex[i] {
				t.Fatalf("twice: %v", ex[i])
			}
		}
		differs := false
		for range 50 {
			f := tabletest.L4(t)
			is, _ := a.At(f)
			was, _ := b.At(f)
			same := is.Allow == was.Allow && is.Decider == was.Decider
			differs = differs || !same
			got, found := ex.At(f)
			if found == same || found && (got.Allow != is.Allow || got.Decider != is.Decider) {
				t.Fatalf("%+v: row %v, other %v, exceptions %v (%v)\nrow %v\nother %v\nexceptions %v", f, is, was, got, found, a, b, ex)
			}
		}
		if differs && len(ex) == 0 {
			t.Fatal("no exceptions")
		}
	})
}

// TestExceptionsOfOnePort checks that what two rows do not share is all that is said.
func TestExceptionsOfOnePort(t *testing.T) {
	row := func(port uint16) dataplane.Row {
		full := dataplane.FullRange
		return dataplane.Row{
			{LastProtocol: 5, Dst: full, Src: full, Decider: 1},
			{FirstProtocol: 6, LastProtocol: 6, Dst: dataplane.Range{Last: port - 1}, Src: full, Decider: 1},
			{FirstProtocol: 6, LastProtocol: 6, Dst: dataplane.Range{First: port, Last: port}, Src: full, Allow: true, Decider: 2},
			{FirstProtocol: 6, LastProtocol: 6, Dst: dataplane.Range{First: port + 1, Last: 65535}, Src: full, Decider: 1},
			{FirstProtocol: 7, LastProtocol: 255, Dst: full, Src: full, Decider: 1},
		}
	}
	ex := row(80).Exceptions(row(443))
	want := "[proto TCP dst 80 allow d2 proto TCP dst 443 deny d1]"
	if got := dataplaneString(ex); got != want {
		t.Errorf("exceptions %s, want %s", got, want)
	}
	if ex := row(80).Exceptions(row(80)); len(ex) != 0 {
		t.Errorf("a row has exceptions from itself: %v", ex)
	}
}

func dataplaneString(row dataplane.Row) string {
	text := "["
	for i, g := range row {
		if i > 0 {
			text += " "
		}
		text += g.String()
	}
	return text + "]"
}
